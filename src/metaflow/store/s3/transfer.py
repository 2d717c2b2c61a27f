"""Many requests at once: what is wanted goes in as values, what became of each comes out as a value, in the same order.

Objects longer than a part travel in parts, side by side. After a refusal that holds for all (denied, no such bucket, a
full disk) nothing further is begun; after any other failure the rest goes on, so that the caller can name all that
failed. In a forked child, where obstore cannot run, a process of its own does the work: wants and outcomes can be
pickled.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from threading import Lock, Semaphore
from typing import TYPE_CHECKING, Any, NamedTuple

from metaflow.store.s3.answers import Facts, Failure, Row
from metaflow.store.s3.bucket import PART, Bucket
from metaflow.store.s3.crew import Job, work
from metaflow.store.s3.location import Location

if TYPE_CHECKING:
    from metaflow.store.s3.reach import Reach

_ENDS_ALL = ("bucket", "certificate", "clock", "credentials", "denied", "disk", "name", "region", "transient")
_SKIPPED = Failure("skipped", "it was not tried, since another failed")
_EXISTS = Failure("exists", "it is there")
_BIG_AT_ONCE = 4
_PARTS_AT_ONCE = 8


class Want(NamedTuple):
    """An object, or a range of it, and the local file that it shall be in."""

    location: Location
    path: str
    offset: int | None = None
    length: int | None = None


class Upload(NamedTuple):
    """What shall be an object: `data`, or the local file at `path`; `noted` is the user's metadata in JSON."""

    location: Location
    data: bytes | None = None
    path: str | None = None
    content_type: str | None = None
    noted: str | None = None
    encryption: str | None = None

    @property
    def size(self) -> int:
        """Bytes."""
        return os.path.getsize(self.path) if self.path is not None else len(self.data or b"")


