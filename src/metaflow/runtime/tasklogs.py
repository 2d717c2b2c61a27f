"""The stored logs of the tasks of a run, readable while the tasks run.

On a disk each line is appended as it comes. An object in an object store cannot grow: there a log is collected in
memory and put as a whole, a second after its first line, then at intervals that grow with time and with its size, and
when its task ends. One thread of the run does that, in order, so the engine never waits for a network. A killed engine
takes what was not put yet along.

A stream is cut at a limit (``--max-log-size``); what follows is neither stored nor shown, and a last line says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import count
from threading import Condition, Thread

from metaflow.store import layout
from metaflow.store.layout import STREAMS
from metaflow.store.logs import format_line
from metaflow.store.protocol import Storage

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0
_BYTES_PER_SECOND = 200_000
"""A log is put again after as many seconds as its size divided by this, at least."""


class TaskLogs:
    """The logs of a run.

    Parameters
    ----------
    storage : Storage
        Where they are kept.
    limit : int
        Most bytes per stream of an attempt.
    """

    def __init__(self, storage: Storage, limit: int) -> None:
        self._storage = storage
        self._limit = limit
        self._collector = LogCollector(storage) if storage.far else None

    def open(self, task: str, attempt: int) -> TaskLog:
        """Return the log of an attempt of ``flow/run/step/task``."""
        keys = {stream: layout.log(task, attempt, stream, "runtime") for stream in STREAMS}
        if self._collector is None:
            return TaskLog(keys, self._limit, self._storage.append, lambda keys: None)
        return TaskLog(keys, self._limit, self._collector.add, self._collector.settle)

    async def close(self) -> None:
        """Wait until all of it is stored.

        Raises
        ------
        metaflow.exception.StorageUnavailable
            Something could not be stored.
        """
        if self._collector is not None:
            import asyncio

            await asyncio.to_thread(self._collector.close)


class TaskLog:
    """The two streams of one attempt.

    Parameters
    ----------
    keys : dict of str to str
        Stream to storage key.
    limit : int
        Bytes per stream.
    write : callable
        Takes a key and what is to be added there.
    settle : callable
        Takes the keys to which nothing will be added any more.
    """

    def __init__(
        self,
        keys: dict[str, str],
        limit: int,
        write: Callable[[str, bytes], None],
        settle: Callable[[list[str]], None],
    ) -> None:
        self._keys = keys
        self._limit = limit
        self._write = write
        self._settle = settle
        self._size = dict.fromkeys(keys, 0)
        self._serial = count()

    def append(self, stream: str, lines: list[bytes], now: float) -> list[bytes]:
        """Store lines and return those to show: the same, or fewer where the limit is reached."""
        size = self._size[stream]
        if size > self._limit:
            return []
        kept = []
        for line in lines:
            size += len(line) + 1
            if size > self._limit:
                kept.append(line[: max(0, self._limit - size + len(line) + 1)])
                kept.append(b"[the rest of this log was cut: it is longer than --max-log-size]")
                break
            kept.append(line)
        self._size[stream] = size
        text = b"".join(format_line(line, now, f"{next(self._serial):012x}") for line in kept)
        self._write(self._keys[stream], text)
        return kept

    def close(self) -> None:
        """Note that the attempt has ended."""
        self._settle(list(self._keys.values()))


class _Growing:
    """A log that is collected."""

    __slots__ = ("content", "due", "pause", "settled")

    def __init__(self) -> None:
        self.content = bytearray()
        self.due: float | None = None  # None: all of it is stored
        self.pause = _FIRST_PAUSE
        self.settled = False


class LogCollector:
    """Objects that grow, in a storage where they cannot.

    Parameters
    ----------
    storage : Storage
        Where they are put.
    clock : callable
        Seconds.
    """

    def __init__(self, storage: Storage, clock: Callable[[], float] = time.monotonic) -> None:
        self._storage = storage
        self._clock = clock
        self._growing: dict[str, _Growing] = {}
        self._change = Condition()
        self._thread: Thread | None = None
        self._closing = False
        self._error: Exception | None = None

    def add(self, key: str, data: bytes) -> None:
        """Add to an object.

        Raises
        ------
        metaflow.exception.StorageUnavailable
            An earlier object could not be put.
        """
        with self._change:
            if self._error is not None:
                raise self._error
            log = self._growing.setdefault(key, _Growing())
            log.content += data
            log.settled = False
            if log.due is None:
                log.due = self._clock() + log.pause
                self._wake()

    def settle(self, keys: list[str]) -> None:
        """Put objects soon, and forget them then."""
        with self._change:
            for key in keys:
                log = self._growing.get(key)
                if log is not None:
                    log.settled = True
                    log.due = self._clock()
                    self._wake()

    def close(self) -> None:
        """Put all that is left.

        Raises
        ------
        metaflow.exception.StorageUnavailable
            Something could not be put.
        """
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
                self._storage.put(items, overwrite=True)
        except Exception as error:  # noqa: BLE001 - raised where the next line is added, or at the end
            with self._change:
                self._error = error

    def _next(self) -> list[tuple[str, bytes]] | None:
        """Wait until something is due and return it; None when all is put and nothing more will come."""
        with self._change:
            while True:
                now = self._clock()
                waiting = {key: log for key, log in self._growing.items() if log.due is not None}
                due = [key for key, log in waiting.items() if self._closing or (log.due or 0) <= now]
                if due:
                    return [(key, self._take(key, now)) for key in due]
                if self._closing:
                    return None
                earliest = min((log.due or 0 for log in waiting.values()), default=None)
                self._change.wait(None if earliest is None else earliest - now)

    def _take(self, key: str, now: float) -> bytes:
        log = self._growing[key]
        log.due = None
        if log.settled:
            del self._growing[key]
        log.pause = min(_LONGEST_PAUSE, max(2 * log.pause, len(log.content) / _BYTES_PER_SECOND))
        return bytes(log.content)
