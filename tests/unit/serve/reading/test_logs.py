from __future__ import annotations

import tracemalloc
from collections.abc import Sequence

import pytest

from metaflow.metadata_provider.protocol import TaskPath
from metaflow.serve.reading.logs import StoredLog
from metaflow.store import layout
from metaflow.store.layout import Segment, Source
from metaflow.store.logs.lines import format_line
from metaflow.store.memory import MemoryStorage

TASK = TaskPath("F", "1", "start", "2")


class Logs:
    """The log of one attempt, written as tests like."""

    def __init__(self) -> None:
        self.storage = MemoryStorage()
        self.count = 0

    def put(self, source: Source, data: bytes) -> None:
        self.storage.put([(layout.log(str(TASK), 0, "stdout", source), data)], overwrite=True)

    def segment(self, offset: int, data: bytes) -> None:
        self.storage.put([(Segment("2", 0, "stdout", offset).key("F/1"), data)])

    def open(self, is_over: bool = False) -> StoredLog:
        return StoredLog(self.storage, TASK, 0, "stdout", is_over=is_over)

    def whole(self, most: int, is_over: bool = True) -> list[str]:
        log, position, lines = self.open(is_over), "", list[str]()
        while True:
            part = log.slice(position, most)
            lines += [line.text for line in part.lines]
            if part.is_last or part.end == position:
                return lines
            position = part.end


@pytest.fixture
def logs() -> Logs:
    return Logs()


def stamped(texts: Sequence[str], begin: float = 0, step: float = 1, source: bytes = b"runtime") -> bytes:
    return b"".join(
        format_line(text.encode(), 1_700_000_000 + begin + step * index, f"{source.decode()}{index:06x}", source)
        for index, text in enumerate(texts)
    )


@pytest.mark.parametrize("most", [1, 100, 1000, 1 << 20])
def test_slices_have_every_line_once(logs: Logs, most: int) -> None:
    texts = [f"line {index}" for index in range(50)] + ["", "é\r\x1b[31m", "last"]
    logs.put("runtime", stamped(texts))
    assert logs.whole(most) == texts


@pytest.mark.parametrize("most", [1, 100, 1 << 20])
def test_two_files_are_merged_by_time(logs: Logs, most: int) -> None:
    logs.put("task", stamped([f"t{index}" for index in range(20)], source=b"task"))
    logs.put("runtime", stamped(["r0", "r1", "r2"], begin=4.5, step=5))
    expected = [f"t{index}" for index in range(20)]
    for text, before in (("r2", 15), ("r1", 10), ("r0", 5)):
        expected.insert(before, text)
    assert logs.whole(most) == expected


def test_a_line_that_is_in_both_files_comes_once(logs: Logs) -> None:
    data = stamped(["one", "two"])
    logs.put("task", data)
    logs.put("runtime", data)
    assert logs.whole(1 << 16) == ["one", "two"]


def test_a_slice_goes_on_where_the_last_one_ended_though_both_files_grow(logs: Logs) -> None:
    texts = stamped(["a", "b", "c"], source=b"task")
    logs.put("task", texts)
    first = logs.open().slice("", 1 << 16)
    logs.put("task", texts + stamped(["d"], begin=5, source=b"task"))
    logs.put("runtime", stamped(["late"], begin=1))
    second = logs.open().slice(first.end, 1 << 16)
    assert [line.text for line in second.lines] == ["late", "d"]
    assert not logs.open().slice(second.end, 1 << 16).lines


def test_half_a_line_waits_for_its_end(logs: Logs) -> None:
    data = stamped(["one", "two"])
    logs.put("runtime", data[:-2])
    first = logs.open().slice("", 1 << 16)
    assert [line.text for line in first.lines] == ["one"]
    logs.put("runtime", data)
    assert [line.text for line in logs.open().slice(first.end, 1 << 16).lines] == ["two"]
    logs.put("runtime", data[:-2])
    assert logs.whole(1 << 16) == ["one", "tw"]


def test_segments_of_a_remote_task_continue_its_log(logs: Logs) -> None:
    data = stamped([f"line {index}" for index in range(9)], source=b"task")
    third = len(data) // 3
    logs.put("task", data[:third])
    logs.segment(third, data[third : 2 * third])
    logs.segment(2 * third, data[2 * third :])
    logs.segment(0, data[:third])  # one that was put into the log and not yet deleted
    assert logs.whole(100, is_over=False) == [f"line {index}" for index in range(9)]
    logs.storage.delete([Segment("2", 0, "stdout", third).key("F/1")])
    assert len(logs.whole(100, is_over=False)) < 9  # a gap is waited for


def test_anywhere_in_the_middle(logs: Logs) -> None:
    logs.put("task", stamped([f"t{index:05}" for index in range(10_000)], source=b"task"))
    logs.put("runtime", stamped(["r0", "r1"], begin=4999.5, step=1000))
    part = logs.open(is_over=True).slice(0.5, 500)
    texts = [line.text for line in part.lines]
    assert texts[0] == "t05000"
    assert 0.4 < part.fraction < 0.6
    before = logs.open(is_over=True).slice(0.4999, 800)
    assert "r0" in [line.text for line in before.lines]
    assert logs.open().slice(1.0, 500).lines == ()
    assert logs.open().slice(0.0, 100).lines[0].text == "t00000"


def test_a_search_finds_texts_and_not_stamps(logs: Logs) -> None:
    logs.put("runtime", stamped(["Alpha", "beta runtime", "ALPHA again", "STRASSE", "straße É"]))
    log = logs.open()

    def found(text: str) -> list[str]:
        return [line.text for line in log.search(text, 10).lines]

    assert found("alpha") == ["Alpha", "ALPHA again"]
    assert found("runtime") == ["beta runtime"]
    assert found("MFLOG") == found("") == found("nope") == []
    assert found("É") == ["straße É"]
    cut = log.search("a", 2)
    assert (len(cut.lines), cut.is_cut) == (2, True)
    position = log.search("again", 10).positions[0]
    assert [line.text for line in log.slice(position, 1).lines] == ["ALPHA again"]


@pytest.mark.parametrize("position", ["", "x", "9999999.0", "1.", "r", "r99999999", "t5", "-1.0", -5.0, 7.0])
def test_any_position_is_answered(logs: Logs, position: str | float) -> None:
    logs.put("runtime", stamped(["one", "two"]))
    logs.open().slice(position, 100)


def test_lines_without_stamps_and_very_long_ones(logs: Logs) -> None:
    logs.put("runtime", b"plain\n" + b"x" * 600_000 + b"\nend\n")
    lines = logs.whole(1000)
    assert (lines[0], lines[-1]) == ("plain", "end")
    assert "".join(lines[1:-1]) == "x" * 600_000


def test_a_large_log_is_never_held(logs: Logs) -> None:
    logs.put("runtime", stamped(["x" * 100] * 100_000))
    log = logs.open(is_over=True)
    tracemalloc.start()
    assert len(log.slice(0.9, 1 << 16).lines) > 100
    assert log.search("needle", 10).positions == ()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # A storage in memory copies nothing to open an object; 16 MB are read.
    assert peak < 8 << 20
