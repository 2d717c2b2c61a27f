from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from metaflow.exception import StorageUnavailable
from metaflow.store.layout import END, STOPPED, EndMarker, Mark
from metaflow.store.logs import stored as stored_logs
from metaflow.store.logs.segment_reader import Attempt, SegmentReader
from metaflow.store.logs.segment_writer import Pauses, SegmentWriter
from metaflow.store.memory import MemoryStorage
from support.processes import eventually

TASK = "Flow/1/work/7"
LAST = (f"{TASK}/0.outcome.json", b"{}")


@pytest.fixture
def storage(tmp_path: Path) -> MemoryStorage:
    return MemoryStorage(str(tmp_path))


def segments(storage: MemoryStorage) -> list[str]:
    return sorted(key for key in list(storage.objects) if "/_live/7.0.std" in key)


def stored(storage: MemoryStorage, stream: str = "stdout") -> list[bytes]:
    return [line.text for line in stored_logs.read(storage, TASK, 0, stream)]


@pytest.mark.parametrize("mark", [END, STOPPED])
def test_without_a_line_there_is_only_the_last_object(mark: Mark, storage: MemoryStorage) -> None:
    SegmentWriter(lambda: storage, TASK, 0, 100).close(LAST, mark)
    assert storage.objects == {**dict([LAST]), EndMarker("7", 0, mark).key("Flow/1"): b""}
    live = SegmentReader(storage, "Flow/1")
    live.news([])
    assert live.mark(Attempt("step", 7, 0)) == mark


def test_the_end_makes_logs_whole_and_takes_segments_away(storage: MemoryStorage) -> None:
    log = SegmentWriter(lambda: storage, TASK, 0, 100)
    log.append("stdout", [b"one", b"two"], 1000.0)
    eventually(lambda: segments(storage), "a segment")
    log.append("stderr", [b"three"], 1001.0)
    log.close(LAST)
    assert segments(storage) == []
    assert stored(storage) == [b"one", b"two"]
    assert stored(storage, "stderr") == [b"three"]


def test_a_log_that_is_too_long_gets_its_end_in_the_end(storage: MemoryStorage) -> None:
    log = SegmentWriter(lambda: storage, TASK, 0, 20)
    for number in range(9):
        log.append("stdout", [b"abc%d" % number], 1000.0)
    log.close(LAST)
    lines = stored(storage)
    assert lines[:3] == [b"abc0", b"abc1", b"abc2"]
    assert b"--max-log-size" in lines[-2]
    assert lines[-1] == b"abc8"


def test_many_segments_become_one_log_that_a_reader_follows(storage: MemoryStorage) -> None:
    attempt = Attempt("work", 7, 0)
    log, reader = SegmentWriter(lambda: storage, TASK, 0, 1_000_000, Pauses(0, 0)), SegmentReader(storage, "Flow/1")
    seen: list[bytes] = []
    written = [b"line %d" % number for number in range(100)]
    for number, line in enumerate(written):
        log.append("stdout", [line], 1000.0 + number)
        eventually(partial(reaches, storage, number * 40), "the line")
        assert len(segments(storage)) <= 17
        if number % 3 == 0:
            seen += [line.text for _, _, lines in reader.news([attempt]) for line in lines]
    assert len(segments(storage)) < 17
    log.close(LAST)
    seen += [line.text for stream, lines in reader.complete(attempt) for line in lines if stream == "stdout"]
    assert seen == written
    assert stored(storage) == written


def reaches(storage: MemoryStorage, size: int) -> bool:
    return written_bytes(storage) > size


def written_bytes(storage: MemoryStorage) -> int:
    """Return how far the log is stored, by object or by segments."""
    ends = [int(key.rpartition(".")[2]) + len(storage.objects.get(key, b"")) for key in segments(storage)]
    return max([*ends, len(storage.objects.get(f"{TASK}/0.task_stdout.log", b""))])


class Refusing(MemoryStorage):
    """A storage that is away as long as a test wants it so."""

    away = True

    def put(self, *arguments: object, **options: object) -> None:
        if self.away:
            raise StorageUnavailable("it is away")
        super().put(*arguments, **options)  # type: ignore[arg-type]


def test_a_storage_that_comes_back(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    storage = Refusing(str(tmp_path))
    log = SegmentWriter(lambda: storage, TASK, 0, 100, Pauses(after_error=0.01))
    log.append("stdout", [b"one"], 1000.0)
    said: list[str] = []

    def is_told() -> bool:
        said.append(capfd.readouterr().err)
        return "it is away" in "".join(said)

    eventually(is_told, "a word on it")
    log.append("stdout", [b"two"], 1001.0)
    storage.away = False
    eventually(lambda: stored(storage) == [b"one", b"two"], "a log without a gap")
    log.append("stdout", [b"three"], 1002.0)
    log.close(LAST)
    assert stored(storage) == [b"one", b"two", b"three"]
    assert segments(storage) == []
    assert capfd.readouterr().err == ""


def test_a_storage_that_stays_away(tmp_path: Path) -> None:
    log = SegmentWriter(lambda: Refusing(str(tmp_path)), TASK, 0, 100)
    with pytest.raises(StorageUnavailable):
        log.close(LAST)
