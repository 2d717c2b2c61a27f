"""A log as pages show it: slices of lines from anywhere in it, and searches, without ever holding all of it.

A stream of an attempt may be in two files, stamped by the engine and by a container's supervisor, which are merged by
time; while a remote task runs, segments continue the second. A *position* says how far each of the two has been read,
``120.3400``, so that a slice goes on exactly where another has ended, also if lines of either come later; ``t3400`` is
an offset in one of them, and the place in the other is found by time. Start reading at `StoredLog.slice`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from metaflow.metadata_provider.protocol import TaskPath
from metaflow.serve.reading.protocol import LogLine, LogMatches, LogSlice, Stream
from metaflow.store import layout
from metaflow.store.layout import Segment
from metaflow.store.logs.lines import Line, parse
from metaflow.store.protocol import OpenObject, Storage

_LONGEST_LINE = 1 << 18
"""Bytes after which a line is cut in two."""
_BLOCK = 1 << 20
_PROBE = 1 << 16


class _Read(NamedTuple):
    """A line of a part, and the offset behind it."""

    line: Line
    end: int

    @property
    def time(self) -> datetime:
        return self.line.time or datetime.min


class _Part:
    """The lines that one process has stamped: an object and the segments that continue it."""

    def __init__(self, storage: Storage, key: str, segments: list[tuple[int, str]]) -> None:
        self._storage = storage
        self._key = key
        self._in_object = storage.head([key])[0] or 0
        self._segments = [(offset, name) for offset, name in sorted(segments) if offset >= self._in_object]
        self._parts: dict[str, bytes] = {}
        self.size = self._in_object
        for offset, name in self._segments:
            if offset != self.size:
                break  # one is missing: it is in the object by the next look
            self.size += len(self._segment(name))

    def _segment(self, name: str) -> bytes:
        if name not in self._parts:
            self._parts[name] = next(iter(self._storage.get([name])))[1] or b""
        return self._parts[name]

    def bytes(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from `offset` on, fewer at the end."""
        size = min(size, self.size - offset)
        found = b""
        if size > 0 and offset < self._in_object:
            source = self._storage.open(self._key)
            if source is not None:
                with source:
                    source.seek(offset)
                    found = _exactly(source, min(size, self._in_object - offset))
        for begin, name in self._segments:
            at = offset + len(found)
            if len(found) < size and begin <= at < begin + len(self._segment(name)):
                found += self._segment(name)[at - begin : at - begin + size - len(found)]
        return found

    def lines(self, offset: int, most: int, *, is_over: bool) -> list[_Read]:
        """Return whole lines from an offset on, about `most` bytes; at the end of what is over also half a line."""
        data = self.bytes(offset, most)
        while b"\n" not in data and len(data) >= most and most < _LONGEST_LINE:
            most = min(most * 4, _LONGEST_LINE)
            data = self.bytes(offset, most)
        whole = data.rfind(b"\n") + 1
        is_end = is_over and offset + len(data) >= self.size
        if is_end or (not whole and len(data) >= _LONGEST_LINE):
            whole = len(data)
        found: list[_Read] = []
        for text in _split(data[:whole]):
            offset += len(text)
            found.extend(_Read(line, offset) for line in parse(text))
        return found

    def line_start(self, offset: int) -> int:
        """Return where the line begins that an offset is in."""
        begin = max(0, offset - _LONGEST_LINE)
        return begin + self.bytes(begin, offset - begin).rfind(b"\n") + 1 if offset < self.size else self.size

    def at(self, time: datetime) -> int:
        """Return the offset of the first line that is not older than a time."""
        low, high = 0, self.size
        while high - low > _PROBE:
            middle = self.line_start((low + high) // 2)
            probe = next((read for read in self.lines(middle, _PROBE, is_over=True) if read.line.time), None)
            if middle <= low or probe is None:
                break
            if probe.time < time:
                low = middle
            else:
                high = middle
        offset = low
        while offset < self.size:
            reads = self.lines(offset, _PROBE, is_over=True)
            if not reads:
                break
            for read in reads:
                if read.time >= time:
                    return offset
                offset = read.end
        return offset


def _split(data: bytes) -> list[bytes]:
    """Split at newlines only: a carriage return is part of a line."""
    lines = [each + b"\n" for each in data.split(b"\n")]
    last = lines.pop()[:-1]
    return [*lines, last] if last else lines


class StoredLog:
    """A stream of an attempt.

    Parameters
    ----------
    storage : Storage
        Where it is.
    path : TaskPath
        The task.
    attempt : int
        From 0.
    stream : str
        ``stdout`` or ``stderr``.
    is_over : bool
        Whether the attempt had ended before this object was made, so that what it finds is all.
    """

    def __init__(self, storage: Storage, path: TaskPath, attempt: int, stream: Stream, *, is_over: bool) -> None:
        run = f"{path.flow}/{path.run}"
        segments = []
        for entry in () if is_over else storage.list(layout.live(run)):
            match layout.parse_live(entry.key):
                case Segment(task, number, name, offset) if (task, number, name) == (path.task, attempt, stream):
                    segments.append((offset, entry.key))
        self._runtime = _Part(storage, layout.log(str(path), attempt, stream, "runtime"), [])
        self._task = _Part(storage, layout.log(str(path), attempt, stream, "task"), segments)
        self._is_over = is_over

    @property
    def size(self) -> int:
        """Bytes in all, as they are stored."""
        return self._runtime.size + self._task.size

    def slice(self, position: str | float, most: int) -> LogSlice:
        """Return consecutive lines; as of `metaflow.serve.reading.protocol.RunReader.log`."""
        start = self._place(position)
        lines, end = self._merged(start, most)
        size = self.size
        return LogSlice(
            lines=tuple(_shown(line) for line in lines),
            start=_text(start),
            end=_text(end),
            fraction=sum(start) / size if size else 0.0,
            size=size,
            is_last=self._is_at_end(end),
            is_over=self._is_over,
        )

    def _is_at_end(self, place: tuple[int, int]) -> bool:
        return place[0] >= self._runtime.size and place[1] >= self._task.size

    def _place(self, position: str | float) -> tuple[int, int]:
        larger, letter = max((self._runtime, "r"), (self._task, "t"), key=lambda each: each[0].size)
        if isinstance(position, float):
            position = f"{letter}{int(min(max(position, 0.0), 1.0) * larger.size)}"
        if position[:1] in ("r", "t") and position[1:].isdecimal():
            return self._anchored(position[0], int(position[1:]))
        runtime, _, task = position.partition(".")
        if not runtime.isdecimal() or not task.isdecimal():
            return 0, 0
        return min(int(runtime), self._runtime.size), min(int(task), self._task.size)

    def _anchored(self, letter: str, offset: int) -> tuple[int, int]:
        one, other = (self._runtime, self._task) if letter == "r" else (self._task, self._runtime)
        offset = one.line_start(min(offset, one.size))
        first = next((read for read in one.lines(offset, _PROBE, is_over=True) if read.line.time), None)
        beside = other.size if offset >= one.size else 0 if offset == 0 or first is None else other.at(first.time)
        return (offset, beside) if letter == "r" else (beside, offset)

    def _merged(self, start: tuple[int, int], most: int) -> tuple[list[Line], tuple[int, int]]:
        """Return lines of both parts by time from a place on, and the place behind them."""
        parts = (self._runtime, self._task)
        reads = [part.lines(at, most, is_over=self._is_over) for part, at in zip(parts, start, strict=True)]
        ends, used = list(start), [0, 0]
        lines: list[Line] = []
        while sum(ends) - sum(start) < most:
            heads = [reads[each][used[each]] if used[each] < len(reads[each]) else None for each in (0, 1)]
            # Of a part that has more than was read nothing is known: what the other has may come later.
            if any(head is None and reads[each] and ends[each] < parts[each].size for each, head in enumerate(heads)):
                break
            there = [each for each in (0, 1) if heads[each] is not None]
            if not there:
                break
            first = min(there, key=lambda each: heads[each].time)  # type: ignore[union-attr]  # those that are there
            head = heads[first]
            assert head is not None
            ends[first], used[first] = head.end, used[first] + 1
            other = heads[1 - first]
            if other is None or not head.line.ident or head.line != other.line:  # a line that is in both comes once
                lines.append(head.line)
        return lines, (ends[0], ends[1])

    def content(self) -> Iterator[bytes]:
        """Yield what was printed, in parts."""
        place = (0, 0)
        while True:
            lines, end = self._merged(place, _BLOCK)
            if end == place:
                return
            yield b"".join(line.text + b"\n" for line in lines)
            place = end

    def search(self, text: str, most: int) -> LogMatches:
        """Return lines that contain a text; as of `metaflow.serve.reading.protocol.RunReader.search_log`."""
        found = [
            (read.time, f"{letter}{offset}", read.line)
            for letter, part in (("r", self._runtime), ("t", self._task))
            for offset, read in _matches(part, text.casefold(), most + 1)
        ]
        found.sort(key=lambda each: each[0])
        shown = found[:most]
        return LogMatches(
            tuple(position for _, position, _ in shown), tuple(_shown(line) for *_, line in shown), len(found) > most
        )


def _matches(part: _Part, text: str, most: int) -> Iterator[tuple[int, _Read]]:
    """Yield the lines of a part that contain a text in lower case, with their offsets."""
    needle = text.encode()
    if not needle:
        return
    offset, left = 0, most
    while offset < part.size and left:
        data = part.bytes(offset, _BLOCK)
        whole = data.rfind(b"\n") + 1 or len(data)
        block = data[:whole]
        lower = block.lower() if text.isascii() else block.decode("utf-8", "replace").casefold().encode()
        if len(lower) != len(block):  # letters whose lower case is longer: line by line
            places: Iterator[int] = _line_starts(block)
        else:
            places = _places(lower, needle)
        begin = -1
        for place in places:
            start = block.rfind(b"\n", 0, place) + 1
            if start == begin:
                continue
            begin = start
            end = block.find(b"\n", start) + 1 or len(block)
            for line in parse(block[start:end]):
                if left and text in line.text.decode("utf-8", "replace").casefold():
                    left -= 1
                    yield offset + start, _Read(line, offset + end)
        offset += whole


def _places(block: bytes, needle: bytes) -> Iterator[int]:
    place = block.find(needle)
    while place >= 0:
        yield place
        end = block.find(b"\n", place)
        if end < 0:
            return
        place = block.find(needle, end)


def _line_starts(block: bytes) -> Iterator[int]:
    place = 0
    while place < len(block):
        yield place
        place = block.find(b"\n", place) + 1 or len(block)


def _exactly(source: OpenObject, size: int) -> bytes:
    parts = []
    while size > 0:
        part = source.read(size)
        if not part:
            break
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _text(place: tuple[int, int]) -> str:
    return f"{place[0]}.{place[1]}"


def _shown(line: Line) -> LogLine:
    time = None if line.time is None else int(line.time.replace(tzinfo=UTC).timestamp() * 1000)
    return LogLine(time, line.text.decode("utf-8", "replace"))
