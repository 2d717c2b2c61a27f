"""Stored logs of a task: line by line, its beginning and its end where it is too long."""

from __future__ import annotations

import pytest

from metaflow.store.layout import STREAMS
from metaflow.store.logs import stored as stored_logs
from metaflow.store.logs.task_logs import TaskLog, TaskLogs
from metaflow.store.memory import MemoryStorage

TASK = "F/7/start/1"


@pytest.fixture
def storage() -> MemoryStorage:
    return MemoryStorage("/nonexistent")


def log(storage: MemoryStorage, limit: int = 1000, attempt: int = 0) -> TaskLog:
    return TaskLogs(storage, limit).open(TASK, attempt)


def stored(storage: MemoryStorage, stream: str = "stdout", attempt: int = 0) -> list[bytes]:
    return [line.text for line in stored_logs.read(storage, TASK, attempt, stream)]


def test_lines_are_stored_as_they_come(storage: MemoryStorage) -> None:
    task = log(storage)
    task.append("stdout", [b"one", b"", b"\xff two "], 1.5)
    assert stored(storage) == [b"one", b"", b"\xff two "]
    task.append("stdout", [b"three"], 2.5)
    task.append("stderr", [b"oh"], 2.0)
    assert stored(storage) == [b"one", b"", b"\xff two ", b"three"]
    assert stored(storage, "stderr") == [b"oh"]
    times = [
        line.time and line.time.second + line.time.microsecond / 1e6
        for line in stored_logs.read(storage, TASK, 0, "stdout")
    ]
    assert times == [1.5, 1.5, 1.5, 2.5]


def test_where_they_are(storage: MemoryStorage) -> None:
    log(storage, attempt=2).append("stderr", [b"oh"], 1.0)
    assert list(storage.objects) == [f"{TASK}/2.runtime_stderr.log"]
    assert storage.objects[f"{TASK}/2.runtime_stderr.log"].startswith(b"[MFLOG|0|1970-01-01T00:00:01.000000Z|runtime|")


def test_each_line_has_a_mark_of_its_own(storage: MemoryStorage) -> None:
    task = log(storage)
    for stream in ("stdout", "stderr", "stdout"):
        task.append(stream, [b"same", b"same"], 1.0)
    marks = [line.ident for stream in STREAMS for line in stored_logs.read(storage, TASK, 0, stream)]
    assert len(set(marks)) == 6


def test_a_log_beyond_its_limit_has_its_beginning_and_its_end(storage: MemoryStorage) -> None:
    task = log(storage, limit=40)
    for number in range(20):
        task.append("stdout", [b"line %02d" % number], 1.0)
    assert stored(storage)[:3] == [b"line 00", b"line 01", b"line 02"]
    task.append("stderr", [b"its own"], 1.0)
    task.close()
    *_, cut, last = stored(storage)
    assert b"--max-log-size" in cut
    assert last == b"line 19"
    assert stored(storage, "stderr") == [b"its own"]
