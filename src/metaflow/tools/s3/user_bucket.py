"""A bucket of the user's, whose keys may be anything that S3 allows.

Most go to `metaflow.store.objects.bucket`. Keys that obstore has no name for (``a//b``, ``folder/``) and what it cannot
read go to `metaflow.tools.s3.boto_bucket`.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

from metaflow.store.objects.bucket import Bucket, Content, ObjectInfo, Range, Row
from metaflow.store.objects.errors import StoreError
from metaflow.tools.s3.urls import has_plain_name

if TYPE_CHECKING:
    from metaflow.store.objects.address import Address
    from metaflow.store.objects.connection import Connection
    from metaflow.tools.s3.boto_bucket import BotoBucket

Write = Callable[[memoryview, int], None]

_Result = TypeVar("_Result")


class UserBucket:
    """A bucket; the verbs are those of `metaflow.store.objects.bucket.Bucket`.

    Parameters
    ----------
    connection : Connection
        How to get there.
    address : Address
        The bucket.
    """

    def __init__(self, connection: Connection, address: Address) -> None:
        self._bucket = Bucket(connection, address)
        self._boto: BotoBucket | None = None
        self._opening = Lock()

    def head(self, key: str) -> ObjectInfo:
        return self._either(key, lambda: self._bucket.head(key), lambda boto: boto.head(key))

    def download(self, key: str, write: Write, wanted: Range | None) -> ObjectInfo:
        return self._either(
            key, lambda: self._bucket.download(key, write, wanted), lambda boto: boto.download(key, write, wanted)
        )

    def download_part(self, key: str, write: Write, info: ObjectInfo, begin: int) -> None:
        self._bucket.download_part(key, write, info, begin)

    def put(self, key: str, content: Content, *, overwrite: bool, parts: int) -> None:
        self._either(
            key,
            lambda: self._bucket.put(key, content, overwrite=overwrite, parts=parts),
            lambda boto: boto.put(key, content),
        )

    def list_level(self, prefix: str) -> list[Row]:
        rows = self._either(
            prefix[:-1] or "all", lambda: self._bucket.list_level(prefix), lambda boto: boto.list_level(prefix)
        )
        return self._reachable(rows)

    def list_below(self, prefix: str) -> list[Row]:
        folder = prefix.rpartition("/")[0]
        rows = self._either(
            folder or "all", lambda: self._bucket.list_below(prefix), lambda boto: boto.list_below(prefix)
        )
        return self._reachable(rows)

    def _reachable(self, rows: list[Row]) -> list[Row]:
        """Leave out objects whose name ends with a slash where there is no way to read them."""
        if self._bucket.address.kind == "s3":
            return rows
        return [row for row in rows if row.size is None or not row.key.endswith("/")]

    def encryption(self, key: str) -> str | None:
        """Return the server-side encryption of an object, which only boto3 tells."""
        try:
            return self._by_boto(lambda boto: boto.encryption(key))
        except StoreError:
            return None

    def _either(self, key: str, first: Callable[[], _Result], other: Callable[[BotoBucket], _Result]) -> _Result:
        if has_plain_name(key):
            try:
                return first()
            except StoreError as error:
                if not _is_beyond_obstore(error):
                    raise
        return self._by_boto(other)

    def _by_boto(self, request: Callable[[BotoBucket], _Result]) -> _Result:
        if self._bucket.address.kind != "s3":
            raise StoreError(
                "key", "it has an empty part, a part of dots only, or control characters", "choose another key"
            )
        try:
            boto = self._open_boto()
        except ImportError:
            reason = "keys with empty parts, parts of dots or control characters need boto3"
            raise StoreError("key", reason, "install boto3") from None
        return self._bucket.retries.run(lambda: request(boto))

    def _open_boto(self) -> BotoBucket:
        from metaflow.tools.s3.boto_bucket import BotoBucket

        with self._opening:
            if self._boto is None:
                self._boto = BotoBucket.open(self._bucket)
            return self._boto


def _is_beyond_obstore(error: StoreError) -> bool:
    """Tell whether obstore cannot make sense of what the store has: a key in a listing, a header that is not ASCII."""
    return error.kind == "other" and any(
        words in error.reason for words in ("invalid path", "Could not parse path", "Metadata value")
    )
