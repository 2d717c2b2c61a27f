"""What a process prints on one of its streams: kept whole, and read from any position, by any thread.

It is in memory while it is small, then in a file without a name, so that nothing is left behind, whatever dies.
"""

from __future__ import annotations

import tempfile
import threading
import weakref
from collections.abc import Iterator

_IN_MEMORY = 1 << 16
"""Bytes of a stream that are kept in memory."""

_AT_ONCE = 1 << 20
"""Bytes that are read at once."""


class Output:
    """The bytes of one stream so far.

    Attributes
    ----------
    size : int
        How many there are.
    """

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - it lives as long as this object
        weakref.finalize(self, self._file.close)
        self._lock = threading.Lock()
        self.size = 0

    def append(self, data: bytes) -> None:
        """Add what was printed next."""
        with self._lock:
            self._file.seek(self.size)
            self._file.write(data)
            self.size += len(data)

    def read(self, position: int = 0, most: int = -1) -> bytes:
        """Return the bytes from a position on; `most` limits them."""
        with self._lock:
            self._file.seek(position)
            return self._file.read(most)

    def lines(self, position: int, *, is_whole: bool) -> Iterator[tuple[int, str]]:
        """Yield the lines that are there from a position on, each with the position after it.

        Parameters
        ----------
        position : int
            Where a line begins.
        is_whole : bool
            Whether nothing more will come, so that also a line without an end counts.
        """
        pending = b""
        while data := self.read(position + len(pending), _AT_ONCE):
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                position += len(line) + 1
                yield position, line.decode(errors="replace")
        if pending and is_whole:
            yield position + len(pending), pending.decode(errors="replace")

    def __str__(self) -> str:
        return self.read().decode(errors="replace")
