"""A remote task's log, stored while the task runs: by its supervisor, for the launcher and for good.

What is new is put as *segments*, at most once a second, the first a quarter of a second after it was printed; when
there are many, the log is put as a whole and the segments are deleted. So a log is its object and the segments beyond
its length, at any moment, whoever has died. In the end the log objects are whole, and no segment is left.
`metaflow.store.logs.segment_reader` is the other side.

One thread talks to the storage, so that a slow storage never holds up the task; it starts after the task, since the
storage's client must not exist when that is forked. Start reading at `SegmentWriter.append` and `_put_news`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from threading import Condition, Thread
from typing import NamedTuple

from metaflow.store import layout
from metaflow.store.layout import END, STREAMS, EndMarker, Mark, Segment
from metaflow.store.logs.stamp import Stamp
from metaflow.store.protocol import Storage

_SEGMENTS = 16
_SEGMENT_PER = 1 << 16
"""Bytes of a log for which there may be one segment more, so that a long log is not put as a whole all the time."""


class Pauses(NamedTuple):
    """Seconds to wait.

    Attributes
    ----------
    first : float
        From a line to the segment that has it, after a silence.
    between : float
        From one segment to the next.
    after_error : float
        From a failure of the storage to the next attempt.
    """

    first: float = 0.25
    between: float = 1.0
    after_error: float = 5.0


PAUSES = Pauses()


class SegmentWriter:
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
        Most bytes per stream, without the stamps.
    pauses : Pauses
        When something is put.
    """

    def __init__(
        self, storage: Callable[[], Storage], task: str, attempt: int, limit: int, pauses: Pauses = PAUSES
    ) -> None:
        self._open = storage
        self._opened: Storage | None = None
        flow, run, _, self._id = task.split("/")
        self._run = f"{flow}/{run}"
        self._attempt = attempt
        self._stamp = Stamp("task", limit)
        self._streams = {
            stream: _Stream(layout.log(task, attempt, stream, "task"), Segment(self._id, attempt, stream, 0), self._run)
            for stream in STREAMS
        }
        self._pauses = pauses
        self._change = Condition()
        self._thread: Thread | None = None
        self._due: float | None = None
        self._last_put = 0.0
        self._closing = False
        self._has_complained = False

    def start(self) -> None:
        """Connect to the storage, to be ready for the first line and for the end. Call it when the task is forked."""
        with self._change:
            if self._thread is None:
                self._thread = Thread(target=self._work, name="log", daemon=True)
                self._thread.start()

    def append(self, stream: str, lines: list[bytes], now: float) -> None:
        """Take lines that the task has printed."""
        stored = self._stamp.lines(stream, lines, now)
        with self._change:
            self._streams[stream].content += stored
            if stored and self._due is None:
                self._due = max(time.monotonic() + self._pauses.first, self._last_put + self._pauses.between)
                self.start()
                self._change.notify()

    def close(self, outcome: tuple[str, bytes], mark: Mark = END) -> None:
        """Put the whole logs and the outcome, mark the end, and delete the segments.

        Parameters
        ----------
        outcome : tuple of (str, bytes)
            A key and the object.
        mark : str
            Which end to mark: `metaflow.store.layout.END` or `STOPPED`.

        Raises
        ------
        MetaflowException
            The storage refuses.
        """
        with self._change:
            for name, stream in self._streams.items():
                stream.content += self._stamp.rest(name)
            self._closing = True
            self._change.notify()
        if self._thread is not None:
            self._thread.join()
        storage = self._storage()
        streams = self._streams.values()
        logs = [(each.key, bytes(each.content)) for each in streams if each.is_log_behind]
        storage.put([*logs, outcome], overwrite=True)
        storage.put([(EndMarker(self._id, self._attempt, mark).key(self._run), b"")], overwrite=True)
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
                self._complain(f"The task's log cannot be followed for now: {error}")
                with self._change:
                    self._due = time.monotonic() + self._pauses.after_error
                    for each in self._streams.values():
                        each.has_gap = True

    def _complain(self, text: str) -> None:
        if not self._has_complained:
            self._has_complained = True
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
            self._last_put = time.monotonic()
            news = [each.next_segment() for each in self._streams.values() if each.is_segment_due]
            whole = [(each, bytes(each.content)) for each in self._streams.values() if each.is_log_due]
        storage.put(news, overwrite=True)
        for each, content in whole:
            storage.put([(each.key, content)], overwrite=True)
            segments, each.segments, each.has_gap = each.segments, [], False
            each.in_log = each.stored = len(content)
            storage.delete(segments)


class _Stream:
    """One stream: its content, and what of it is where."""

    def __init__(self, key: str, first: Segment, run: str) -> None:
        self.key = key
        self.content = bytearray()
        self.stored = 0  # bytes that are in the log object or in segments
        self.in_log = 0  # bytes of the log object
        self.segments: list[str] = []
        self.has_gap = False  # a segment could not be put
        self._first = first
        self._run = run

    @property
    def is_log_behind(self) -> bool:
        """Whether the log object is not the whole log."""
        return self.in_log < len(self.content)

    @property
    def is_segment_due(self) -> bool:
        """Whether a segment is to be put: not after a gap, or a reader would miss what it has."""
        return self.stored < len(self.content) and not self.has_gap

    @property
    def is_log_due(self) -> bool:
        """Whether the log object is to be put as a whole."""
        return self.has_gap or len(self.segments) >= _SEGMENTS + len(self.content) // _SEGMENT_PER

    def next_segment(self) -> tuple[str, bytes]:
        key = self._first._replace(offset=self.stored).key(self._run)
        data = bytes(self.content[self.stored :])
        self.segments.append(key)
        self.stored = len(self.content)
        return key, data
