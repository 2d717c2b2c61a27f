"""What is stored of the lines that an attempt prints: their beginning and end within a limit, each line stamped. Pure.

Lines are stored as they come, until they have used most of what a log may have. Then the newest are held back, as many
as there is room for, and stored when the attempt has ended, behind a line that says what was left out: the end of a log
has the traceback. A log that is within the limit has all lines.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import count
from typing import NamedTuple

from metaflow.store.layout import STREAMS, Source
from metaflow.store.logs.lines import format_line

_END_PART = 4
_END_BYTES = 1_000_000
"""Room for the end of a log: a fourth of its limit, and no more than this, since it is held in memory."""


class _Held(NamedTuple):
    text: bytes
    time: float
    ident: str


class _Log:
    """One stream of an attempt."""

    def __init__(self, limit: int) -> None:
        self.left = limit - min(limit // _END_PART, _END_BYTES)  # for the beginning
        self.room = limit
        self.held: deque[_Held] = deque()
        self.size = 0  # of what is held
        self.omitted = 0  # bytes
        self.gap: _Held | None = None  # the first line that is not there as a whole

    def add(self, line: _Held) -> Iterator[_Held]:
        """Take a line; yield what is to be stored at once."""
        size = len(line.text) + 1
        if not self.held and self.gap is None and size <= self.left:
            self.left -= size
            self.room -= size
            yield line
            return
        self.held.append(line)
        self.size += size
        while self.size > self.room:
            first = self.held.popleft()
            self.size -= len(first.text) + 1
            if self.gap is None:
                self.gap = first
                beginning = first.text[: _boundary(first.text, max(0, self.left - 1))]
                self.room -= self.left
                if beginning:
                    self.omitted -= len(beginning)
                    yield first._replace(text=beginning)
            self.omitted += len(first.text)
            if not self.held:  # no line but this: its end is the end of the log
                end = first.text[_boundary(first.text, max(0, len(first.text) - max(0, self.room - 1))) :]
                self.omitted -= len(end)
                if end:
                    self.held.append(first._replace(text=end, ident=f"{first.ident}n"))
                    self.size = len(end) + 1
                return

    def rest(self) -> Iterator[_Held]:
        """Yield what is to be stored when no line comes any more."""
        if self.gap is not None:
            text = b"[%d bytes are left out here: the log is longer than --max-log-size]" % self.omitted
            yield _Held(text, self.gap.time, f"{self.gap.ident}m")
        yield from self.held
        self.held.clear()


class Stamp:
    """The stamp for the lines of one attempt.

    Parameters
    ----------
    source : str
        Which process stamps them.
    limit : int
        Most bytes of each stream, without the stamps.
    """

    def __init__(self, source: Source, limit: int) -> None:
        self._source = source.encode()
        self._logs = {stream: _Log(limit) for stream in STREAMS}
        self._serial = count()

    def lines(self, stream: str, lines: list[bytes], now: float) -> bytes:
        """Return what is to be stored now that these lines have come.

        Parameters
        ----------
        stream : str
            Which of the streams they come from.
        lines : list of bytes
            Lines without their ends.
        now : float
            Seconds since the epoch.
        """
        log = self._logs[stream]
        held = (_Held(line, now, f"{next(self._serial):012x}") for line in lines)
        return b"".join(self._format(each) for line in held for each in log.add(line))

    def rest(self, stream: str) -> bytes:
        """Return what is to be stored of a stream when the attempt has ended."""
        return b"".join(map(self._format, self._logs[stream].rest()))

    def _format(self, line: _Held) -> bytes:
        return format_line(line.text, line.time, line.ident, self._source)


def _boundary(text: bytes, at: int) -> int:
    """Return `at`, or a little less, so that a character of UTF-8 is not cut."""
    for shift in range(min(4, at)):
        if at >= len(text) or text[at - shift] & 0xC0 != 0x80:
            return at - shift
    return at
