"""A big object read as a file: in ranges, several of them under way ahead of the reader.

Knows nothing of any store; `metaflow.store.objects.storage` fetches the ranges, all of one object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from metaflow.store.overlap import overlap


class Part(NamedTuple):
    """A range of an object.

    Attributes
    ----------
    content : memoryview
        The bytes.
    size : int
        Bytes of the whole object.
    tag : str or None
        What distinguishes this object from others that had or will have its name.
    attributes : bytes
        What was noted with the object.
    """

    content: memoryview
    size: int
    tag: str | None
    attributes: bytes

    def __reduce__(self) -> tuple[Any, ...]:
        return _part, (bytes(self.content), *self[1:])


def _part(content: bytes, size: int, tag: str | None, attributes: bytes) -> Part:
    return Part(memoryview(content), size, tag, attributes)


class RangedFile:
    """An object that is open for reading (`metaflow.store.protocol.OpenObject`).

    Parameters
    ----------
    first : Part
        Its beginning: all of it, or `part_size` bytes.
    part_size : int
        Bytes per range.
    fetch : callable
        From start and end to the bytes between.
    ahead : int
        Ranges under way at a time.
    """

    def __init__(self, first: Part, part_size: int, fetch: Callable[[int, int], memoryview], ahead: int) -> None:
        self._first: memoryview | None = first.content
        self._size = first.size
        self._part_size = part_size
        self._fetch = fetch
        self._ahead = ahead
        self._position = 0
        self._current = first.content
        self._further: Iterator[memoryview] | None = None
        self.attributes = first.attributes

    def readinto(self, target: Any) -> int:
        """Fill `target` as far as bytes are at hand; return their number, 0 at the end."""
        view = memoryview(target).cast("B")
        if not self._current and not self._next():
            return 0
        count = min(len(view), len(self._current))
        view[:count] = self._current[:count]
        self._advance(count)
        return count

    def read(self, size: int = -1) -> bytes:
        """Return `size` bytes, fewer at the end; all that are left if it is negative."""
        parts = []
        left = self._size - self._position if size < 0 else size
        while left > 0 and (self._current or self._next()):
            part = bytes(self._current[:left])
            self._advance(len(part))
            left -= len(part)
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def seek(self, offset: int) -> int:
        """Go to a position, counted from the beginning."""
        self._stop()
        self._position = min(offset, self._size)
        if self._first is not None and offset <= len(self._first):
            self._current = self._first[offset:]
        else:
            self._current = memoryview(b"")
        return self._position

    def close(self) -> None:
        """Stop reading ahead."""
        self._stop()
        self._current = memoryview(b"")
        self._position = self._size

    def __enter__(self) -> RangedFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _advance(self, count: int) -> None:
        self._position += count
        self._current = self._current[count:]

    def _next(self) -> bool:
        if self._position >= self._size:
            return False
        if self._further is None:
            self._first = None  # who has come here mostly does not go back
            ends = [*range(self._position + self._part_size, self._size, self._part_size), self._size]
            starts = [self._position, *ends[:-1]]
            ranges = zip(starts, ends, strict=True)
            self._further = overlap(lambda range: self._fetch(*range), ranges, self._ahead)
        self._current = next(self._further)
        return True

    def _stop(self) -> None:
        if self._further is not None and hasattr(self._further, "close"):
            self._further.close()
        self._further = None
