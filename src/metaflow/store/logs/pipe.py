"""A task's stream, read from a pipe and cut into lines: by the launcher here, by the supervisor in a container."""

from __future__ import annotations

import os

_READ = 1 << 16
_LINE_LIMIT = 1 << 24


class LineReader:
    """The read end of a pipe, split into lines. A line longer than 16 MiB comes in pieces."""

    __slots__ = ("_lines", "_partial", "blocked", "fd")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.blocked = False
        self._partial = bytearray()
        self._lines: list[bytes] = []

    def read(self) -> bool:
        """Read once; False at the end of the stream. Sets `blocked` if nothing was there."""
        self.blocked = False
        try:
            data = os.read(self.fd, _READ)
        except BlockingIOError:
            self.blocked = True
            return True
        except OSError:
            return False
        if b"\n" in data:
            first, *rest = data.split(b"\n")
            self._lines.append(bytes(self._partial + first))
            self._partial = bytearray(rest.pop())
            self._lines += rest
        else:
            self._partial += data
        if len(self._partial) >= _LINE_LIMIT:
            self._lines.append(bytes(self._partial))
            self._partial.clear()
        return bool(data)

    def take(self, rest: bool = False) -> list[bytes]:
        """Return the lines that are complete, with `rest` also what follows the last line end."""
        lines, self._lines = self._lines, []
        if rest and self._partial:
            lines.append(bytes(self._partial))
            self._partial.clear()
        return lines

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
