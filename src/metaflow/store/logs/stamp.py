"""What is stored of the lines that an attempt prints: up to a limit, each behind its stamp. Pure."""

from __future__ import annotations

from itertools import count

from metaflow.store.layout import STREAMS, Source
from metaflow.store.logs.lines import format_line

_CUT = b"[the rest of this log was cut: it is longer than --max-log-size]"


class Stamp:
    """The stamp for the lines of one attempt.

    Parameters
    ----------
    source : str
        Which process stamps them.
    limit : int
        Most bytes of each stream, without the stamps; what follows is dropped, and a last line says so.
    """

    def __init__(self, source: Source, limit: int) -> None:
        self._source = source.encode()
        self._left = dict.fromkeys(STREAMS, limit)
        self._serial = count()

    def lines(self, stream: str, lines: list[bytes], now: float) -> tuple[list[bytes], bytes]:
        """Return the lines that are within the limit, and what is to be stored of them.

        Parameters
        ----------
        stream : str
            Which of the streams they come from.
        lines : list of bytes
            Lines without their ends.
        now : float
            Seconds since the epoch.
        """
        kept = self._within_limit(stream, lines)
        stored = (format_line(line, now, f"{next(self._serial):012x}", self._source) for line in kept)
        return kept, b"".join(stored)

    def _within_limit(self, stream: str, lines: list[bytes]) -> list[bytes]:
        kept = []
        left = self._left[stream]
        for line in lines:
            if left < 0:
                break
            part = line[:left]
            left -= len(line) + 1
            if part or left >= 0:
                kept.append(part)
            if left < 0:
                kept.append(_CUT)
        self._left[stream] = left
        return kept
