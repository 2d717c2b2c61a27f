"""What a run says while it lives: one line for each thing, as it happens.

A line is ``2026-01-31 12:00:00.123 [RUN/STEP/TASK (pid N)] text`` for what concerns a task, and the same without the
bracket for what concerns the run. Lines go out in one write per turn of the event loop, so ten thousand short tasks do
not mean ten thousand system calls. Where these lines go on a terminal is `metaflow.runtime.live`'s matter.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol, TextIO


class TaskLabel(NamedTuple):
    """How a task is named on the console."""

    run: str
    step: str
    task: int
    where: str

    def __str__(self) -> str:
        return f"[{self.run}/{self.step}/{self.task} ({self.where})]"


class StepCount(NamedTuple):
    """How far a step is."""

    step: str
    done: int
    running: int
    waiting: int
    failed: int


class Console(Protocol):
    """Where a run's lines go."""

    def task(self, label: TaskLabel, lines: Iterable[str], now: float) -> None:
        """Print what a task printed."""

    def status(self, label: TaskLabel, text: str) -> None:
        """Print that a task has started or ended."""

    def run(self, text: str) -> None:
        """Print something about the run."""

    def progress(self, steps: Callable[[], list[StepCount]]) -> None:
        """Take notice that counts have changed; `steps` tells them."""

    def close(self) -> None:
        """Print all that is left."""


class SilentConsole:
    """Shows nothing."""

    def __init__(self, loop: object = None) -> None:
        pass

    def task(self, label: TaskLabel, lines: Iterable[str], now: float) -> None:
        pass

    def status(self, label: TaskLabel, text: str) -> None:
        pass

    def run(self, text: str) -> None:
        pass

    def progress(self, steps: Callable[[], list[StepCount]]) -> None:
        pass

    def close(self) -> None:
        pass


class PlainConsole:
    """Plain lines into a text stream, as they come.

    Parameters
    ----------
    out : text stream
        Where they go.
    schedule : callable
        Calls its argument at the end of this turn of the event loop.
    """

    def __init__(self, out: TextIO, schedule: Callable[[Callable[[], None]], object]) -> None:
        self._out = out
        self._schedule = schedule
        self._lines: list[str] = []
        self._second = -1
        self._stamp = ""

    def task(self, label: TaskLabel, lines: Iterable[str], now: float) -> None:
        prefix = f"{self._time(now)} {label} "
        for line in lines:
            self._add(prefix + line)

    def status(self, label: TaskLabel, text: str) -> None:
        self._add(f"{self._time(time.time())} {label} {text}")

    def run(self, text: str) -> None:
        self._add(f"{self._time(time.time())} {text}")

    def progress(self, steps: Callable[[], list[StepCount]]) -> None:
        pass

    def close(self) -> None:
        self._flush()

    def _add(self, line: str) -> None:
        if not self._lines:
            self._schedule(self._flush)
        self._lines.append(line)

    def _flush(self) -> None:
        if not self._lines:
            return
        text = "\n".join(self._lines) + "\n"
        self._lines.clear()
        try:
            try:
                self._out.write(text)
            except UnicodeEncodeError:
                self._out.write(text.encode("ascii", "backslashreplace").decode())
            self._out.flush()
        except (OSError, ValueError):
            pass  # nobody reads any more, or the disk below is full; the run goes on

    def _time(self, now: float) -> str:
        second = int(now)
        if second != self._second:
            self._second = second
            self._stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))
        return f"{self._stamp}.{int((now - second) * 1000):03d}"
