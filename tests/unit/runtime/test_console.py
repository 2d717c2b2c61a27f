"""Plain lines: their form, and how they go out."""

from __future__ import annotations

import errno
import io
import re
import time
from collections.abc import Callable

import pytest

from metaflow.runtime.console import PlainConsole, TaskLabel

LABEL = TaskLabel("7", "start", 1, "pid 4711")
NOW = 1_700_000_000.1239
STAMP = time.strftime("%Y-%m-%d %H:%M:%S.123", time.localtime(NOW))


class Terminal(io.TextIOWrapper):
    """A text stream over bytes that remembers each write, and may fail."""

    def __init__(self, encoding: str = "utf-8", error: OSError | None = None) -> None:
        self.bytes = io.BytesIO()
        super().__init__(self.bytes, encoding, write_through=True)
        self.writes: list[str] = []
        self.error = error

    def write(self, text: str) -> int:
        if self.error is not None:
            raise self.error
        count = super().write(text)
        self.writes.append(text)
        return count


class Turn:
    """One turn of an event loop: calls what was scheduled when it ends."""

    def __init__(self) -> None:
        self.scheduled: list[Callable[[], None]] = []

    def __call__(self, callback: Callable[[], None]) -> None:
        self.scheduled.append(callback)

    def end(self) -> None:
        scheduled, self.scheduled = self.scheduled, []
        for callback in scheduled:
            callback()


@pytest.fixture
def turn() -> Turn:
    return Turn()


def test_what_a_task_prints(turn: Turn) -> None:
    out = Terminal()
    PlainConsole(out, turn).task(LABEL, ["one", "", "  two\t"], NOW)
    turn.end()
    prefix = f"{STAMP} [7/start/1 (pid 4711)] "
    assert "".join(out.writes) == f"{prefix}one\n{prefix}\n{prefix}  two\t\n"


def test_status_and_remarks_have_the_time_of_now(turn: Turn) -> None:
    out = Terminal()
    console = PlainConsole(out, turn)
    before = time.time()
    console.status(LABEL, "Task starts.")
    console.run("Workflow starts (run-id 7).")
    turn.end()
    lines = "".join(out.writes).splitlines()
    form = r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\.\d{3} "
    for line, text in zip(
        lines, (r"\[7/start/1 \(pid 4711\)\] Task starts\.", r"Workflow starts \(run-id 7\)\."), strict=True
    ):
        match = re.fullmatch(form + text, line)
        assert match is not None, line
        stamp = time.mktime(time.strptime(match[1], "%Y-%m-%d %H:%M:%S"))
        assert int(before) <= stamp <= time.time()


@pytest.mark.parametrize(
    ("now", "fraction"), [(1.0, "000"), (1.9999999, "999"), (1.0009, "000"), (1.001, "000|001"), (0.5, "500")]
)
def test_milliseconds(now: float, fraction: str, turn: Turn) -> None:
    out = Terminal()
    PlainConsole(out, turn).task(LABEL, ["x"], now)
    turn.end()
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(int(now)))
    assert re.match(f"{stamp}\\.({fraction}) ", out.writes[0])


def test_the_clock_moves_on_and_back(turn: Turn) -> None:
    out = Terminal()
    console = PlainConsole(out, turn)
    for second in (10, 11, 10):
        console.task(LABEL, ["x"], second + 0.5)
    turn.end()
    stamps = [time.strftime("%Y-%m-%d %H:%M:%S.500", time.localtime(second)) for second in (10, 11, 10)]
    assert [line.partition(" [")[0] for line in out.writes[0].splitlines()] == stamps


def test_one_write_for_each_turn(turn: Turn) -> None:
    out = Terminal()
    console = PlainConsole(out, turn)
    for number in range(1000):
        console.task(LABEL, [f"line {number}", "more"], NOW)
        console.status(LABEL, "Task done.")
    assert out.writes == []
    assert len(turn.scheduled) == 1
    turn.end()
    assert len(out.writes) == 1
    assert out.writes[0].count("\n") == 3000
    turn.end()
    assert len(out.writes) == 1
    console.run("again")
    turn.end()
    assert len(out.writes) == 2


def test_close_prints_what_is_left(turn: Turn) -> None:
    out = Terminal()
    console = PlainConsole(out, turn)
    console.run("last words")
    console.progress(lambda: 1 / 0)  # type: ignore[arg-type,return-value]
    console.close()
    assert out.writes[0].endswith("last words\n")
    console.close()
    turn.end()
    assert len(out.writes) == 1


def test_a_terminal_that_cannot_show_a_letter(turn: Turn) -> None:
    out = Terminal("ascii")
    console = PlainConsole(out, turn)
    console.run("größer")
    turn.end()
    assert out.bytes.getvalue().endswith(b"gr\\xf6\\xdfer\n")


@pytest.mark.parametrize(
    "error", [BrokenPipeError(errno.EPIPE, "pipe"), OSError(errno.EIO, "terminal gone"), OSError(errno.ENOSPC, "full")]
)
def test_the_run_goes_on_when_nobody_reads(error: OSError, turn: Turn) -> None:
    console = PlainConsole(Terminal(error=error), turn)
    console.run("into the void")
    turn.end()
    console.run("again")
    console.close()


def test_the_run_goes_on_when_the_stream_is_closed(turn: Turn) -> None:
    out = Terminal()
    console = PlainConsole(out, turn)
    out.close()
    console.run("into the void")
    turn.end()
    console.close()
