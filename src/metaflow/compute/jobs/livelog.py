"""What remote tasks print, read from the storage while they run.

A task's supervisor keeps its log in the storage: a log object per stream, and below one prefix per run *segments*, the
newest bytes, each named by the offset at which it continues the log::

    <flow>/<run>/<step>/<task>/<attempt>.task_<stream>.log
    <flow>/<run>/_live/<task>.<attempt>.<stream>.<offset>
    <flow>/<run>/_live/<task>.<attempt>.<mark>                  the attempt's outcome is there

So a log is its object and the segments beyond its length, at any moment, whoever has died. One listing per turn finds
what is new of all tasks of a run, however many run, and which have ended: sooner than the backend tells.

Start reading at `LiveLogs.news`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from metaflow.exception import StorageUnavailable
from metaflow.store.layout import STREAMS
from metaflow.store.logs import Line, parse
from metaflow.store.protocol import Storage

END, STOPPED = "end", "stopped"
"""Marks: the task came to its end; somebody asked it to end before, and whoever runs its container knows why."""


def marker(run: str, task: int | str, attempt: int, mark: str) -> str:
    """Return the key of the object that says that an attempt has ended and its outcome is there.

    Parameters
    ----------
    run : str
        ``flow/run``.
    task : int or str
        The task's id.
    attempt : int
        From 0.
    mark : str
        `END` or `STOPPED`.
    """
    return f"{run}/_live/{task}.{attempt}.{mark}"


class Attempt(NamedTuple):
    """Whose log."""

    step: str
    task: int
    attempt: int


class LiveLogs:
    """The logs of a run's remote tasks. Not for two threads at once; every method waits for the storage.

    Parameters
    ----------
    storage : Storage
        Where they are.
    run : str
        ``flow/run``.
    """

    def __init__(self, storage: Storage, run: str) -> None:
        self._storage = storage
        self._run = run
        self._seen: dict[tuple[int, int, str], int] = {}  # bytes of the log that were handed out
        self._begun: set[tuple[int, int]] = set()
        self._marks: dict[tuple[int, int], str] = {}
        self._markers: deque[str] = deque()  # of ends that were heard

    def news(self, attempts: Iterable[Attempt]) -> list[tuple[Attempt, str, list[Line]]]:
        """Return what running attempts have printed since the last time."""
        segments = self._segments()
        self.forget()
        found = []
        for attempt in attempts:
            for stream in STREAMS:
                offsets = segments.get((attempt.task, attempt.attempt, stream))
                lines = self._advance(attempt, stream, offsets) if offsets else []
                if lines:
                    found.append((attempt, stream, lines))
        return found

    def has_begun(self, attempt: Attempt) -> bool:
        """Tell whether, the last time that `news` looked, there was anything of this attempt."""
        return (attempt.task, attempt.attempt) in self._begun

    def mark(self, attempt: Attempt) -> str | None:
        """Return the mark of an attempt whose supervisor had done all, the last time that `news` looked."""
        return self._marks.get((attempt.task, attempt.attempt))

    def rest(self, attempt: Attempt) -> list[tuple[str, list[Line]]]:
        """Return what has not been handed out of an attempt that has ended, and make its log whole.

        If its supervisor came to its end, the log object is whole; else it is completed here from the segments.
        """
        segments = self._segments()
        found = []
        for stream in STREAMS:
            whole = self._log(attempt, stream)
            offsets = segments.get((attempt.task, attempt.attempt, stream), [])
            keys = [self._segment(attempt, stream, offset) for offset in offsets]
            beyond = [key for key, offset in zip(keys, offsets, strict=True) if offset >= len(whole)]
            parts = [data or b"" for _, data in self._storage.get(beyond)]
            if parts:
                whole += b"".join(parts)
                self._storage.put([(self._key(attempt, stream), whole)], overwrite=True)
            self._storage.delete(keys)
            seen = self._seen.pop((attempt.task, attempt.attempt, stream), 0)
            found.append((stream, list(parse(whole[seen:]))))
        self._drop_mark(attempt)
        return found

    def rest_of_whole(self, attempt: Attempt) -> list[tuple[str, list[Line]]]:
        """Return what has not been handed out of an attempt whose supervisor came to its end: its log is whole.

        Several of these may run at once, and beside `news`.
        """
        self._drop_mark(attempt)
        logs = self._storage.get([self._key(attempt, stream) for stream in STREAMS])
        seen = [self._seen.pop((attempt.task, attempt.attempt, stream), 0) for stream in STREAMS]
        return [
            (stream, list(parse((whole or b"")[begin:])))
            for stream, begin, (_, whole) in zip(STREAMS, seen, logs, strict=True)
        ]

    def _drop_mark(self, attempt: Attempt) -> None:
        mark = self.mark(attempt)
        if mark is not None:
            self._markers.append(marker(self._run, attempt.task, attempt.attempt, mark))

    def forget(self) -> None:
        """Remove the markers of the ends that were heard; whether that works is of no weight."""
        markers = [self._markers.popleft() for _ in range(len(self._markers))]
        try:
            self._storage.delete(markers)
        except StorageUnavailable:
            pass

    def _advance(self, attempt: Attempt, stream: str, offsets: list[int]) -> list[Line]:
        """Hand out the segments that continue what was handed out before, or the log object if they start later."""
        place = (attempt.task, attempt.attempt, stream)
        seen = self._seen.get(place, 0)
        new = [offset for offset in offsets if offset >= seen]
        data = b""
        if new and new[0] > seen:  # put into the log object before they were seen here
            data = self._log(attempt, stream)[seen:]
            new = [offset for offset in new if offset >= seen + len(data)]
        parts = self._storage.get([self._segment(attempt, stream, offset) for offset in new])
        for offset, (_, part) in zip(new, parts, strict=True):
            if part is None or offset != seen + len(data):
                break  # moved into the log object just now: the next turn finds it there
            data += part
        self._seen[place] = seen + len(data)
        return list(parse(data))

    def _segments(self) -> dict[tuple[int, int, str], list[int]]:
        """Return the offsets of the segments there are, in order, by task, attempt and stream."""
        found: dict[tuple[int, int, str], list[int]] = {}
        marks = {}
        for key, _ in self._storage.list(f"{self._run}/_live"):
            parts = key.rpartition("/")[2].split(".")
            if len(parts) == 4 and parts[0].isdecimal() and parts[1].isdecimal() and parts[3].isdecimal():
                found.setdefault((int(parts[0]), int(parts[1]), parts[2]), []).append(int(parts[3]))
            elif len(parts) == 3 and parts[2] in (END, STOPPED) and parts[0].isdecimal() and parts[1].isdecimal():
                marks[int(parts[0]), int(parts[1])] = parts[2]
        for offsets in found.values():
            offsets.sort()
        self._marks = marks
        self._begun = {*marks, *((task, attempt) for task, attempt, _ in found)}
        return found

    def _log(self, attempt: Attempt, stream: str) -> bytes:
        return next(iter(self._storage.get([self._key(attempt, stream)])))[1] or b""

    def _key(self, attempt: Attempt, stream: str) -> str:
        return f"{self._run}/{attempt.step}/{attempt.task}/{attempt.attempt}.task_{stream}.log"

    def _segment(self, attempt: Attempt, stream: str, offset: int) -> str:
        return f"{self._run}/_live/{attempt.task}.{attempt.attempt}.{stream}.{offset:012d}"
