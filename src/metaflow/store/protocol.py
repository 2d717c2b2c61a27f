"""Where bytes live: the contract of a storage backend.

A storage maps keys (``/``-separated texts below a root) to bytes. It knows nothing of flows, tasks or pickles. Every
verb takes many keys at once, so that a backend behind a network can overlap them. `tests/unit/store/` holds the one
contract suite that every backend passes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO, NamedTuple, Protocol


class Entry(NamedTuple):
    """One row of a listing: a key, and whether it is an object or a prefix of further keys."""

    key: str
    is_object: bool


class Storage(Protocol):
    """Keys to bytes, below a root.

    Promises of every implementation:

    * an object is visible whole or not at all, whatever dies when;
    * `put` with ``overwrite=False`` leaves an existing object untouched and is no error;
    * after `put` returns, every process sees the object;
    * trouble is raised as `metaflow.exception.StorageUnavailable`, naming the key.
    """

    kind: str
    """Name in the registry, such as ``local`` or ``s3``; also ``ds-type`` in a task's metadata."""

    root: str
    """Directory or URL above all keys; also ``ds-root`` in a task's metadata."""

    def put(self, items: Iterable[tuple[str, bytes]], *, overwrite: bool = False) -> None:
        """Store each ``(key, bytes)``."""

    def put_file(self, key: str, path: str) -> None:
        """Take over the local file at `path` as the object `key`; the file is gone afterwards."""

    def append(self, key: str, data: bytes) -> None:
        """Add to the end of an object that grows while a task runs: a log. Not atomic, for one writer."""

    def get(self, keys: Sequence[str]) -> Iterator[tuple[str, bytes | None]]:
        """Yield ``(key, bytes)`` in the order given; None for what is not there."""

    def open(self, key: str) -> BinaryIO | None:
        """Open an object for streaming, with ``readinto``; None if it is not there."""

    def head(self, keys: Sequence[str]) -> list[int | None]:
        """Return the size in bytes of each object; None for what is not there."""

    def list(self, prefix: str) -> Iterator[Entry]:
        """Yield the entries directly below `prefix`, in no particular order; none if nothing is there."""

    def delete(self, keys: Sequence[str]) -> None:
        """Remove objects; what is not there is no error."""

    def spool_directory(self) -> str:
        """Return a local directory for files that `put_file` will take over."""

    def describe(self, key: str) -> str:
        """Return the full path or URL of `key`, for messages."""
