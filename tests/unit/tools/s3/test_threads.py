"""Threads that take jobs until there are none."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from metaflow.tools.s3.threads import Job, work


def test_every_job_is_done_once() -> None:
    done: list[int] = []
    work((partial(done.append, number) for number in range(500)), 8)
    assert sorted(done) == list(range(500))
    work([], 8)


def test_so_many_at_a_time() -> None:
    together = threading.Barrier(4)
    work([partial(_void, partial(together.wait, 30)) for _ in range(8)], 4)  # would break with fewer


def test_jobs_that_follow_go_first() -> None:
    done: list[str] = []

    def first() -> list[Job]:
        done.append("first")
        return [partial(done.append, "part 1"), partial(done.append, "part 2")]

    work([first, partial(done.append, "second")], 1)
    assert done == ["first", "part 1", "part 2", "second"]


def test_one_job_can_keep_all_busy() -> None:
    together = threading.Barrier(4)
    work([lambda: [partial(_void, partial(together.wait, 30)) for _ in range(4)]], 4)


def test_the_source_is_read_as_threads_get_free() -> None:
    taken: list[int] = []
    done: list[int] = []

    def jobs() -> Iterator[Job]:
        for number in range(10):
            taken.append(number)
            assert len(taken) - len(done) <= 3
            yield partial(done.append, number)

    work(jobs(), 2)
    assert done


@pytest.mark.parametrize("width", [1, 3])
def test_an_error_ends_the_work(width: int) -> None:
    done: list[int] = []

    def fail() -> None:
        raise KeyError("x")

    jobs: list[Callable[[], None]] = [partial(done.append, number) for number in range(1000)]
    before = set(threading.enumerate())
    with pytest.raises(KeyError, match="x"):
        work(iter([jobs[0], fail, *jobs]), width)
    assert len(done) < 1001
    assert set(threading.enumerate()) <= before


def _void(call: Any) -> None:
    call()
