"""The logs of a task as clients read them."""

from __future__ import annotations

from pathlib import Path

from metaflow.store.local import LocalStorage
from metaflow.store.logs import stored
from metaflow.store.logs.lines import format_line

TASK = "F/1/s/1"


def texts(storage: LocalStorage, stream: str = "stdout") -> list[bytes]:
    return [line.text for line in stored.read(storage, TASK, 0, stream)]


def test_reading_and_scrubbing(tmp_path: Path) -> None:
    storage = LocalStorage(str(tmp_path))
    assert texts(storage) == []
    assert stored.size(storage, TASK, 0, "stdout") == 0
    assert not stored.scrub(storage, TASK, 0, "stdout")
    content = format_line(b"secret", 1.0, "1")
    storage.put([(f"{TASK}/0.runtime_stdout.log", content), (f"{TASK}/0.runtime_stderr.log", content)])
    assert texts(storage) == [b"secret"]
    assert stored.size(storage, TASK, 0, "stdout") == len(content)
    assert stored.scrub(storage, TASK, 0, "stdout")
    assert b"secret" not in b"".join(texts(storage))
    assert texts(storage, "stderr") == [b"secret"]


def test_both_sources_are_one_log(tmp_path: Path) -> None:
    storage = LocalStorage(str(tmp_path))
    storage.put(
        [
            (f"{TASK}/0.runtime_stdout.log", format_line(b"killed", 2.0, "1")),
            (f"{TASK}/0.task_stdout.log", format_line(b"begun", 1.0, "1", b"task")),
        ]
    )
    assert texts(storage) == [b"begun", b"killed"]
