"""The stored logs of the tasks of a run: appended line by line as they come, so that they can be read at once.

A stream is cut at a limit (``--max-log-size``); what follows is neither stored nor shown, and a last line says so.
"""

from __future__ import annotations

from itertools import count

from metaflow.store.artifacts import TaskStore
from metaflow.store.logs import format_line
from metaflow.store.protocol import Storage


class TaskLog:
    """The two streams of one attempt.

    Parameters
    ----------
    storage : Storage
        Where it is kept.
    task : str
        ``flow/run/step/task``.
    attempt : int
        From 0.
    limit : int
        Bytes per stream.
    """

    def __init__(self, storage: Storage, task: str, attempt: int, limit: int) -> None:
        self._storage = storage
        store = TaskStore(storage, task)
        self._keys = {stream: store.key(attempt, f"runtime_{stream}.log") for stream in ("stdout", "stderr")}
        self._limit = limit
        self._size = dict.fromkeys(self._keys, 0)
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
        self._storage.append(
            self._keys[stream], b"".join(format_line(line, now, f"{next(self._serial):012x}") for line in kept)
        )
        return kept
