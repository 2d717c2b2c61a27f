"""One bucket, over obstore: each verb for one object, and what is done when a request fails.

`Bucket.ask` decides that: what may pass is tried again, with a word on stderr after some seconds; all else is told at
once. Nothing is raised for what a store answers: a verb returns what it found, or a `Failure`. Keys that obstore has no
name for (``a//b``, ``folder/``) and what it cannot read go to `metaflow.store.s3.by_boto`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from metaflow.store.object_errors import Trouble, hint
from metaflow.store.object_patience import Patience
from metaflow.store.s3.answers import Facts, Failure, LocalError, Row, of_local, write
from metaflow.store.s3.location import Location, has_plain_name

if TYPE_CHECKING:
    from metaflow.store.object_access import Access
    from metaflow.store.s3.by_boto import BotoBucket
    from metaflow.store.s3.reach import Reach

PART = 8 << 20
"""Bytes up to which an object goes in one request."""

_CHUNK = 1 << 20
_MOST_PARTS = 9000  # S3 allows 10,000

_Answer = TypeVar("_Answer")


class Bucket:
    """A bucket.

    Parameters
    ----------
    reach : Reach
        How to get there.
    location : Location
        Something in it.
    """

    def __init__(self, reach: Reach, location: Location) -> None:
        self._reach = reach
        self._place = location.place
        self._access: dict[str | None, Access] = {}
        self._region: str | None = None
        self._boto: BotoBucket | None = None
        self._opening = Lock()
        self._patience = Patience()
        self._noted = "metaflow_user_attributes" if location.kind == "azure" else "metaflow-user-attributes"

    # --- the verbs --------------------------------------------------------------------------------------------------

    def head(self, key: str) -> Facts | Failure:
        """Return what is known of an object."""

        def call(client: Any) -> Facts:
            return self._facts(_obstore().get(client, key, options={"head": True}))

        return self._either(key, call, lambda boto: boto.head(key))

    def fetch(self, key: str, file: int, offset: int | None, length: int | None) -> Facts | Failure:
        """Write an object, or a part of it, to an open file; of what is longer than `PART`, the first `PART` bytes.

        The position in the file is that in the part that was asked for.
        """

        def call(client: Any) -> Facts:
            answer = _obstore().get(client, key, options=_range(offset, length))
            facts = self._facts(answer)
            self._keep(answer, file, 0, min(PART, facts.length))
            return facts

        return self._either(key, call, lambda boto: boto.fetch(key, file, offset, length))

    def fetch_further(self, key: str, file: int, facts: Facts, begin: int) -> Failure | None:
        """Write the part of an object that begins `begin` bytes after what was asked for, `PART` bytes at most."""
        start = facts.offset + begin
        end = min(start + PART, facts.offset + facts.length)

        def call(client: Any) -> None:
            options = {"range": (start, end), **({"if_match": facts.tag} if facts.tag else {})}
            self._keep(_obstore().get(client, key, options=options), file, begin, end - start)

        return self.ask(call)

    def send(
        self,
        key: str,
        data: bytes | None,
        path: str | None,
        content_type: str | None,
        noted: str | None,
        encryption: str | None,
        overwrite: bool,
        parts: int,
    ) -> Failure | None:
        """Upload bytes or a local file; what exists is left as it is unless `overwrite`, and told as ``exists``."""
        size = os.path.getsize(path) if path is not None else len(data or b"")
        part = max(PART, -(-size // _MOST_PARTS))
        attributes = {"Content-Type": content_type} if content_type is not None else {}
        if noted is not None:
            attributes[self._noted] = noted

        def call(client: Any) -> None:
            from pathlib import Path

            _obstore().put(
                client,
                key,
                Path(path) if path is not None else data,
                attributes=attributes or None,
                mode="overwrite" if overwrite or size > part else "create",
                use_multipart=size > part,
                chunk_size=part,
                max_concurrency=parts,
            )

        failure = self._either(
            key,
            call,
            lambda boto: boto.send(key, data, path, attributes, encryption or self._reach.stores.s3_encryption),
            encryption,
        )
        if failure is not None and failure.kind == "unsupported" and not overwrite:  # an older store; we have looked
            return self.send(key, data, path, content_type, noted, encryption, True, parts)
        return failure

    def level(self, prefix: str) -> list[Row] | Failure:
        """List what is directly below `prefix`, which is empty or ends with a slash: objects, then prefixes."""

        def call(client: Any) -> list[Row]:
            found = _obstore().list_with_delimiter(client, prefix[:-1] or None)
            rows = [Row(each["path"], each["size"]) for each in found["objects"] if each["path"] != prefix[:-1]]
            return sorted(rows) + sorted(Row(f"{name}/", None) for name in found["common_prefixes"])

        return self._either(prefix[:-1] or "all", call, lambda boto: boto.level(prefix))

    def below(self, prefix: str) -> list[Row] | Failure:
        """List all objects whose key begins with `prefix`, which may end in the middle of a name."""
        folder, _, name = prefix.rpartition("/")

        def call(client: Any) -> list[Row]:
            rows: list[Row] = []
            offset = _just_before(prefix) if name else None
            for chunk in _obstore().list(client, folder or None, offset=offset, chunk_size=1000):
                rows += [Row(each["path"], each["size"]) for each in chunk if each["path"].startswith(prefix)]
                if name and chunk and chunk[-1]["path"] > prefix and not chunk[-1]["path"].startswith(prefix):
                    break
            return sorted(rows)

        return self._either(folder or "all", call, lambda boto: boto.below(prefix))

    def encryption(self, key: str) -> str | None:
        """Return the server-side encryption of an object, which only boto3 tells."""
        found = self.ask(lambda _: self._other().encryption(key)) if self._place.kind == "s3" else None
        return found if isinstance(found, str) else None

    # --- a request --------------------------------------------------------------------------------------------------

    def ask(self, call: Callable[[Any], _Answer], encryption: str | None = None) -> _Answer | Failure:
        """Send a request until it is answered, or for as long as patience lasts."""
        begun = time.monotonic()
        tries = 0
        while True:
            try:
                return call(self._client(encryption))
            except LocalError as error:
                return of_local(error)
            except Exception as error:  # obstore's classes, and those of Python that it uses
                if type(error).__module__.startswith("metaflow."):
                    raise
                trouble = Trouble.of(error)
                tries += 1
                waited = time.monotonic() - begun
                if trouble.kind == "region" and self._move():
                    continue
                if not self._patience.is_left(trouble, self._reach.stores.retries, tries, waited):
                    tried = f", {tries} times in {waited:.0f} s" if tries > 1 else ""
                    return Failure(trouble.kind, trouble.reason + tried, _hint(trouble, self._place.kind))
                self._patience.wait(trouble, tries, waited, lambda: f"S3: waiting for {self.where}")

    def _either(
        self,
        key: str,
        call: Callable[[Any], _Answer],
        other: Callable[[BotoBucket], _Answer],
        encryption: str | None = None,
    ) -> _Answer | Failure:
        if has_plain_name(key):
            found = self.ask(call, encryption)
            if not isinstance(found, Failure) or not _beyond_obstore(found):
                return found
        if self._place.kind != "s3":
            return Failure("key", "it has an empty part, one of dots, or control characters", "choose another key")
        try:
            boto = self._other()
        except ImportError:
            return Failure("key", "empty parts, dots and control characters in keys need boto3", "install boto3")
        return self.ask(lambda _: other(boto))

    def _other(self) -> BotoBucket:
        from metaflow.store.s3.by_boto import BotoBucket

        with self._opening:
            if self._boto is None:
                self._boto = BotoBucket(self._reach.open_boto(self._region), self._place.container)
            return self._boto

    def _client(self, encryption: str | None) -> Any:
        with self._opening:
            if encryption not in self._access:
                self._access[encryption] = self._reach.open(self._place, encryption, self._region)
            return self._access[encryption].client

    @property
    def where(self) -> str:
        """The bucket and, if it is not the vendor's own, its endpoint."""
        endpoint = next((access.endpoint for access in self._access.values()), None)
        return self._place.container_url + (f" at {endpoint}" if endpoint else "")

    def _move(self) -> bool:
        """Find out in which region the bucket is; tell whether that is news."""
        if self._place.kind != "s3":
            return False
        from metaflow.store.object_access import bucket_region

        with self._opening:
            if self._region is None:
                self._region = bucket_region(self._place, self._reach.stores.s3_endpoint) or ""
                self._access.clear()
                return bool(self._region)
        return False

    # --- an answer --------------------------------------------------------------------------------------------------

    def _facts(self, answer: Any) -> Facts:
        meta, attributes = answer.meta, answer.attributes
        begin, end = answer.range
        return Facts(
            total=meta["size"],
            offset=begin,
            length=end - begin,
            content_type=attributes.get("Content-Type"),
            noted=attributes.get(self._noted),
            modified=meta["last_modified"].timestamp(),
            tag=meta["e_tag"],
        )

    def _keep(self, answer: Any, file: int, position: int, length: int) -> None:
        """Write the first `length` bytes of an answer."""
        if length == 0:
            return
        come = 0
        for chunk in _chunks(answer, length):
            piece = memoryview(chunk)[: length - come]
            write(file, piece, position + come)
            come += len(piece)
            if come == length:
                return
        raise ConnectionError(f"HTTP error: the connection was cut after {come} of {length} bytes")


