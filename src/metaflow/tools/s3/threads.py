"""Threads for the length of one call, which take jobs until there are none.

The clients let go of the interpreter's lock while they wait for the network, so threads are what overlaps. A job may
hand back further jobs, which go first: the parts of a big object are not behind ten thousand small ones. The caller's
own thread only waits, so that a signal or a time limit reaches it at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from threading import Condition, Thread
from time import monotonic
from typing import Any

Job = Callable[[], Iterable[Any] | None]
"""Does something; returns jobs that follow from it."""

_WAIT_AT_END = 2.0
"""Seconds for which an interrupted call waits for the requests under way."""


def work(jobs: Iterable[Job], width: int) -> None:
    """Do all `jobs`, `width` of them at a time; the iterable is read as threads get free.

    If a job raises, no other is begun, and the error is raised here.
    """
    _Threads(iter(jobs), width).run()


class _Threads:
    def __init__(self, jobs: Iterator[Job], width: int) -> None:
        self._ready: deque[Job] = deque(islice(jobs, width))
        self._jobs = jobs
        self._width = width
        self._threads: list[Thread] = []
        self._change = Condition()
        self._busy = 0
        self._over = False
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            with self._change:
                self._grow()
            for thread in self._threads:  # the list grows while it is read
                thread.join()
        except BaseException:
            with self._change:
                self._over = True
                self._change.notify_all()
            end = monotonic() + _WAIT_AT_END
            for thread in self._threads:
                thread.join(max(0.0, end - monotonic()))
            raise
        if self._error is not None:
            raise self._error

    def _grow(self) -> None:
        for _ in range(min(self._width - len(self._threads), len(self._ready))):
            thread = Thread(target=self._work, daemon=True)
            self._threads.append(thread)
            thread.start()

    def _work(self) -> None:
        while (job := self._take()) is not None:
            further: list[Job] = []
            try:
                further = list(job() or ())
            except BaseException as error:  # noqa: BLE001 - raised where the work was asked for
                with self._change:
                    self._error = self._error or error
                    self._over = True
            with self._change:
                self._busy -= 1
                self._ready.extendleft(reversed(further))
                if further:
                    self._grow()
                self._change.notify_all()

    def _take(self) -> Job | None:
        with self._change:
            while not self._over:
                job = self._ready.popleft() if self._ready else next(self._jobs, None)
                if job is not None:
                    self._busy += 1
                    return job
                if not self._busy:
                    return None
                self._change.wait()
            return None
