"""What remote tasks print, read from the storage while they run.

A task's supervisor stores its log as a log object per stream and, below one prefix per run, as segments, each named by
the offset at which it continues the log (`metaflow.store.logs.segment_writer`). One listing per turn finds what is new
of all tasks of a run, however many run, and which have ended: sooner than the backend tells.

Start reading at `SegmentReader.news`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from metaflow.exception import StorageUnavailable
from metaflow.store import layout
from metaflow.store.layout import STREAMS, EndMarker, Mark, Segment
from metaflow.store.logs.lines import Line, parse
from metaflow.store.protocol import Storage


class Attempt(NamedTuple):
    """Whose log."""

    step: str
    task: int
    attempt: int


class _Listing(NamedTuple):
    """The objects below a run's live prefix, as one request saw them; by task and attempt."""

    segments: dict[tuple[str, int], list[Segment]]
    ends: dict[tuple[str, int], EndMarker]

    def of(self, attempt: Attempt, stream: str) -> list[Segment]:
        """Return the segments of a stream in order."""
        found = self.segments.get((str(attempt.task), attempt.attempt), ())
        return sorted(segment for segment in found if segment.stream == stream)


class SegmentReader:
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
        self._returned: dict[tuple[Attempt, str], int] = {}  # bytes of the log
        self._listing = _Listing({}, {})
        self._obsolete: deque[EndMarker] = deque()

    def news(self, attempts: Iterable[Attempt]) -> list[tuple[Attempt, str, list[Line]]]:
        """Return what running attempts have printed since the last time."""
        self._listing = self._list()
        self.delete_markers()
        found = []
        for attempt in attempts:
            for stream in STREAMS:
                segments = self._listing.of(attempt, stream)
                lines = self._advance(attempt, stream, segments) if segments else []
                if lines:
                    found.append((attempt, stream, lines))
        return found

    def has_begun(self, attempt: Attempt) -> bool:
        """Tell whether, the last time that `news` looked, there was anything of this attempt."""
        name = str(attempt.task), attempt.attempt
        return name in self._listing.segments or name in self._listing.ends

    def mark(self, attempt: Attempt) -> Mark | None:
        """Return how an attempt has ended whose supervisor had done all, the last time that `news` looked."""
        end = self._listing.ends.get((str(attempt.task), attempt.attempt))
        return end.mark if end is not None else None

    def complete(self, attempt: Attempt) -> list[tuple[str, list[Line]]]:
        """Return what has not been returned of an attempt that has ended, and make its log whole.

        If its supervisor came to its end, the log object is whole; else it is completed here from the segments.
        """
        self._listing = self._list()
        found = []
        for stream in STREAMS:
            log = self._log(attempt, stream)
            segments = self._listing.of(attempt, stream)
            further = [segment.key(self._run) for segment in segments if segment.offset >= len(log)]
            parts = [data or b"" for _, data in self._storage.get(further)]
            if parts:
                log += b"".join(parts)
                self._storage.put([(self._log_key(attempt, stream), log)], overwrite=True)
            self._storage.delete([segment.key(self._run) for segment in segments])
            found.append((stream, self._rest_of(attempt, stream, log)))
        self._forget_end(attempt)
        return found

    def rest(self, attempt: Attempt) -> list[tuple[str, list[Line]]]:
        """Return what has not been returned of an attempt whose supervisor came to its end: its log is whole.

        Several of these may run at once, and beside `news`.
        """
        self._forget_end(attempt)
        logs = self._storage.get([self._log_key(attempt, stream) for stream in STREAMS])
        return [
            (stream, self._rest_of(attempt, stream, log or b"")) for stream, (_, log) in zip(STREAMS, logs, strict=True)
        ]

    def delete_markers(self) -> None:
        """Delete the markers of the ends that were heard; whether that works is of no weight."""
        obsolete = [self._obsolete.popleft().key(self._run) for _ in range(len(self._obsolete))]
        try:
            self._storage.delete(obsolete)
        except StorageUnavailable:
            pass

    def _forget_end(self, attempt: Attempt) -> None:
        end = self._listing.ends.get((str(attempt.task), attempt.attempt))
        if end is not None:
            self._obsolete.append(end)

    def _rest_of(self, attempt: Attempt, stream: str, log: bytes) -> list[Line]:
        return list(parse(log[self._returned.pop((attempt, stream), 0) :]))

    def _advance(self, attempt: Attempt, stream: str, segments: list[Segment]) -> list[Line]:
        """Return the segments that continue what was returned before, or the log object if they start later."""
        begin = self._returned.get((attempt, stream), 0)
        new = [segment for segment in segments if segment.offset >= begin]
        data = b""
        if new and new[0].offset > begin:  # put into the log object before they were seen here
            data = self._log(attempt, stream)[begin:]
            new = [segment for segment in new if segment.offset >= begin + len(data)]
        parts = self._storage.get([segment.key(self._run) for segment in new])
        for segment, (_, part) in zip(new, parts, strict=True):
            if part is None or segment.offset != begin + len(data):
                break  # moved into the log object just now: the next turn finds it there
            data += part
        self._returned[attempt, stream] = begin + len(data)
        return list(parse(data))

    def _list(self) -> _Listing:
        listing = _Listing({}, {})
        for key, _ in self._storage.list(layout.live(self._run)):
            match layout.parse_live(key):
                case Segment() as segment:
                    listing.segments.setdefault((segment.task, segment.attempt), []).append(segment)
                case EndMarker() as end:
                    listing.ends[end.task, end.attempt] = end
        return listing

    def _log(self, attempt: Attempt, stream: str) -> bytes:
        return next(iter(self._storage.get([self._log_key(attempt, stream)])))[1] or b""

    def _log_key(self, attempt: Attempt, stream: str) -> str:
        return layout.log(f"{self._run}/{attempt.step}/{attempt.task}", attempt.attempt, stream, "task")
