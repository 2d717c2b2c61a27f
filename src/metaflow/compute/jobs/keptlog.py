"""A task's log, kept in the storage while the task runs: by its supervisor, for the launcher and for good.

What is new is put as *segments*, at most once a second, the first a quarter of a second after it was printed; when
there are many, the log object is put as a whole and the segments go. `metaflow.compute.jobs.livelog` is the other
side and has the names. In the end the log objects are whole, and no segment is left. One thread talks to the storage,
so that a slow storage never holds up the task; it starts after the task, since the storage's client must not exist when
that is forked.

Start reading at `KeptLog.add` and `KeptLog._put_news`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from itertools import count
from threading import Condition, Thread

from metaflow.compute.jobs.livelog import END, marker
from metaflow.store import layout
from metaflow.store.layout import STREAMS
from metaflow.store.logs import format_line
from metaflow.store.protocol import Storage

_FIRST = 0.25
_PAUSE = 1.0
_AWAY = 5.0
_SEGMENTS = 16
_SEGMENT_PER = 1 << 16
"""Bytes of a log for which there may be one segment more, so that a long log is not put as a whole all the time."""
_CUT = b"[the rest of this log was cut: it is longer than --max-log-size]"


class KeptLog:
    """Both streams of one attempt.

    Parameters
    ----------
    storage : callable
        Returns the storage; called once, in the thread.
    task : str
        ``flow/run/step/task``.
    attempt : int
        From 0.
    limit : int
        Most bytes per stream, without what each line is stored behind.
    """

    def __init__(self, storage: Callable[[], Storage], task: str, attempt: int, limit: int) -> None:
        self._open = storage
        self._opened: Storage | None = None
        flow, run, _, id = task.split("/")
        self._streams = {
            stream: _Stream(
                layout.log(task, attempt, stream, "task"), f"{flow}/{run}/_live/{id}.{attempt}.{stream}", limit
            )
            for stream in STREAMS
        }
        self._attempt = (f"{flow}/{run}", id, attempt)
        self._change = Condition()
        self._thread: Thread | None = None
        self._due: float | None = None
        self._last = 0.0
        self._closing = False
        self._said = False

    def start(self) -> None:
        """Get ready for the first line, and for the end: connect to the storage. Call it when the task is forked."""
        with self._change:
            if self._thread is None:
                self._thread = Thread(target=self._work, name="log", daemon=True)
                self._thread.start()

    def add(self, stream: str, lines: list[bytes], now: float) -> list[bytes]:
        """Take lines that the task has printed; return those that are kept: fewer where the limit is reached."""
        with self._change:
            kept = self._streams[stream].add(lines, now)
            if kept and self._due is None:
                clock = time.monotonic()
                self._due = max(clock + _FIRST, self._last + _PAUSE)
                self.start()
                self._change.notify()
        return kept

    def close(self, last: tuple[str, bytes], mark: str = END) -> None:
        """Put the whole logs and one last object, mark the end, and remove the segments.

        Parameters
        ----------
        last : tuple of (str, bytes)
            A key and the object.
        mark : str
            Which end to mark: see `metaflow.compute.jobs.livelog`.

        Raises
        ------
        MetaflowException
            The storage refuses.
        """
        with self._change:
            self._closing = True
            self._change.notify()
        if self._thread is not None:
            self._thread.join()
        storage = self._storage()
        streams = self._streams.values()
        logs = [(each.key, bytes(each.content)) for each in streams if each.is_behind]
        storage.put([*logs, last], overwrite=True)
        storage.put([(marker(*self._attempt, mark), b"")], overwrite=True)
        storage.delete([key for each in streams for key in each.segments])

    def _storage(self) -> Storage:
        if self._opened is None:
            self._opened = self._open()
        return self._opened

    def _work(self) -> None:
        try:
            self._storage()
        except Exception:  # noqa: BLE001 - whatever it is comes again, when there is something to put
            pass
        while self._wait():
            try:
                self._put_news(self._storage())
            except Exception as error:  # noqa: BLE001 - whatever it is, the task goes on, and `close` tries again
                self._say(f"The task's log cannot be followed for now: {error}")
                with self._change:
                    self._due = time.monotonic() + _AWAY
                    for each in self._streams.values():
                        each.has_gap = True

    def _say(self, text: str) -> None:
        if not self._said:
            self._said = True
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()

    def _wait(self) -> bool:
        """Wait until something is due; False if all is over."""
        with self._change:
            while not self._closing and (self._due is None or self._due > time.monotonic()):
                self._change.wait(None if self._due is None else max(0.0, self._due - time.monotonic()))
            return not self._closing

    def _put_news(self, storage: Storage) -> None:
        with self._change:
            self._due = None
            self._last = time.monotonic()
            news = [each.next_segment() for each in self._streams.values() if each.is_behind_segments]
            whole = [(each, len(each.content), bytes(each.content)) for each in self._streams.values() if each.is_due]
        storage.put(news, overwrite=True)
        for each, size, content in whole:
            storage.put([(each.key, content)], overwrite=True)
            segments, each.segments, each.has_gap = each.segments, [], False
            each.whole = each.put = size
            storage.delete(segments)


class _Stream:
    """One stream: its content, and what of it is where."""

    def __init__(self, key: str, prefix: str, limit: int) -> None:
        self.key = key
        self.content = bytearray()
        self.put = 0  # bytes that are in the log object or in segments
        self.whole = 0  # bytes of the log object
        self.segments: list[str] = []
        self.has_gap = False  # a segment could not be put
        self._prefix = prefix
        self._left = limit
        self._serial = count()

    @property
    def is_behind(self) -> bool:
        """Whether the log object is not the whole log."""
        return self.whole < len(self.content)

    @property
    def is_behind_segments(self) -> bool:
        """Whether a segment is to be put: not after a gap, or a reader would miss what it has."""
        return self.put < len(self.content) and not self.has_gap

    @property
    def is_due(self) -> bool:
        """Whether the log object is to be put as a whole."""
        return self.has_gap or len(self.segments) >= _SEGMENTS + len(self.content) // _SEGMENT_PER

    def add(self, lines: list[bytes], now: float) -> list[bytes]:
        kept = []
        for line in lines:
            if self._left < 0:
                break
            part = line[: self._left]
            self._left -= len(line) + 1
            if part or self._left >= 0:
                kept.append(part)
            if self._left < 0:
                kept.append(_CUT)
        for line in kept:
            self.content += format_line(line, now, f"{next(self._serial):012x}", b"task")
        return kept

    def next_segment(self) -> tuple[str, bytes]:
        key = f"{self._prefix}.{self.put:012d}"
        data = bytes(self.content[self.put :])
        self.segments.append(key)
        self.put = len(self.content)
        return key, data
