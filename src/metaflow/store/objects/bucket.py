"""One bucket over obstore: a verb per request, each of which returns what it found or raises `StoreError`.

A request that fails for a passing reason is sent again (`metaflow.store.objects.retry`). A bucket that turns out to be
in another region is looked for there. Nothing is opened before the first request. Keys are those that obstore has a
name for: no empty part, none of dots, no control characters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from metaflow.store.objects.errors import StoreError
from metaflow.store.objects.reader import Part
from metaflow.store.objects.retry import Retries

if TYPE_CHECKING:
    from metaflow.store.objects.address import Address
    from metaflow.store.objects.connection import Client, Connection

PART = 8 << 20
"""Bytes up to which an object goes in one request."""
PARTS_AT_ONCE = 8
_MOST_PARTS = 9000  # S3 and Azure allow 10,000 and more
_CHUNK = 1 << 20

_Result = TypeVar("_Result")


class Range(NamedTuple):
    """A part of an object that is asked for, in bytes; without a length, all that follow the offset."""

    offset: int
    length: int | None = None


class ObjectInfo(NamedTuple):
    """What is known of an object.

    Attributes
    ----------
    total : int
        Bytes of the whole object.
    offset, length : int
        The part that was asked for, in bytes.
    content_type : str or None
        MIME type.
    attributes : str or None
        What was noted with the object, a JSON document.
    modified : float
        Seconds since the epoch.
    tag : str or None
        What distinguishes this object from others of its name; None if no further part of it can be asked for.
    """

    total: int
    offset: int
    length: int
    content_type: str | None
    attributes: str | None
    modified: float
    tag: str | None


class Row(NamedTuple):
    """One row of a listing: an object with its size in bytes, or a prefix of further keys, which has none."""

    key: str
    size: int | None


class Content(NamedTuple):
    """What is to be an object: `data`, or the local file at `path`, with what is to be noted about it."""

    data: bytes | None = None
    path: str | None = None
    content_type: str | None = None
    attributes: str | None = None
    encryption: str | None = None

    @property
    def size(self) -> int:
        """Bytes."""
        import os

        return os.path.getsize(self.path) if self.path is not None else len(self.data or b"")


class Bucket:
    """A bucket; may be used by several threads at once.

    Parameters
    ----------
    connection : Connection
        How to get there.
    address : Address
        The bucket.
    """

    def __init__(self, connection: Connection, address: Address) -> None:
        self.connection = connection
        self.address = address
        self.retries = Retries(connection.stores.retries, lambda: self.where)
        self.region: str | None = None  # if it was found to be another one than the settings say
        self._clients: dict[str | None, Client] = {}
        self._opening = Lock()
        self._can_create = True
        self._attributes = "metaflow_user_attributes" if address.kind == "azure" else "metaflow-user-attributes"

    @property
    def where(self) -> str:
        """The bucket and, if it is not the vendor's own, its endpoint."""
        endpoint = next((client.endpoint for client in list(self._clients.values())), None)
        return self.address.bucket_url + (f" at {endpoint}" if endpoint else "")

    # --- reading ----------------------------------------------------------------------------------------------------

    def head(self, key: str) -> ObjectInfo:
        """Return what is known of an object."""
        return self._ask(lambda store: self._info(_obstore().get(store, key, options={"head": True})))

    def get(self, key: str) -> bytes:
        """Return an object."""

        def get(store: Any) -> bytes:
            content: bytes = _obstore().get(store, key).buffer().to_bytes()
            return content

        return self._ask(get)

    def get_part(self, key: str, start: int, end: int, tag: str | None = None) -> Part:
        """Return a range of an object: of the one with this tag, if it is given."""

        def get(store: Any) -> Part:
            response = _obstore().get(store, key, options=_options(start, end, tag))
            content, info = response.buffer(), self._info(response)
            if len(content) != min(end, info.total) - start:
                raise _cut(len(content), min(end, info.total) - start)
            return Part(memoryview(content), info.total, info.tag, (info.attributes or "").encode())

        try:
            return self._ask(get)
        except StoreError as error:
            if error.kind == "range" and start == 0:
                return Part(memoryview(b""), 0, None, b"")
            raise

    def download(self, key: str, write: Callable[[memoryview, int], None], wanted: Range | None = None) -> ObjectInfo:
        """Write an object, or a range of it, by ``write(bytes, position)``; of more than `PART`, that many bytes.

        Positions are relative to the range that was asked for.
        """
        range: dict[str, Any] = {}
        if wanted is not None:
            offset, length = wanted
            range = {"range": {"offset": offset} if length is None else (offset, offset + length)}

        def get(store: Any) -> ObjectInfo:
            response = _obstore().get(store, key, options=range)
            info = self._info(response)
            _write(response, write, 0, min(PART, info.length))
            return info

        return self._ask(get)

    def download_part(self, key: str, write: Callable[[memoryview, int], None], info: ObjectInfo, begin: int) -> None:
        """Write the part of an object that begins `begin` bytes after what was asked for, `PART` bytes at most."""
        start = info.offset + begin
        end = min(start + PART, info.offset + info.length)
        self._ask(
            lambda store: _write(
                _obstore().get(store, key, options=_options(start, end, info.tag)), write, begin, end - start
            )
        )

    def list_level(self, prefix: str) -> list[Row]:
        """List what is directly below `prefix`, which is empty or ends with a slash: objects, then prefixes.

        An object of that very name, which ends with the slash, comes first.
        """
        folder = prefix[:-1]

        def list_level(store: Any) -> list[Row]:
            found = _obstore().list_with_delimiter(store, folder or None)
            rows = [_row_below(prefix, each) for each in found["objects"]]
            return sorted(rows) + sorted(Row(f"{name}/", None) for name in found["common_prefixes"])

        return self._ask(list_level)

    def list_below(self, prefix: str) -> list[Row]:
        """List all objects whose key begins with `prefix`, which may end in the middle of a name."""
        folder, _, name = prefix.rpartition("/")

        def list_below(store: Any) -> list[Row]:
            rows: list[Row] = []
            offset = _just_before(prefix) if name else None
            for chunk in _obstore().list(store, folder or None, offset=offset, chunk_size=1000):
                rows += [row for row in (_row_below(prefix, each) for each in chunk) if row.key.startswith(prefix)]
                if name and chunk and chunk[-1]["path"] > prefix and not chunk[-1]["path"].startswith(prefix):
                    break
            return sorted(rows)

        return self._ask(list_below)

    def sign(self, key: str, seconds: int) -> str:
        """Return a URL by which whoever has it gets the object for so long, without credentials."""
        from datetime import timedelta

        return self._ask(lambda store: str(_obstore().sign(store, "GET", key, expires_in=timedelta(seconds=seconds))))

    # --- writing ----------------------------------------------------------------------------------------------------

    def put(self, key: str, content: Content, *, overwrite: bool = True, parts: int = PARTS_AT_ONCE) -> None:
        """Make an object of bytes or of a local file; `parts` of a big one travel at a time.

        Without `overwrite`, one that is there is left as it is (``exists`` or ``changed`` is raised), as far as the
        store can tell: an older one cannot, nor can any for an object that travels in parts.
        """
        from pathlib import Path

        size = content.size
        part = max(PART, -(-size // _MOST_PARTS))
        attributes = {"Content-Type": content.content_type, self._attributes: content.attributes}
        noted = {name: value for name, value in attributes.items() if value is not None}

        def put(store: Any) -> None:
            _obstore().put(
                store,
                key,
                Path(content.path) if content.path is not None else content.data,
                attributes=noted or None,
                mode="overwrite" if overwrite or not self._can_create or size > part else "create",
                use_multipart=size > part,
                chunk_size=part,
                max_concurrency=parts,
            )

        try:
            self._ask(put, content.encryption)
        except StoreError as error:
            if error.kind != "unsupported" or overwrite or not self._can_create:
                raise
            self._can_create = False
            self._ask(put, content.encryption)

    def copy(self, key: str, new: str) -> None:
        """Give an object a second key."""
        self._ask(lambda store: _obstore().copy(store, key, new))

    def delete(self, key: str) -> None:
        """Remove an object."""
        self._ask(lambda store: _obstore().delete(store, key))

    # --- a request --------------------------------------------------------------------------------------------------

    def _ask(self, request: Callable[[Any], _Result], encryption: str | None = None) -> _Result:
        used: Client | None = None

        def send() -> _Result:
            nonlocal used
            used = self._client(encryption)
            return request(used.store)

        return self.retries.run(send, lambda error: error.kind == "region" and self._move(used, encryption))

    def _client(self, encryption: str | None) -> Client:
        with self._opening:
            if encryption not in self._clients:
                self._clients[encryption] = self.connection.open(self.address, encryption, self.region or None)
            return self._clients[encryption]

    def _move(self, used: Client | None, encryption: str | None) -> bool:
        """Go to the region where the bucket is; tell whether that is another one than that of `used`."""
        if self.address.kind != "s3":
            return False
        from metaflow.store.objects.aws import bucket_region

        with self._opening:
            if self._clients.get(encryption) is not used:
                return True  # another thread has been there
            if self.region is not None:
                return False
            self.region = bucket_region(self.address.container, self.connection.stores.s3_endpoint) or ""
            if self.region:
                self._clients.clear()
            return bool(self.region)

    def _info(self, response: Any) -> ObjectInfo:
        meta, attributes = response.meta, response.attributes
        begin, end = response.range
        return ObjectInfo(
            total=meta["size"],
            offset=begin,
            length=end - begin,
            content_type=attributes.get("Content-Type"),
            attributes=attributes.get(self._attributes),
            modified=meta["last_modified"].timestamp(),
            tag=meta["e_tag"],
        )


def _options(start: int, end: int, tag: str | None) -> dict[str, Any]:
    return {"range": (start, end), **({"if_match": tag} if tag else {})}


def _write(response: Any, write: Callable[[memoryview, int], None], position: int, length: int) -> None:
    """Write the first `length` bytes of a response."""
    come = 0
    for chunk in _chunks(response, length):
        piece = memoryview(chunk)[: length - come]
        write(piece, position + come)
        come += len(piece)
        if come == length:
            return
    raise _cut(come, length)


def _chunks(response: Any, length: int) -> Iterator[Any]:
    begin, end = response.range
    if length == 0:
        return iter((b"",))
    if end - begin == length <= _CHUNK:
        return iter((response.buffer(),))
    return iter(response.stream(min_chunk_size=_CHUNK))


def _cut(come: int, length: int) -> ConnectionError:
    return ConnectionError(f"HTTP error: the connection was cut after {come} of {length} bytes")


def _row_below(prefix: str, listed: Any) -> Row:
    """Return what obstore lists; it leaves off a last slash, which below ``a/`` only the object ``a/`` itself has."""
    path = listed["path"]
    return Row(prefix if f"{path}/" == prefix else path, listed["size"])


def _just_before(prefix: str) -> str | None:
    """Return a name that sorts before all that begin with `prefix`, and after most others."""
    last = ord(prefix[-1])
    if last == 0x21:  # nothing printable but the space is before it, which a client may strip
        return None
    return prefix[:-1] + chr(last - 1 if last != 0xE000 else 0xD7FF) + "\U0010ffff"


def _obstore() -> Any:
    import obstore

    return obstore