class Transfer:
    """Requests to any buckets.

    Parameters
    ----------
    reach : Reach
        How to get there.
    """

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._buckets: dict[tuple[str, str], Bucket] = {}
        self._opening = Lock()
        self._big = Semaphore(_BIG_AT_ONCE)
        self._helper: Any = None

    def do(self, verb: str, *arguments: Any) -> Any:
        """Call one of the verbs below, here or, in a forked child, in a process of its own."""
        from metaflow.store.object_access import is_forked

        if not is_forked():
            return getattr(self, verb)(*arguments)
        with self._opening:
            if self._helper is None or self._helper.pid != os.getpid():
                from metaflow.store.object_forked import Helper

                self._helper = Helper("metaflow.store.s3.transfer:Transfer", self._reach)
        return self._helper.call(verb, *arguments)

    # --- the verbs --------------------------------------------------------------------------------------------------

    def heads(self, locations: Sequence[Location]) -> list[Facts | Failure]:
        """Find out what is known of each object."""
        return self._each(locations, lambda each: self._bucket(each).head(each.key))

    def fetch(self, wants: Sequence[Want]) -> list[Facts | Failure]:
        """Write each object to its file; where that fails, there is none."""
        outcomes = _Outcomes(len(wants))
        jobs: Iterable[Job] = (
            partial(outcomes.begin, number, partial(self._begin, number, want, outcomes))
            for number, want in enumerate(wants)
        )
        work(jobs, self._reach.workers)
        for want, found in zip(wants, outcomes.found, strict=True):
            if isinstance(found, Failure):
                _discard(want.path)
        return outcomes.found

    def send(self, uploads: Sequence[Upload], overwrite: bool) -> list[Failure | None]:
        """Make an object of each; one that is there and is not to be overwritten is told as ``exists``."""
        big = sum(upload.size > PART for upload in uploads)
        parts = max(_PARTS_AT_ONCE // _BIG_AT_ONCE, _PARTS_AT_ONCE // max(big, 1))
        return self._each(uploads, lambda each: self._send(each, overwrite, parts))

    def lists(self, prefixes: Sequence[Location], deep: bool) -> list[list[Row] | Failure]:
        """List what is below each prefix: directly (`deep` is False), or all objects."""
        return self._each(prefixes, partial(self._list, deep))

    def encryption(self, location: Location) -> str | None:
        """Return the server-side encryption of an object."""
        return self._bucket(location).encryption(location.key)

    # --- one of them ------------------------------------------------------------------------------------------------

    def _each(self, items: Sequence[Any], call: Callable[[Any], Any]) -> list[Any]:
        outcomes = _Outcomes(len(items))
        jobs: Iterable[Job] = (
            partial(outcomes.begin, number, partial(_value, call, item)) for number, item in enumerate(items)
        )
        work(jobs, self._reach.workers)
        return outcomes.found

    def _bucket(self, location: Location) -> Bucket:
        name = location.kind, location.container
        with self._opening:
            if name not in self._buckets:
                self._buckets[name] = Bucket(self._reach, location)
            return self._buckets[name]

    def _begin(self, number: int, want: Want, outcomes: _Outcomes) -> tuple[Any, list[Job]]:
        bucket, key = self._bucket(want.location), want.location.key
        try:
            file = os.open(want.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            return Failure("local", f"{want.path} cannot be written: {error.strerror}"), []
        found = bucket.fetch(key, file, want.offset, want.length)
        if isinstance(found, Failure) or found.length <= PART or found.tag is None:
            os.close(file)
            return found, []
        begins = range(PART, found.length, PART)
        shared = _SharedFile(file, len(begins))
        return found, [
            partial(outcomes.go_on, number, partial(bucket.fetch_further, key, file, found, begin), shared)
            for begin in begins
        ]

    def _send(self, upload: Upload, overwrite: bool, parts: int) -> Failure | None:
        bucket, key = self._bucket(upload.location), upload.location.key
        if not overwrite:
            known = bucket.head(key)
            if isinstance(known, Facts):
                return _EXISTS
            if known.kind != "missing":
                return known
        arguments = (upload.data, upload.path, upload.content_type, upload.noted, upload.encryption, overwrite, parts)
        try:
            if upload.size <= PART:
                found = bucket.send(key, *arguments)
            else:
                with self._big:
                    found = bucket.send(key, *arguments)
        except OSError as error:
            return Failure("local", f"{upload.path} cannot be read: {getattr(error, 'strerror', error)}")
        # somebody else may have written it since we looked
        return _EXISTS if found is not None and found.kind in ("exists", "changed") and not overwrite else found

    def _list(self, deep: bool, prefix: Location) -> list[Row] | Failure:
        bucket = self._bucket(prefix)
        if not deep:
            return bucket.level(prefix.key)
        return bucket.below(prefix.key)


class _Outcomes:
    """What became of each of a number of wants; a failure of any part is the failure of the whole."""

    def __init__(self, count: int) -> None:
        self.found: list[Any] = [_SKIPPED] * count
        self._over = False

    def begin(self, number: int, call: Callable[[], tuple[Any, list[Job]]]) -> list[Job]:
        """Do a want, or its first part; remember how it ended."""
        if self._over:
            return []
        found, further = call()
        self._set(number, found)
        return further

    def go_on(self, number: int, call: Callable[[], Failure | None], file: _SharedFile) -> None:
        """Do a further part."""
        found = _SKIPPED if self._over or isinstance(self.found[number], Failure) else call()
        if found is not None and not isinstance(self.found[number], Failure):
            self._set(number, found)
        file.release()

    def _set(self, number: int, found: Any) -> None:
        self.found[number] = found
        if isinstance(found, Failure) and found.kind in _ENDS_ALL:
            self._over = True


class _SharedFile:
    """An open file that several jobs write to; the last of them closes it."""

    def __init__(self, number: int, users: int) -> None:
        self.number = number
        self._users = users
        self._lock = Lock()

    def release(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                os.close(self.number)


def _value(call: Callable[[Any], Any], item: Any) -> tuple[Any, list[Job]]:
    return call(item), []


def _discard(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass
