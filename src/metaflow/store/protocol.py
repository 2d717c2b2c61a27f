"""Where bytes live: the contract of a storage backend.

A storage maps keys (``/``-separated strings below a root) to bytes. It knows nothing of flows, tasks or pickles. Every
verb takes many keys at once, so that a backend behind a network can overlap them. `tests/unit/store/` holds the one
contract suite that every backend passes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self

from metaflow.files import NewFile


class Entry(NamedTuple):
    """One row of a listing: a key, and whether it is an object or a prefix of further keys."""

    key: str
    is_object: bool


class OpenObject(Protocol):
    """An object that is open for reading."""

    @property
    def attributes(self) -> bytes:
        """What was noted with the object; empty if nothing was."""

    def readinto(self, target: Any, /) -> int:
        """Put the next bytes into a buffer, as many as are at hand; return their number, 0 at the end."""

    def read(self, size: int = -1, /) -> bytes:
        """Return the next `size` bytes, fewer at the end; all that are left if it is negative."""

    def seek(self, offset: int, /) -> int:
        """Go to a position, counted from the beginning."""

    def close(self) -> None:
        """Let go of the object."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None: ...


class LogSink(Protocol):
    """Logs that grow while their tasks run. Each has one writer; a log that is not complete may be stored in part."""

    def append(self, key: str, data: bytes) -> None:
        """Add to the end of a log.

        Raises
        ------
        metaflow.exception.StorageUnavailable
            This, or something appended earlier, cannot be stored.
        """

    def complete(self, keys: Sequence[str]) -> None:
        """Take note that nothing will be appended to these logs any more: now is the time to store them."""

    def close(self) -> None:
        """Store all that is left; may be called again.

        Raises
        ------
        metaflow.exception.StorageUnavailable
            Something could not be stored.
        """


class Storage(Protocol):
    """Keys to bytes, below a root. May be used by several threads at once.

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

    concurrency: int
    """Requests that are worth having under way at a time: 1 where none waits for a network."""

    def put(
        self,
        items: Iterable[tuple[str, bytes]],
        *,
        overwrite: bool = False,
        attributes: Mapping[str, bytes] | None = None,
    ) -> None:
        """Store each ``(key, bytes)``, in any order.

        `attributes` has a short JSON document to note with some of the keys: in an object store the object's own
        metadata, on a disk a file ``<key>_meta`` beside it, which is there before the object.
        """

    def put_file(self, key: str, file: NewFile, attributes: bytes | None = None) -> None:
        """Take over a file that `spool` has made as the object `key`; it is closed afterwards, whatever happens."""

    def copy(self, keys: Iterable[tuple[str, str]]) -> None:
        """Make objects known under a second, new key, in any order: ``(key, new key)``.

        The bytes stay where they are, if the backend can do that. For objects that are complete and have no attributes.
        """

    def get(self, keys: Sequence[str]) -> Iterator[tuple[str, bytes | None]]:
        """Yield ``(key, bytes)`` in the order given; None for what is not there."""

    def open(self, key: str) -> OpenObject | None:
        """Open an object for streaming; None if it is not there."""

    def head(self, keys: Sequence[str]) -> list[int | None]:
        """Return the size in bytes of each object; None for what is not there."""

    def worth_putting(self, keys: Sequence[str]) -> Sequence[str]:
        """Return those of `keys` that a `put` without overwriting may have to write.

        All of them where asking would cost as much as putting does.
        """

    def list(self, prefix: str) -> Iterator[Entry]:
        """Yield the entries directly below `prefix`, in no particular order; none if nothing is there."""

    def delete(self, keys: Sequence[str]) -> None:
        """Remove objects; what is not there is no error."""

    def log_sink(self) -> LogSink:
        """Return what stores the logs of a run while they grow."""

    def spool(self) -> NewFile:
        """Return a new local file for what is too big for memory until `put_file` takes it over."""

    def signed_url(self, key: str, seconds: int) -> str:
        """Return a URL by which whoever has it gets the object for so long, without credentials."""

    def describe(self, key: str) -> str:
        """Return the full path or URL of `key`, for messages."""
