"""A storage in S3, Google Cloud Storage or Azure: the key is the object's name below the root.

One implementation for the three. Requests for several keys overlap; each goes through `metaflow.store.object_requests`,
which knows what to do when it fails. Nothing is opened before the first request. A client does not survive a fork: a
forked child that comes here is served by a process of its own (`metaflow.store.object_forked`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any

from metaflow import files
from metaflow.exception import StorageUnavailable
from metaflow.store import object_place
from metaflow.store.object_errors import Trouble
from metaflow.store.object_reader import Part, RangedFile
from metaflow.store.object_requests import Requests
from metaflow.store.overlap import WIDTH, overlap
from metaflow.store.protocol import Entry

if TYPE_CHECKING:
    from metaflow.settings.datastores import Datastores
    from metaflow.store.object_forked import Helper
    from metaflow.store.protocol import LogSink, OpenObject

_PART = 8 << 20
_PARTS_AT_ONCE = 8
_MOST_PARTS = 9000  # S3 and Azure allow 10,000 and more


class ObjectStorage:
    """Objects below a root (`metaflow.store.protocol.Storage`).

    Parameters
    ----------
    root : str
        ``s3://bucket/prefix``, ``gs://bucket/prefix`` or, for Azure, ``container/prefix``.
    settings : Datastores, optional
        How this installation reaches it; read from environment and configuration files by default.

    Raises
    ------
    metaflow.exception.CommandException
        The root is none of this kind.
    """

    kind = ""
    concurrency = WIDTH
    _ATTRIBUTES = "metaflow-user-attributes"

    def __init__(self, root: str, settings: Datastores | None = None) -> None:
        self._place = object_place.parse(self.kind, root)
        self.root = self._place.root
        self._requests = Requests(self._place, settings)
        self._helper: Helper | None = None
        self._starting = Lock()
        self._creates = True

    def describe(self, key: str) -> str:
        return f"{self.root}/{key}" if key else self.root

    # --- the verbs --------------------------------------------------------------------------------------------------

    def put(
        self,
        items: Iterable[tuple[str, bytes]],
        *,
        overwrite: bool = False,
        attributes: Mapping[str, bytes] | None = None,
    ) -> None:
        noted = attributes or {}
        for _ in overlap(lambda item: self._do("_put", *item, noted.get(item[0]), overwrite), items):
            pass

    def put_file(self, key: str, path: str, attributes: bytes | None = None) -> None:
        try:
            self._do("_send", key, path, os.path.getsize(path), attributes)
        except OSError as error:
            files.unavailable(error, path, "read")
        finally:
            files.discard(path)

    def copy(self, keys: Iterable[tuple[str, str]]) -> None:
        for _ in overlap(lambda pair: self._do("_copy", *pair), keys):
            pass

    def get(self, keys: Sequence[str]) -> Iterator[tuple[str, bytes | None]]:
        return zip(keys, overlap(lambda key: self._do("_get", key), keys), strict=True)

    def open(self, key: str) -> OpenObject | None:
        first = self._do("_part", key, 0, _PART)
        if first is None:
            return None
        return RangedFile(first, _PART, lambda start, end: self._further_part(key, start, end, first), _PARTS_AT_ONCE)

    def head(self, keys: Sequence[str]) -> list[int | None]:
        return list(overlap(lambda key: self._do("_head", key), keys))

    def worth_putting(self, keys: Sequence[str]) -> Sequence[str]:
        return keys

    def list(self, prefix: str) -> Iterator[Entry]:
        return iter(self._do("_list", prefix))

    def delete(self, keys: Sequence[str]) -> None:
        for _ in overlap(lambda key: self._do("_delete", key), keys):
            pass

    def log_sink(self) -> LogSink:
        from metaflow.store.logs.growing import GrowingLogs

        return GrowingLogs(partial(self.put, overwrite=True))

    def spool_directory(self) -> str:
        directory = self._requests.settings.tempdir
        if directory is None:
            from tempfile import gettempdir

            return gettempdir()
        try:
            os.makedirs(directory, exist_ok=True)
        except OSError as error:
            reason = f"METAFLOW_TEMPDIR names {directory}, which cannot be made: {error.strerror}."
            raise StorageUnavailable(reason, hint="it is where big artifacts wait to be sent") from error
        return os.path.abspath(directory)

    def signed_url(self, key: str, seconds: int) -> str:
        return str(self._do("_sign", key, seconds))

    # --- one request ------------------------------------------------------------------------------------------------

    def _do(self, name: str, *arguments: Any) -> Any:
        """Call one of the methods below, here or, in a forked child, in its helper."""
        from metaflow.store.object_access import is_forked

        if not is_forked():
            return getattr(self, name)(*arguments)
        with self._starting:
            if self._helper is None or self._helper.pid != os.getpid():
                from metaflow.store.object_forked import Helper

                self._helper = Helper(f"{__name__}:{type(self).__name__}", self.root, self._requests.settings)
        return self._helper.call(name, *arguments)

    def _put(self, key: str, data: bytes, attributes: bytes | None, overwrite: bool) -> None:
        def send(client: Any) -> None:
            mode = "overwrite" if overwrite or not self._creates else "create"
            noted = self._noted(attributes)
            _obstore().put(client, key, data, attributes=noted, mode=mode, use_multipart=False)

        found = self._requests.ask("write", key, send, ("exists", "changed", "unsupported") if not overwrite else ())
        if isinstance(found, Trouble) and found.kind == "unsupported":
            self._creates = False  # an older store; what is not to be overwritten is equal anyway
            self._requests.ask("write", key, send)

    def _copy(self, key: str, new: str) -> None:
        self._requests.ask("copy", key, lambda client: _obstore().copy(client, key, new))

    def _send(self, key: str, path: str, size: int, attributes: bytes | None) -> None:
        from pathlib import Path

        part = max(_PART, -(-size // _MOST_PARTS))

        def send(client: Any) -> None:
            _obstore().put(
                client,
                key,
                Path(path),
                attributes=self._noted(attributes),
                use_multipart=size > part,
                chunk_size=part,
                max_concurrency=_PARTS_AT_ONCE,
            )

        self._requests.ask("write", key, send)

    def _noted(self, attributes: bytes | None) -> Any:
        return None if attributes is None else {self._ATTRIBUTES: attributes.decode()}

    def _get(self, key: str) -> bytes | None:
        def fetch(client: Any) -> bytes:
            content: bytes = _obstore().get(client, key).buffer().to_bytes()
            return content

        found = self._requests.ask("read", key, fetch, ("missing",))
        return None if isinstance(found, Trouble) else found

    def _head(self, key: str) -> int | None:
        def ask(client: Any) -> int:
            return int(_obstore().head(client, key)["size"])

        found = self._requests.ask("read", key, ask, ("missing",))
        return None if isinstance(found, Trouble) else found

    def _list(self, prefix: str) -> Sequence[Entry]:
        def ask(client: Any) -> Any:
            return _obstore().list_with_delimiter(client, prefix or None)

        found: Any = self._requests.ask("list", prefix, ask)
        names = [Entry(name, False) for name in found["common_prefixes"]]
        return names + [Entry(row["path"], True) for row in found["objects"]]

    def _sign(self, key: str, seconds: int) -> str:
        def sign(client: Any) -> str:
            from datetime import timedelta

            return str(_obstore().sign(client, "GET", key, expires_in=timedelta(seconds=seconds)))

        return str(self._requests.ask("sign a URL of", key, sign))

    def _delete(self, key: str) -> None:
        self._requests.ask("remove", key, lambda client: _obstore().delete(client, key), ("missing",))

    def _part(self, key: str, start: int, end: int, tag: str | None = None) -> Part | None:
        """Return a range of an object, of the one with the `tag` if that is given; None if it is not there."""

        def fetch(client: Any) -> Part:
            options = {"range": (start, end)} if tag is None else {"range": (start, end), "if_match": tag}
            answer = _obstore().get(client, key, options=options)
            size = answer.meta["size"]
            content = answer.buffer()
            if len(content) != min(end, size) - start:
                raise ConnectionError(f"HTTP error: {len(content)} bytes of {min(end, size) - start} came")
            noted = answer.attributes.get(self._ATTRIBUTES, "")
            return Part(memoryview(content), size, answer.meta["e_tag"], noted.encode())

        found = self._requests.ask("read", key, fetch, ("missing", "range", "changed"))
        if not isinstance(found, Trouble):
            return found
        if found.kind == "missing":
            return None
        if found.kind == "range" and start == 0:
            return Part(memoryview(b""), 0, None, b"")
        raise StorageUnavailable(f"{self.describe(key)} was replaced while it was read.", hint="read it again")

    def _further_part(self, key: str, start: int, end: int, first: Part) -> memoryview:
        part: Part | None = self._do("_part", key, start, end, first.tag)
        if part is None:
            raise StorageUnavailable(f"{self.describe(key)} was removed while it was read.")
        return part.content


def _obstore() -> Any:
    import obstore

    return obstore


class S3Storage(ObjectStorage):
    """Objects in Amazon S3, or in a store that speaks its language."""

    kind = "s3"


class GoogleStorage(ObjectStorage):
    """Objects in Google Cloud Storage."""

    kind = "gs"


class AzureStorage(ObjectStorage):
    """Blobs in Azure Blob Storage."""

    kind = "azure"
    _ATTRIBUTES = "metaflow_user_attributes"
