"""A line of a task's log: its stored form, and back.

Every line that a task writes is stored behind a prefix that says when it was emitted::

    [MFLOG|0|2019-11-29T02:43:39.689123Z|runtime|8a8f0a8c]text of the line

that is: version, UTC time, which process stamped the line (``runtime`` on this machine, ``task`` in a remote
container), and a text that is unique to the line. The form is that of Metaflow 2.19. A stream of an attempt may be in
several files, one per stamping process; `merge` orders them by time and drops what is in two of them.

Lines without a prefix (a file that something else wrote) keep their place and take the time of the line before; of a
prefix that was half written, where a writer was killed or had no more room, nothing is shown. Nothing here decodes the
text: a task may write any bytes. Writing goes through `format_line`, which is on the path of every line that any task
prints. Pure.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

_PREFIX = re.compile(
    rb"^\[MFLOG\|0\|(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?)Z\|[^|\]]*\|([^\]]*)\]", re.ASCII | re.MULTILINE
)
_PREFIX_INSIDE = re.compile(_PREFIX.pattern[1:], re.ASCII)
_HEAD = b"[MFLOG|0|"


class Line(NamedTuple):
    """One line of a log.

    Attributes
    ----------
    time : datetime.datetime or None
        When it was emitted: UTC, without a time zone in the object. None if nothing in the file says so.
    text : bytes
        The line without its end.
    ident : bytes
        What is unique to the line; empty if it had no prefix.
    """

    time: datetime | None
    text: bytes
    ident: bytes


def format_line(text: bytes, now: float, ident: str, source: bytes = b"runtime") -> bytes:
    """Return a line as it is stored, with its end.

    Parameters
    ----------
    text : bytes
        The line without its end; contains no newline.
    now : float
        Seconds since the epoch.
    ident : str
        Text without ``]`` that no other line of the stream has. Metaflow's client sorts lines by time, and those of
        one time by this text: give lines of one stream increasing texts, or they are shown in another order.
    source : bytes
        Which process stamps it: ``runtime`` or ``task``.
    """
    second, micro = divmod(int(now * 1_000_000), 1_000_000)
    return b"[MFLOG|0|%b.%06dZ|%b|%b]%b\n" % (_clock(second), micro, source, ident.encode(), text)


def parse(data: bytes) -> Iterator[Line]:
    """Yield the lines of a log file's content."""
    if not data:
        return
    first = _PREFIX.search(data)
    moment = _moment(first[1]) if first else None
    lines = data.removesuffix(b"\n").split(b"\n")
    if first and not data.endswith(b"\n") and _HEAD.startswith(lines[-1]):
        lines.pop()
    for line in lines:
        match = _PREFIX.match(line)
        if match is None and first and line.startswith(_HEAD):  # half-written: by who was killed or had no room
            match = _PREFIX_INSIDE.search(line, 1)
            if match is None:
                continue
        if match is None:
            yield Line(moment, line, b"")
        else:
            moment = _moment(match[1]) or moment
            yield Line(moment, line[match.end() :], match[2])


def merge(logs: Iterable[bytes]) -> list[Line]:
    """Return the lines of several files of one stream by time; a line that is in two of them comes once."""
    filled = [data for data in logs if data]
    if len(filled) < 2:
        return [line for data in filled for line in parse(data)]
    known: set[Line] = set()
    lines = []
    for data in filled:
        own = [line for line in parse(data) if not line.ident or line not in known]
        known.update(own)
        lines += own
    lines.sort(key=lambda line: line.time or datetime.min)
    return lines


@lru_cache(maxsize=4)
def _clock(second: int) -> bytes:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)).encode()


def _moment(text: bytes) -> datetime | None:
    try:
        return datetime.fromisoformat(text.decode())
    except ValueError:
        return None
