"""Logs in a storage where nothing can grow."""

from __future__ import annotations

from collections.abc import Iterable
from threading import Event

import pytest

from metaflow.exception import StorageUnavailable
from metaflow.store.logs.growing import GrowingLogs, pause_after


class Puts:
    """Writes down what is put, and lets a test wait for it or refuse it."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.count = 0
        self.has_put = Event()
        self.refuses = False

    def __call__(self, items: Iterable[tuple[str, bytes]]) -> None:
        if self.refuses:
            raise StorageUnavailable("Cannot write.")
        self.objects.update(items)
        self.count += 1
        self.has_put.set()


@pytest.fixture
def puts() -> Puts:
    return Puts()


def test_a_log_is_put_as_a_whole_at_its_end(puts: Puts) -> None:
    logs = GrowingLogs(puts)
    for number in range(10):
        logs.append("out", b"%d" % number)
    logs.append("err", b"oh")
    logs.complete(["out", "err"])
    logs.close()
    assert puts.objects == {"out": b"0123456789", "err": b"oh"}
    assert puts.count <= 3


def test_a_log_is_put_while_its_task_runs(puts: Puts) -> None:
    logs = GrowingLogs(puts)
    logs.append("out", b"one")
    assert puts.has_put.wait(20)
    assert puts.objects == {"out": b"one"}
    logs.append("out", b"two")
    logs.close()
    assert puts.objects == {"out": b"onetwo"}


def test_without_output_nothing_is_put(puts: Puts) -> None:
    logs = GrowingLogs(puts)
    logs.complete(["out"])
    logs.close()
    assert puts.count == 0


def test_a_log_that_cannot_be_put_is_told(puts: Puts) -> None:
    puts.refuses = True
    logs = GrowingLogs(puts)
    logs.append("out", b"one")
    logs.complete(["out"])
    with pytest.raises(StorageUnavailable):
        logs.close()
    with pytest.raises(StorageUnavailable):
        logs.append("out", b"two")


def test_pauses_grow_with_time_and_size() -> None:
    pauses = [1.0]
    for _ in range(7):
        pauses.append(pause_after(pauses[-1], 0))
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    assert pause_after(1.0, 8_000_000) == 40
