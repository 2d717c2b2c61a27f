"""A tar.gz whose bytes depend on names, modes and contents alone: the same files make the same archive everywhere."""

from __future__ import annotations

import gzip
import tarfile
from collections.abc import Iterable
from io import BytesIO
from typing import NamedTuple

_TIME = 1_000_000_000
"""Seconds since the epoch, of every member; tools dislike 0."""


class Member(NamedTuple):
    """A file of an archive."""

    name: str
    content: bytes
    executable: bool = False


def pack(members: Iterable[Member], level: int) -> bytes:
    """Return the archive.

    Parameters
    ----------
    members : iterable of Member
        In the order in which they shall stand.
    level : int
        Of compression, 1 to 9.
    """
    buffer = BytesIO()
    with (
        gzip.GzipFile("", "wb", level, buffer, mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for member in members:
            entry = tarfile.TarInfo(member.name)
            entry.size = len(member.content)
            entry.mode = 0o755 if member.executable else 0o644
            entry.mtime = _TIME
            archive.addfile(entry, BytesIO(member.content))
    return buffer.getvalue()
