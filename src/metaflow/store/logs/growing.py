"""Logs in an object store, where nothing can grow: collected in memory, and put as a whole again and again.

A log is put a second after its first line, then at intervals that grow with time and with its size, and when its task
ends. One thread does that, in order, so the engine never waits for a network. A killed engine takes what was not put
yet along.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from threading import Condition, Thread

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0
_BYTES_PER_SECOND = 200_000
"""A log is put again after as many seconds as its size divided by this, at least."""


def pause_after(pause: float, size: int) -> float:
    """Return the seconds until a log of `size` bytes is put again, if `pause` was waited for the last time."""
    return min(_LONGEST_PAUSE, max(2 * pause, size / _BYTES_PER_SECOND))


@dataclass(slots=True)
class _Log:
    content: bytearray = field(default_factory=bytearray)
    due: float | None = None  # None: all of it is stored
    pause: float = _FIRST_PAUSE
    is_complete: bool = False


class GrowingLogs:
    """Logs that are collected (`metaflow.store.protocol.LogSink`).

    Parameters
    ----------
    put : callable
        Stores ``(key, bytes)`` items.
    clock : callable
        Seconds.
    """

    def __init__(
        self, put: Callable[[Iterable[tuple[str, bytes]]], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._put = put
        self._clock = clock
        self._logs: dict[str, _Log] = {}
        self._change = Condition()
        self._thread: Thread | None = None
        self._closing = False
        self._error: Exception | None = None

    def append(self, key: str, data: bytes) -> None:
        with self._change:
            if self._error is not None:
                raise self._error
            log = self._logs.setdefault(key, _Log())
            log.content += data
            log.is_complete = False
            if log.due is None:
                log.due = self._clock() + log.pause
                self._wake()

    def complete(self, keys: Sequence[str]) -> None:
        with self._change:
            for key in keys:
                log = self._logs.get(key)
                if log is not None:
                    log.is_complete = True
                    log.due = self._clock()
                    self._wake()

    def close(self) -> None:
        with self._change:
            self._closing = True
            self._change.notify_all()
        if self._thread is not None:
            self._thread.join()
        if self._error is not None:
            raise self._error

    def _wake(self) -> None:
        if self._thread is None:
            self._thread = Thread(target=self._work, name="logs", daemon=True)
            self._thread.start()
        self._change.notify_all()

    def _work(self) -> None:
        try:
            while (items := self._next()) is not None:
                self._put(items)
        except Exception as error:  # noqa: BLE001 - raised where the next line is added, or at the end
            with self._change:
                self._error = error

    def _next(self) -> list[tuple[str, bytes]] | None:
        """Wait until something is due and return it; None when all is put and nothing more will come."""
        with self._change:
            while True:
                now = self._clock()
                waiting = {key: log.due for key, log in self._logs.items() if log.due is not None}
                due = [key for key, moment in waiting.items() if self._closing or moment <= now]
                if due:
                    return [(key, self._take(key)) for key in due]
                if self._closing:
                    return None
                self._change.wait(min(waiting.values()) - now if waiting else None)

    def _take(self, key: str) -> bytes:
        log = self._logs[key]
        log.due = None
        if log.is_complete:
            del self._logs[key]
        log.pause = pause_after(log.pause, len(log.content))
        return bytes(log.content)
