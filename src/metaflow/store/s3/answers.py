"""What becomes of a request: what is known of an object, a row of a listing, or a failure; and the local file it fills.

Values that can be pickled, and the one place that writes what is downloaded.
"""

from __future__ import annotations

import os
from typing import NamedTuple


class Failure(NamedTuple):
    """What became of a request that failed.

    Attributes
    ----------
    kind : str
        As `metaflow.store.object_errors.Trouble` has it; also ``disk`` (full), ``local`` (another error of the local
        file) and ``key`` (no client can name it).
    reason : str
        A few words.
    hint : str or None
        What to do about it.
    """

    kind: str
    reason: str
    hint: str | None = None


class Facts(NamedTuple):
    """What is known of an object.

    Attributes
    ----------
    total : int
        Bytes of the whole object.
    offset, length : int
        The part that was asked for, in bytes.
    content_type : str or None
        MIME type.
    noted : str or None
        The user's metadata, a JSON object.
    modified : float
        Seconds since the epoch.
    tag : str or None
        What distinguishes this object from others of its name.
    """

    total: int
    offset: int
    length: int
    content_type: str | None
    noted: str | None
    modified: float
    tag: str | None


class Row(NamedTuple):
    """One row of a listing: an object with its size in bytes, or a prefix of further keys, which has none."""

    key: str
    size: int | None


class LocalError(Exception):
    """The local side of a request failed: it is not tried again."""


def write(file: int, piece: memoryview, position: int) -> None:
    """Write at a position.

    Raises
    ------
    LocalError
        The file system refuses.
    """
    try:
        while piece:
            count = os.pwrite(file, piece, position)
            piece, position = piece[count:], position + count
    except OSError as error:
        raise LocalError from error


def of_local(error: LocalError) -> Failure:
    """Say what the file system refused."""
    import errno

    cause = error.__cause__
    if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
        return Failure("disk", "no space is left for the local copy", "tmproot= names another directory for them")
    return Failure("local", str(getattr(cause, "strerror", None) or cause))
