"""`parallel_map` and `parallel_imap_unordered`, over real processes."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from metaflow.multicore_utils import MulticoreException, parallel_imap_unordered, parallel_map


class Picky(Exception):
    """Can be pickled, and cannot be read again."""

    def __init__(self, one: str, other: str) -> None:
        super().__init__(one + other)


def children() -> set[str]:
    """Return the processes that this one has started and not yet waited for."""
    found = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/stat") as file:
            if int(file.read().rpartition(")")[2].split()[1]) == os.getpid():
                found.add(pid)
    return found


@pytest.fixture(autouse=True)
def leaves_no_process() -> Iterator[None]:
    before = children()
    yield
    assert children() <= before


def test_results_are_in_order_and_each_item_has_a_process() -> None:
    factor = 3
    assert parallel_map(lambda x: x * factor, range(7), max_parallel=2) == [0, 3, 6, 9, 12, 15, 18]
    pids = parallel_map(lambda _: os.getpid(), "abc")
    assert len({*pids, os.getpid()}) == 4
    assert parallel_map(len, []) == []
    assert sorted(parallel_imap_unordered(str, iter([1, None]))) == ["1", "None"]


def test_results_larger_than_a_pipe() -> None:
    assert [len(each) for each in parallel_map(lambda n: b"x" * n, [10, 3_000_000])] == [10, 3_000_000]


def test_items_are_taken_as_processes_become_free() -> None:
    taken = []

    def items() -> Iterator[int]:
        for number in range(6):
            taken.append(number)
            yield number

    results = parallel_imap_unordered(lambda x: x, items(), max_parallel=2)
    assert taken == []
    next(results)
    assert len(taken) <= 4
    results.close()


def fail(number: int) -> int:
    if number == 1:
        raise Picky("a", "b")
    return number


def leave(number: int) -> int:
    return 1 // (1 - number)


FAILURES: list[tuple[Callable[[int], Any], str, type[BaseException] | None]] = [
    (leave, "ZeroDivisionError: ", ZeroDivisionError),
    (fail, "Picky: ab", None),
    (lambda x: lambda: x, "pickle", AttributeError),
    (lambda x: os._exit(3), "exited with status 3 before it had a result", None),
    (lambda x: os.kill(os.getpid(), signal.SIGKILL), "was ended by SIGKILL", None),
    (lambda x: exit(4), "SystemExit: 4", SystemExit),
]


@pytest.mark.parametrize(("function", "said", "cause"), FAILURES)
def test_failures_are_told_and_leave_nothing(
    function: Callable[[int], Any], said: str, cause: type[BaseException] | None
) -> None:
    with pytest.raises(MulticoreException, match=said) as caught:
        parallel_map(function, range(4), max_parallel=3)
    assert type(caught.value.__cause__) is (cause or type(None))


def test_a_number_of_processes_that_makes_no_sense() -> None:
    with pytest.raises(ValueError, match="max_parallel is 0"):
        parallel_map(len, ["a"], max_parallel=0)
