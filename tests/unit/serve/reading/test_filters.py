from __future__ import annotations

import pytest

from metaflow.serve.reading.filters import RunFilter, moment

DAY = 86_400_000
RUN = {"user": "ann", "started": 10 * DAY, "state": "failed", "tags": ("Nightly", "user:ann")}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ([], RunFilter()),
        ([("flow", "A"), ("flow", "B")], RunFilter(flow="B")),
        (
            [("status", "lost"), ("status", "failed"), ("tag", "b"), ("tag", "a")],
            RunFilter(states=frozenset({"failed", "lost"}), tags=frozenset({"a", "b"})),
        ),
        ([("user", " ann "), ("q", ""), ("page", "3")], RunFilter(user="ann")),
        ([("from", "2026-11-30"), ("to", "2026-12-01T12:00")], RunFilter(since="2026-11-30", until="2026-12-01T12:00")),
    ],
)
def test_a_filter_is_read_from_a_query_and_written_to_one(query: list[tuple[str, str]], expected: RunFilter) -> None:
    found = RunFilter.parse(query)
    assert found == expected
    assert RunFilter.parse(found.query()) == expected


def test_a_time_that_is_none_is_named() -> None:
    with pytest.raises(ValueError, match="'yesterday' is not a date or time"):
        RunFilter.parse([("from", "yesterday")])


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("1970-01-02", DAY), ("1970-01-01T01:00", 3_600_000), ("1970-01-01T01:00+01:00", 0), ("1970-01-01T00:00Z", 0)],
)
def test_times_without_a_zone_are_utc(text: str, milliseconds: int) -> None:
    assert moment(text) == milliseconds


@pytest.mark.parametrize(
    ("wanted", "is_admitted"),
    [
        (RunFilter(), True),
        (RunFilter(flow="Flow"), True),
        (RunFilter(flow="Other"), False),
        (RunFilter(user="bob"), False),
        (RunFilter(states=frozenset({"failed", "lost"})), True),
        (RunFilter(states=frozenset({"running"})), False),
        (RunFilter(tags=frozenset({"user:ann", "Nightly"})), True),
        (RunFilter(tags=frozenset({"nightly"})), False),
        (RunFilter(since="1970-01-11"), True),
        (RunFilter(since="1970-01-12"), False),
        (RunFilter(until="1970-01-11"), True),  # the whole day
        (RunFilter(until="1970-01-11T00:00"), False),
        (RunFilter(text="NIGHT flow"), True),
        (RunFilter(text="night 8"), False),
    ],
)
def test_what_a_filter_admits(wanted: RunFilter, is_admitted: bool) -> None:
    assert wanted.admits("Flow", "17", **RUN) is is_admitted  # type: ignore[arg-type]


def test_the_status_may_be_left_open() -> None:
    assert RunFilter(states=frozenset({"running"})).admits("Flow", "17", **RUN | {"state": None})  # type: ignore[arg-type]
