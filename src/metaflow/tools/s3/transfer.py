"""Many requests at once: what is wanted goes in as values, what became of each comes out as a value, in the same order.

Objects longer than a part travel in parts, side by side. After a refusal that holds for all (denied, no such bucket, a
full disk) nothing further is begun; after any other failure the rest goes on, so that the caller can name all that
failed. Requests and results can be pickled, since in a forked child, where obstore cannot run, a process of its own
does the work (`metaflow.store.objects.forked`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from threading import Lock, Semaphore
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from metaflow.store.objects.bucket import PART, PARTS_AT_ONCE, Content, ObjectInfo, Range, Row
from metaflow.store.objects.errors import StoreError
from metaflow.tools.s3.threads import Job, work
from metaflow.tools.s3.user_bucket import UserBucket

if TYPE_CHECKING:
    from metaflow.store.objects.address import Address
    from metaflow.store.objects.connection import Connection

_ENDS_ALL = ("bucket", "certificate", "clock", "credentials", "denied", "disk", "name", "region", "transient")
_BIG_AT_ONCE = 4
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class GetRequest(NamedTuple):
    """An object, or a range of it, and the local file that it shall be in."""

    address: Address
    path: str
    range: Range | None = None


class PutRequest(NamedTuple):
    """What shall be an object."""

    address: Address
    content: Content


class Transfer:
    """Requests to any buckets.

    Parameters
    ----------
    connection : Connection
        How to get there.
    workers : int
        Requests under way at a time.
    """

    def __init__(self, connection: Connection, workers: int) -> None:
        self._connection = connection
        self._workers = workers
        self._buckets: dict[Address, UserBucket] = {}
        self._opening = Lock()
        self._big = Semaphore(_BIG_AT_ONCE)

    def head(self, addresses: Sequence[Address]) -> list[ObjectInfo | StoreError]:
        """Find out what is known of each object."""
        return self._each(addresses, lambda each: self._bucket(each).head(each.key))

    def get(self, requests: Sequence[GetRequest]) -> list[ObjectInfo | StoreError]:
        """Write each object to its file; where that fails, there is none."""
        results = _Results[ObjectInfo](len(requests))
        work(
            (
                partial(results.begin, number, partial(self._begin_get, number, request, results))
                for number, request in enumerate(requests)
            ),
            self._workers,
        )
        for request, found in zip(requests, results.found, strict=True):
            if isinstance(found, StoreError):
                _discard(request.path)
        return results.found

    def put(self, requests: Sequence[PutRequest], overwrite: bool) -> list[StoreError | None]:
        """Make an object of each; one that is there and is not to be overwritten is told as ``exists``."""
        big = sum(request.content.size > PART for request in requests)
        parts = max(PARTS_AT_ONCE // _BIG_AT_ONCE, PARTS_AT_ONCE // max(big, 1))
        return self._each(requests, lambda each: self._put(each, overwrite, parts))

    def list_rows(self, prefixes: Sequence[Address], deep: bool) -> list[list[Row] | StoreError]:
        """List what is below each prefix: directly (`deep` is False), or all objects."""

        def rows(prefix: Address) -> list[Row]:
            bucket = self._bucket(prefix)
            return bucket.list_below(prefix.key) if deep else bucket.list_level(prefix.key)

        return self._each(prefixes, rows)

    def encryption(self, address: Address) -> str | None:
        """Return the server-side encryption of an object."""
        return self._bucket(address).encryption(address.key)

    # --- one of them ------------------------------------------------------------------------------------------------

    def _each(self, items: Sequence[_Item], request: Callable[[_Item], _Result]) -> list[_Result | StoreError]:
        results = _Results[_Result](len(items))
        work(
            (
                partial(results.begin, number, partial(_without_further_parts, request, item))
                for number, item in enumerate(items)
            ),
            self._workers,
        )
        return results.found

    def _bucket(self, address: Address) -> UserBucket:
        bucket = address.bucket
        with self._opening:
            if bucket not in self._buckets:
                self._buckets[bucket] = UserBucket(self._connection, bucket)
            return self._buckets[bucket]

    def _begin_get(
        self, number: int, request: GetRequest, results: _Results[ObjectInfo]
    ) -> tuple[ObjectInfo, Iterable[Job]]:
        bucket, key = self._bucket(request.address), request.address.key
        try:
            file = _SharedFile(request.path)
        except OSError as error:
            raise StoreError("local", f"{request.path} cannot be written: {error.strerror}") from error
        try:
            info = bucket.download(key, file.write, request.range)
            begins = range(PART, info.length, PART) if info.tag is not None else ()
            file.users += len(begins)
        finally:
            file.release()
        return info, [
            partial(results.go_on, number, partial(bucket.download_part, key, file.write, info, begin), file)
            for begin in begins
        ]

    def _put(self, request: PutRequest, overwrite: bool, parts: int) -> StoreError | None:
        bucket, key = self._bucket(request.address), request.address.key
        if not overwrite and _exists(bucket, key):
            return StoreError("exists", "it is there")
        try:
            if request.content.size <= PART:
                bucket.put(key, request.content, overwrite=overwrite, parts=parts)
            else:
                with self._big:
                    bucket.put(key, request.content, overwrite=overwrite, parts=parts)
        except OSError as error:
            reason = f"{request.content.path} cannot be read: {getattr(error, 'strerror', error)}"
            raise StoreError("local", reason) from error
        except StoreError as error:
            if error.kind == "changed" and not overwrite:  # somebody else has written it since we looked
                return StoreError("exists", error.reason)
            raise
        return None


class _Results(Generic[_Result]):
    """What became of each of a number of requests; a failure of any part is the failure of the whole."""

    def __init__(self, count: int) -> None:
        self.found: list[_Result | StoreError] = [
            StoreError("skipped", "it was not tried, because another request failed") for _ in range(count)
        ]
        self._failed: set[int] = set()
        self._over = False

    def begin(self, number: int, request: Callable[[], tuple[_Result, Iterable[Job]]]) -> Iterable[Job]:
        """Make a request, or its first part; note how it ended, and return what follows from it."""
        if self._over:
            return ()
        try:
            self.found[number], further = request()
        except StoreError as error:
            self._fail(number, error)
            return ()
        return further

    def go_on(self, number: int, request: Callable[[], None], file: _SharedFile) -> None:
        """Make the request for a further part."""
        try:
            if self._over:
                raise StoreError("skipped", "it was not finished, because another request failed")
            if number not in self._failed:
                request()
        except StoreError as error:
            if number not in self._failed:
                self._fail(number, error)
        finally:
            file.release()

    def _fail(self, number: int, error: StoreError) -> None:
        self._failed.add(number)
        self.found[number] = error
        if error.kind in _ENDS_ALL:
            self._over = True


class _SharedFile:
    """An open file that several jobs write to; the last of them closes it."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, _NEW, 0o644)
        self._lock = Lock()
        self.users = 1

    def write(self, piece: memoryview, position: int) -> None:
        """Write at a position.

        Raises
        ------
        StoreError
            The file system refuses.
        """
        import errno

        try:
            while piece:
                count = os.pwrite(self._file, piece, position)
                piece, position = piece[count:], position + count
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                hint = "choose another directory with tmproot="
                raise StoreError("disk", "no space left for the local copy", hint) from error
            raise StoreError("local", str(error.strerror or error)) from error

    def release(self) -> None:
        with self._lock:
            self.users -= 1
            if self.users == 0:
                os.close(self._file)


def _exists(bucket: UserBucket, key: str) -> bool:
    try:
        bucket.head(key)
    except StoreError as error:
        if error.kind == "missing":
            return False
        raise
    return True


def _without_further_parts(request: Callable[[_Item], _Result], item: _Item) -> tuple[_Result, Iterable[Job]]:
    return request(item), ()


def _discard(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass
