"""Calls side by side: their order, their number, and their errors."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaflow.store.overlap import beside, overlap


@given(st.lists(st.integers()), st.integers(1, 5))
def test_results_come_in_order(items: list[int], width: int) -> None:
    assert list(overlap(lambda item: item + 1, iter(items), width)) == [item + 1 for item in items]


def test_calls_are_under_way_together() -> None:
    """Four calls that wait for each other come to an end."""
    barrier = threading.Barrier(4)
    assert list(overlap(lambda item: barrier.wait(10) >= 0, range(4), 4)) == [True] * 4


def test_no_more_than_the_width_are_taken_before_results_are() -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(100):
            taken += 1
            yield number

    results = overlap(lambda item: item, items(), 3)
    assert next(results) == 0
    assert taken <= 4
    assert list(results) == list(range(1, 100))


def test_one_call_needs_no_thread() -> None:
    assert list(overlap(lambda item: threading.current_thread(), [1])) == [threading.current_thread()]
    assert list(overlap(str, [])) == []


def test_an_error_comes_in_its_place() -> None:
    def call(item: int) -> int:
        if item == 3:
            raise KeyError(item)
        return item

    before = threading.active_count()
    results = overlap(call, range(100), 4)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(KeyError):
        next(results)
    assert list(results) == []
    assert threading.active_count() == before


def test_who_stops_early_leaves_no_thread() -> None:
    before = threading.active_count()
    results = overlap(lambda item: item, range(100), 4)
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_beside() -> None:
    go, gone = threading.Event(), threading.Event()

    def work() -> None:
        assert go.wait(10)
        gone.set()

    wait = beside(work)
    go.set()
    wait()
    assert gone.is_set()
    with pytest.raises(ZeroDivisionError):
        beside(lambda: 1 / 0)()
