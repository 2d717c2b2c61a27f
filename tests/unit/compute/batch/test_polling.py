"""When jobs are looked at. The clock is the test's."""

from __future__ import annotations

import pytest

from metaflow.compute.batch.polling import LONGEST, SHORTEST, Polling


def turn(polling: Polling, now: float, until: float, *, changed: bool = False) -> tuple[float, int]:
    """Look whenever it is time; return when that was last, and the number of calls."""
    calls = 0
    while (wait := polling.wait(now)) is not None and now + wait <= until:
        now += wait
        groups = polling.round(now)
        calls += len(groups)
        for group in groups:
            assert 0 < len(group) <= 100
            for id in group:
                polling.saw(id, now, changed=changed)
    return now, calls


def test_nothing_to_look_at() -> None:
    polling = Polling()
    assert polling.wait(0) is None
    assert polling.round(0) == []


def test_the_longer_a_job_stays_as_it_is_the_seldomer_it_is_looked_at() -> None:
    polling = Polling()
    polling.add("a", 0)
    assert polling.round(0) == []
    assert polling.wait(0) == SHORTEST
    assert turn(polling, 0, 3)[1] <= 10
    now, _ = turn(polling, 3, 1000)
    assert polling.wait(now) == LONGEST
    polling.look_soon("a", now)
    assert polling.wait(now) == pytest.approx(SHORTEST)
    polling.look_soon("a", now + 0.2)
    assert polling.wait(now) == pytest.approx(SHORTEST), "to be asked for again postpones nothing"
    polling.look_soon("unknown", now)
    polling.drop("a")
    polling.drop("a")
    assert polling.wait(now) is None


def test_a_thousand_jobs_take_few_calls() -> None:
    polling = Polling()
    for number in range(1000):
        polling.add(str(number), number * 0.01)
    now, first_minute = turn(polling, 10, 70)
    assert first_minute <= 5 * 60
    _, an_hour = turn(polling, now, now + 3600)
    assert an_hour <= 1.1 * 3600  # ten calls in ten seconds


def test_calls_are_paced_even_if_everything_changes() -> None:
    polling = Polling()
    for number in range(1000):
        polling.add(str(number), 0)
    assert turn(polling, 0, 60, changed=True)[1] <= 5 * 60 + 10


def test_a_call_is_filled_with_those_that_are_next() -> None:
    polling = Polling()
    for number in range(150):
        polling.add(str(number), number)
    (group,) = polling.round(SHORTEST)
    assert group == [str(number) for number in range(100)]


def test_trouble_postpones_all() -> None:
    polling = Polling()
    polling.add("a", 0)
    polling.add("b", 0)
    polling.postpone(["a", "unknown"], 5)
    assert polling.wait(1) == 4
    assert polling.round(1) == []
    assert sorted(polling.round(5)[0]) == ["a", "b"]
