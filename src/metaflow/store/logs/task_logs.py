"""The stored logs of the local tasks of a run: stamped by the engine, readable while the tasks run.

How a log grows is the storage's matter (`metaflow.store.protocol.LogSink`): appended to on a disk, collected for an
object store.
"""

from __future__ import annotations

from metaflow.store import layout
from metaflow.store.layout import STREAMS
from metaflow.store.logs.stamp import Stamp
from metaflow.store.protocol import LogSink, Storage


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
        self._sink = storage.log_sink()
        self._limit = limit

    def open(self, task: str, attempt: int) -> TaskLog:
        """Return the log of an attempt of ``flow/run/step/task``."""
        return TaskLog(self._sink, task, attempt, self._limit)

    async def close(self) -> None:
        """Wait until all of it is stored.

        Raises
        ------
        metaflow.exception.StorageUnavailable
            Something could not be stored.
        """
        import asyncio

        await asyncio.to_thread(self._sink.close)


class TaskLog:
    """The two streams of one attempt.

    Parameters
    ----------
    sink : LogSink
        Where they are stored.
    task : str
        ``flow/run/step/task``.
    attempt : int
        From 0.
    limit : int
        Most bytes per stream.
    """

    def __init__(self, sink: LogSink, task: str, attempt: int, limit: int) -> None:
        self._sink = sink
        self._keys = {stream: layout.log(task, attempt, stream, "runtime") for stream in STREAMS}
        self._stamp = Stamp("runtime", limit)

    def append(self, stream: str, lines: list[bytes], now: float) -> None:
        """Store lines."""
        self._store(stream, self._stamp.lines(stream, lines, now))

    def close(self) -> None:
        """Store the end of what is longer than its limit, and note that the attempt has ended."""
        for stream in STREAMS:
            self._store(stream, self._stamp.rest(stream))
        self._sink.complete(list(self._keys.values()))

    def _store(self, stream: str, data: bytes) -> None:
        if data:
            self._sink.append(self._keys[stream], data)
