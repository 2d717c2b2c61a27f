"""The console on a terminal: plain lines, and below them a table of steps once a run is long or wide.

Short runs look as they do in a pipe. When a run has lasted a few seconds or started dozens of tasks, the lines about
single tasks stop and a table takes their place: per step, how many are done, run, wait, and at what rate. What tasks
print, and failures, still go above it, line by line. `rich` draws; it is imported only then.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, TextIO

from metaflow.runtime.console import PlainConsole, StepCount, TaskLabel

_AFTER_TASKS = 40
_AFTER_SECONDS = 4.0
_REFRESH_SECONDS = 0.2
_RATE_SECONDS = 5.0


class LiveConsole(PlainConsole):
    """A `Console` for a terminal.

    Parameters
    ----------
    out : text stream
        The terminal.
    schedule : callable
        Calls its argument at the end of this turn of the event loop.
    call_later : callable
        Calls its second argument after a number of seconds.
    """

    def __init__(
        self,
        out: TextIO,
        schedule: Callable[[Callable[[], None]], object],
        call_later: Callable[[float, Callable[[], None]], object],
    ) -> None:
        super().__init__(out, schedule)
        self._call_later = call_later
        self._began = time.monotonic()
        self._started = 0
        self._display: Any = None
        self._due = False
        self._steps: Callable[[], list[StepCount]] = list
        self._past: deque[tuple[float, dict[str, int]]] = deque()

    def status(self, label: TaskLabel, text: str) -> None:
        self._started += text.startswith("Task starts")
        if self._display is None or "failed" in text:
            super().status(label, text)

    def progress(self, steps: Callable[[], list[StepCount]]) -> None:
        self._steps = steps
        if not self._due:
            self._due = True
            self._call_later(_REFRESH_SECONDS, self._refresh)

    def close(self) -> None:
        self._flush()
        if self._display is not None:
            self._display.update(self._table())
            self._display.stop()
            self._display = None

    def _refresh(self) -> None:
        self._due = False
        long = time.monotonic() - self._began > _AFTER_SECONDS
        if self._display is None and (long or self._started > _AFTER_TASKS):
            from rich.console import Console
            from rich.live import Live

            self._flush()
            self._display = Live(console=Console(file=self._out), auto_refresh=False)
            self._display.start()
        if self._display is not None:
            self._display.update(self._table(), refresh=True)
            if any(count.running or count.waiting for count in self._steps()):
                self.progress(self._steps)

    def _flush(self) -> None:
        if self._display is None:
            super()._flush()
            return
        lines, self._lines = self._lines, []
        if lines:
            self._display.console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)

    def _table(self) -> Any:
        from rich.table import Table

        now, steps = time.monotonic(), self._steps()
        self._past.append((now, {count.step: count.done for count in steps}))
        while now - self._past[0][0] > _RATE_SECONDS:
            self._past.popleft()
        table = Table(box=None, pad_edge=False)
        table.add_column("step")
        for column in ("done", "running", "waiting", "failed", "per second"):
            table.add_column(column, justify="right")
        for count in steps:
            if any(count[1:]):
                table.add_row(count.step, *_numbers(count[1:]), self._rate(count, now))
        return table

    def _rate(self, count: StepCount, now: float) -> str:
        then, before = self._past[0]
        if not count.running or now - then < 1:
            return ""
        return f"{(count.done - before.get(count.step, 0)) / (now - then):.1f}"


def _numbers(values: Iterable[int]) -> list[str]:
    return [str(value) if value else "" for value in values]
