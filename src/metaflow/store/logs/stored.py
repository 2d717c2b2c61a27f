"""The logs of a task as they are in the storage: read, measured, scrubbed.

A stream of an attempt may be in several files, one per process that stamped its lines; they are read as one.
"""

from __future__ import annotations

import time

from metaflow.store import layout
from metaflow.store.logs.lines import Line, format_line, merge
from metaflow.store.protocol import Storage


def read(storage: Storage, task: str, attempt: int, stream: str) -> list[Line]:
    """Return the lines of ``stdout`` or ``stderr`` of an attempt; none if there is no log."""
    return merge(data for _, data in storage.get(layout.logs(task, attempt, stream)) if data)


def size(storage: Storage, task: str, attempt: int, stream: str) -> int:
    """Return the bytes that a stream of an attempt takes in the storage, stamps included."""
    return sum(size or 0 for size in storage.head(layout.logs(task, attempt, stream)))


def scrub(storage: Storage, task: str, attempt: int, stream: str) -> bool:
    """Replace the content of a stream's files by one line that says so; tell whether there were any."""
    keys = layout.logs(task, attempt, stream)
    there = [key for key, size in zip(keys, storage.head(keys), strict=True) if size is not None]
    line = format_line(b"(this log was scrubbed)", time.time(), "scrubbed")
    storage.put([(key, line) for key in there], overwrite=True)
    return bool(there)
