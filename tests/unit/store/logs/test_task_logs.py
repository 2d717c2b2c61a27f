"""Stored logs of a task: line by line, up to a limit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaflow.store.layout import STREAMS
from metaflow.store.logs import stored as stored_logs
from metaflow.store.logs.task_logs import TaskLog, TaskLogs
from support.memory_storage import MemoryStorage

TASK = "F/7/start/1"


@pytest.fixture
def storage() -> MemoryStorage:
    return MemoryStorage("/nonexistent")


def log(storage: MemoryStorage, limit: int = 1000, attempt: int = 0) -> TaskLog:
    return TaskLogs(storage, limit).open(TASK, attempt)


def stored(storage: MemoryStorage, stream: str = "stdout", attempt: int = 0) -> list[bytes]:
    return [line.text for line in stored_logs.read(storage, TASK, attempt, stream)]


def test_lines_are_stored_as_they_come_and_shown(storage: MemoryStorage) -> None:
    task = log(storage)
    assert task.append("stdout", [b"one", b"", b"\xff two "], 1.5) == [b"one", b"", b"\xff two "]
    assert stored(storage) == [b"one", b"", b"\xff two "]
    assert task.append("stdout", [b"three"], 2.5) == [b"three"]
    assert task.append("stderr", [b"oh"], 2.0) == [b"oh"]
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


def test_what_comes_after_the_limit_is_neither_stored_nor_shown(storage: MemoryStorage) -> None:
    task = log(storage, limit=10)
    assert task.append("stdout", [b"1234", b"6789"], 1.0) == [b"1234", b"6789"]
    shown = task.append("stdout", [b"more", b"and more"], 1.0)
    assert shown[-1].startswith(b"[the rest of this log was cut")
    assert b"--max-log-size" in shown[-1]
    assert stored(storage) == [b"1234", b"6789", *shown]
    assert task.append("stdout", [b"nothing"], 1.0) == []
    assert len(stored(storage)) == 2 + len(shown)
    assert task.append("stderr", [b"its own"], 1.0) == [b"its own"]


def test_a_line_across_the_limit_is_cut(storage: MemoryStorage) -> None:
    task = log(storage, limit=10)
    shown = task.append("stdout", [b"123", b"abcdefghijklm", b"more"], 1.0)
    assert shown[:2] == [b"123", b"abcdef"]
    assert len(shown) == 3
    assert stored(storage) == shown


@given(
    st.lists(st.lists(st.binary(max_size=20).map(lambda line: line.replace(b"\n", b"")), min_size=1)),
    st.integers(1, 100),
)
def test_what_is_kept_is_a_beginning_of_what_was_printed(batches: list[list[bytes]], limit: int) -> None:
    storage = MemoryStorage("/nonexistent")
    task = log(storage, limit)
    shown = [line for batch in batches for line in task.append("stdout", batch, 1.0)]
    printed = b"".join(line + b"\n" for batch in batches for line in batch)
    assert stored(storage) == shown
    if len(printed) <= limit:
        assert b"".join(line + b"\n" for line in shown) == printed
    else:
        kept = b"\n".join(shown[:-1])
        assert printed.startswith(kept)
        assert limit - 1 <= len(kept) <= limit
        assert shown[-1].startswith(b"[the rest")
