"""An artifact as a page shows it, read without running its pickle.

Whatever its index says of its size, no more than a few MB of it are read; what is passed over costs nothing where the
blob is stored as it is. So its hash is not checked. Start reading at `preview`.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, NamedTuple

from metaflow.exception import MetaflowException
from metaflow.serve.reading.protocol import Preview
from metaflow.serve.reading.showing import show
from metaflow.store.artifacts import TaskIndex
from metaflow.store.blobs import Blobs
from metaflow.store.inert import Stream, Unreadable, read, to_python

_MOST_READ = 4 << 20
_MOST_SKIPPED = 128 << 20
"""Bytes that are passed over of a blob that is packed, which costs as much as reading them."""
_KEY = re.compile(r"[0-9a-f]{40}")

STORED_TRUE = frozenset(
    hashlib.sha1(pickled, usedforsecurity=False).hexdigest()
    for pickled in (b"\x80\x02\x88.", b"\x80\x03\x88.", b"\x80\x04\x88.", b"\x80\x05\x88.")
)
"""Keys of the blobs that hold True."""


class Artifact(NamedTuple):
    """An artifact as its index has it."""

    name: str
    type: str
    size: int
    sha: str

    @classmethod
    def of(cls, index: TaskIndex, name: str) -> Artifact:
        """Return an artifact that an index names."""
        known = index.info.get(name, {})
        kind = str(known.get("type", "")).removeprefix("<class '").removesuffix("'>")
        return cls(name, kind, int(known.get("size", 0)), index.objects[name])


def preview(artifact: Artifact, blobs: Blobs) -> Preview:
    """Return what a page shows of an artifact; trouble with it is part of that."""
    shown = Preview(*artifact)
    if not _KEY.fullmatch(artifact.sha):
        return shown._replace(trouble="Its index does not name a blob")
    try:
        value, is_whole = _read(artifact.sha, blobs)
    except Unreadable as error:
        return shown._replace(trouble=f"It cannot be shown: {error}")
    except MetaflowException as error:
        return shown._replace(trouble=error.message.rstrip("."))
    found = show(value, is_whole=is_whole)
    return shown._replace(summary=found.summary, text=found.text, is_cut=found.is_cut)


def _read(sha: str, blobs: Blobs) -> tuple[Any, bool]:
    with blobs.open(sha) as reader:
        return read(Stream(reader, _MOST_READ, _MOST_SKIPPED if reader.is_packed else 1 << 62))


def stored_value(stored: tuple[TaskIndex, Blobs] | None, name: str) -> Any:
    """Return a plain value of the runtime's own; None if it is not there, or is not what it should be."""
    if stored is None or not _KEY.fullmatch(stored[0].objects.get(name, "")):
        return None
    try:
        value, is_whole = _read(stored[0].objects[name], stored[1])
        return to_python(value) if is_whole else None
    except Unreadable:
        return None
