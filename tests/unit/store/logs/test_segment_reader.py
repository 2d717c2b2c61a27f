from __future__ import annotations

from pathlib import Path

import pytest

from metaflow.store.layout import END, EndMarker
from metaflow.store.logs import stored
from metaflow.store.logs.lines import format_line
from metaflow.store.logs.segment_reader import Attempt, SegmentReader
from metaflow.store.memory import MemoryStorage

TRAIN = Attempt("train", 7, 0)
OTHER = Attempt("train", 8, 1)


class Writer:
    """A supervisor's side of one stream: segments, and the log object that takes them up."""

    def __init__(self, storage: MemoryStorage, attempt: Attempt, stream: str = "stdout") -> None:
        self.storage = storage
        self.key = f"F/1/{attempt.step}/{attempt.task}/{attempt.attempt}.task_{stream}.log"
        self.live = f"F/1/_live/{attempt.task}.{attempt.attempt}.{stream}."
        self.data = b""

    def segment(self, *texts: str) -> None:
        data = b"".join(format_line(text.encode(), 1000.0, f"{len(self.data)}{text}") for text in texts)
        self.storage.put([(f"{self.live}{len(self.data):012d}", data)])
        self.data += data

    def take_up(self, keep: int = 0) -> None:
        """Put the log object and delete the segments, except for the last `keep`: where the supervisor may die."""
        self.storage.put([(self.key, self.data)], overwrite=True)
        mine = sorted(key for key in self.storage.objects if key.startswith(self.live))
        self.storage.delete(mine[: len(mine) - keep])


@pytest.fixture
def storage(tmp_path: Path) -> MemoryStorage:
    return MemoryStorage(str(tmp_path))


def news(live: SegmentReader, *attempts: Attempt) -> list[tuple[int, str, list[bytes]]]:
    return [(attempt.task, stream, [line.text for line in lines]) for attempt, stream, lines in live.news(attempts)]


def rest(live: SegmentReader, attempt: Attempt) -> dict[str, list[bytes]]:
    return {stream: [line.text for line in lines] for stream, lines in live.complete(attempt)}


def test_each_line_comes_once(storage: MemoryStorage) -> None:
    live = SegmentReader(storage, "F/1")
    out, err, other = Writer(storage, TRAIN), Writer(storage, TRAIN, "stderr"), Writer(storage, OTHER)
    assert news(live, TRAIN, OTHER) == []
    out.segment("a", "b")
    err.segment("trouble")
    assert news(live, TRAIN, OTHER) == [(7, "stdout", [b"a", b"b"]), (7, "stderr", [b"trouble"])]
    assert news(live, TRAIN, OTHER) == []
    out.segment("c")
    out.segment("d")
    other.segment("z")
    assert news(live, TRAIN, OTHER) == [(7, "stdout", [b"c", b"d"]), (8, "stdout", [b"z"])]
    assert news(live) == []


def test_segments_that_were_taken_up_before_they_were_seen(storage: MemoryStorage) -> None:
    live = SegmentReader(storage, "F/1")
    out = Writer(storage, TRAIN)
    out.segment("a")
    assert news(live, TRAIN) == [(7, "stdout", [b"a"])]
    out.segment("b")
    out.take_up()
    assert news(live, TRAIN) == []
    out.segment("c")
    assert news(live, TRAIN) == [(7, "stdout", [b"b", b"c"])]


def test_the_rest_after_a_good_end(storage: MemoryStorage) -> None:
    live = SegmentReader(storage, "F/1")
    out = Writer(storage, TRAIN)
    out.segment("a")
    assert news(live, TRAIN) == [(7, "stdout", [b"a"])]
    out.segment("b")
    out.take_up()
    assert rest(live, TRAIN) == {"stdout": [b"b"], "stderr": []}
    assert [line.text for line in stored.read(storage, "F/1/train/7", 0, "stdout")] == [b"a", b"b"]


def test_the_rest_of_one_that_told_its_end(storage: MemoryStorage) -> None:
    live = SegmentReader(storage, "F/1")
    out = Writer(storage, TRAIN)
    out.segment("a")
    assert news(live, TRAIN) == [(7, "stdout", [b"a"])]
    assert live.has_begun(TRAIN)
    assert not live.has_begun(OTHER)
    out.segment("b")
    out.take_up()
    marker = EndMarker("7", 0, END).key("F/1")
    storage.put([(marker, b"")])
    assert news(live) == []
    assert live.mark(TRAIN) == END
    whole = {stream: [line.text for line in lines] for stream, lines in live.rest(TRAIN)}
    assert whole == {"stdout": [b"b"], "stderr": []}
    assert marker in storage.objects, "it goes when there is time"
    assert news(live) == []
    assert marker not in storage.objects


@pytest.mark.parametrize("taken_up", [False, True], ids=["no log object", "log object is behind"])
def test_the_log_of_a_task_that_was_killed_is_made_whole(storage: MemoryStorage, taken_up: bool) -> None:
    live = SegmentReader(storage, "F/1")
    out = Writer(storage, TRAIN)
    out.segment("a")
    if taken_up:
        out.take_up(keep=1)
    out.segment("b")
    assert rest(live, TRAIN)["stdout"] == [b"a", b"b"]
    assert [line.text for line in stored.read(storage, "F/1/train/7", 0, "stdout")] == [b"a", b"b"]
    assert [key for key in storage.objects if "_live" in key] == []


def test_a_task_that_printed_nothing(storage: MemoryStorage) -> None:
    live = SegmentReader(storage, "F/1")
    assert rest(live, TRAIN) == {"stdout": [], "stderr": []}
    assert storage.objects == {}
