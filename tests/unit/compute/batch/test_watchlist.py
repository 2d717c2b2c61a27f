"""When jobs are looked at. The clock is the test's."""

from __future__ import annotations

import pytest

from metaflow.compute.batch.watchlist import LONGEST, SHORTEST, Watchlist


def turn(watchlist: Watchlist, now: float, until: float, *, changed: bool = False) -> tuple[float, int]:
    """Look whenever it is time; return when that was last, and the number of calls."""
    calls = 0
    while (wait := watchlist.wait(now)) is not None and now + wait <= until:
        now += wait
        groups = watchlist.round(now)
        calls += len(groups)
        for group in groups:
            assert 0 < len(group) <= 100
            for id in group:
                watchlist.saw(id, now, changed=changed)
    return now, calls


def test_nothing_to_look_at() -> None:
    watchlist = Watchlist()
    assert watchlist.wait(0) is None
    assert watchlist.round(0) == []


def test_the_longer_a_job_stays_as_it_is_the_seldomer_it_is_looked_at() -> None:
    watchlist = Watchlist()
    watchlist.add("a", 0)
    assert watchlist.round(0) == []
    assert watchlist.wait(0) == SHORTEST
    assert turn(watchlist, 0, 3)[1] <= 10
    now, _ = turn(watchlist, 3, 1000)
    assert watchlist.wait(now) == LONGEST
    watchlist.hurry("a", now)
    assert watchlist.wait(now) == pytest.approx(SHORTEST)
    watchlist.hurry("a", now + 0.2)
    assert watchlist.wait(now) == pytest.approx(SHORTEST), "to be asked for again postpones nothing"
    watchlist.hurry("unknown", now)
    watchlist.drop("a")
    watchlist.drop("a")
    assert watchlist.wait(now) is None


def test_a_thousand_jobs_take_few_calls() -> None:
    watchlist = Watchlist()
    for number in range(1000):
        watchlist.add(str(number), number * 0.01)
    now, first_minute = turn(watchlist, 10, 70)
    assert first_minute <= 5 * 60
    _, an_hour = turn(watchlist, now, now + 3600)
    assert an_hour <= 1.1 * 3600  # ten calls in ten seconds


def test_calls_are_paced_even_if_everything_changes() -> None:
    watchlist = Watchlist()
    for number in range(1000):
        watchlist.add(str(number), 0)
    assert turn(watchlist, 0, 60, changed=True)[1] <= 5 * 60 + 10


def test_a_call_is_filled_with_those_that_are_next() -> None:
    watchlist = Watchlist()
    for number in range(150):
        watchlist.add(str(number), number)
    (group,) = watchlist.round(SHORTEST)
    assert group == [str(number) for number in range(100)]


def test_trouble_postpones_all() -> None:
    watchlist = Watchlist()
    watchlist.add("a", 0)
    watchlist.add("b", 0)
    watchlist.postpone(["a", "unknown"], 5)
    assert watchlist.wait(1) == 4
    assert watchlist.round(1) == []
    assert sorted(watchlist.round(5)[0]) == ["a", "b"]