def _chunks(answer: Any, length: int) -> Iterator[Any]:
    begin, end = answer.range
    if end - begin == length <= _CHUNK:
        return iter((answer.buffer(),))
    return iter(answer.stream(min_chunk_size=_CHUNK))


def _range(offset: int | None, length: int | None) -> dict[str, Any]:
    if offset is None:
        return {}
    return {"range": {"offset": offset} if length is None else (offset, offset + length)}


def _just_before(prefix: str) -> str | None:
    """Return a name that sorts before all that begin with `prefix`, and after most others."""
    last = ord(prefix[-1])
    if last == 0x21:  # nothing printable but the space is before it, which a client may strip
        return None
    return prefix[:-1] + chr(last - 1 if last != 0xE000 else 0xD7FF) + "\U0010ffff"


def _beyond_obstore(failure: Failure) -> bool:
    """Tell whether obstore cannot make sense of what the store has: a key in a listing, a header that is not ASCII."""
    return failure.kind == "other" and (
        "invalid path" in failure.reason
        or "Could not parse path" in failure.reason
        or "Metadata value" in failure.reason
    )


def _hint(trouble: Trouble, kind: str) -> str | None:
    own = {
        "bucket": "check the bucket's name, and that the credentials are of its account",
        "transient": "check METAFLOW_S3_ENDPOINT_URL and the network" if kind == "s3" else "check the network",
    }
    return own.get(trouble.kind) or hint(trouble, kind)


def _obstore() -> Any:
    import obstore

    return obstore
