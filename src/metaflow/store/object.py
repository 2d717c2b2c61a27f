"""A storage in S3, Google Cloud Storage or Azure: the key is the object's name below the root.

One implementation for the three, over `metaflow.store.object_access`. Every request goes through `ObjectStorage._ask`,
which decides what an error means: what may pass is tried again for two minutes, with a word on stderr after some
seconds; all else is raised at once, in one sentence. Requests for several keys overlap.

Nothing is opened before the first request. The client's threads do not survive a fork: a forked child that comes here
is served by a process of its own (`metaflow.store.object_forked`).
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from metaflow import files
from metaflow.exception import StorageUnavailable
from metaflow.store import object_place
from metaflow.store.object_errors import Trouble, hint
from metaflow.store.object_reader import Part, RangedFile
from metaflow.store.overlap import overlap
from metaflow.store.protocol import Entry

if TYPE_CHECKING:
    from metaflow.settings.datastores import Datastores
    from metaflow.store.object_access import Access
    from metaflow.store.object_forked import Helper
    from metaflow.store.protocol import OpenObject

PATIENCE = 120.0
"""Seconds for which a request that fails for a passing reason is tried again."""

_PATIENCE_WITH_NAMES = 20.0
_TELL_AFTER = 3.0
_LONGEST_PAUSE = 5.0
_PART = 8 << 20
_PARTS_AT_ONCE = 8
_MOST_PARTS = 9000  # S3 and Azure allow 10,000 and more

_Answer = TypeVar("_Answer")


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
    far = True
    _ATTRIBUTES = "metaflow-user-attributes"

    def __init__(self, root: str, settings: Datastores | None = None) -> None:
        self._place = object_place.parse(self.kind, root)
        self.root = self._place.root
        self._settings = settings
        self._access: Access | None = None
        self._region: str | None = None
        self._helper: Helper | None = None
        self._opening = Lock()
        self._told = False
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

    def append(self, key: str, data: bytes) -> None:
        before = next(iter(self.get([key])))[1] or b""
        self._do("_put", key, before + data, None, True)

    def get(self, keys: Sequence[str]) -> Iterator[tuple[str, bytes | None]]:
        return zip(keys, overlap(lambda key: self._do("_get", key), keys), strict=True)

    def open(self, key: str) -> OpenObject | None:
        first = self._do("_part", key, 0, _PART)
        if first is None:
            return None
        return RangedFile(first, _PART, lambda start, end: self._further_part(key, start, end, first), _PARTS_AT_ONCE)

    def head(self, keys: Sequence[str]) -> list[int | None]:
        return list(overlap(lambda key: self._do("_head", key), keys))

    def list(self, prefix: str) -> Iterator[Entry]:
        return iter(self._do("_list", prefix))

    def delete(self, keys: Sequence[str]) -> None:
        for _ in overlap(lambda key: self._do("_delete", key), keys):
            pass

    def spool_directory(self) -> str:
        directory = self._configured().tempdir
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
        with self._opening:
            if self._helper is None or self._helper.pid != os.getpid():
                from metaflow.store.object_forked import Helper

                self._helper = Helper(f"{__name__}:{type(self).__name__}", self.root, self._configured())
        return self._helper.call(name, *arguments)

    def _put(self, key: str, data: bytes, attributes: bytes | None, overwrite: bool) -> None:
        def send(client: Any) -> None:
            mode = "overwrite" if overwrite or not self._creates else "create"
            noted = self._noted(attributes)
            _obstore().put(client, key, data, attributes=noted, mode=mode, use_multipart=False)

        found = self._ask("write", key, send, ("exists", "changed", "unsupported") if not overwrite else ())
        if isinstance(found, Trouble) and found.kind == "unsupported":
            self._creates = False  # an older store; what is not to be overwritten is equal anyway
            self._ask("write", key, send)

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

        self._ask("write", key, send)

    def _noted(self, attributes: bytes | None) -> Any:
        return None if attributes is None else {self._ATTRIBUTES: attributes.decode()}

    def _get(self, key: str) -> bytes | None:
        def fetch(client: Any) -> bytes:
            content: bytes = _obstore().get(client, key).buffer().to_bytes()
            return content

        found = self._ask("read", key, fetch, ("missing",))
        return None if isinstance(found, Trouble) else found

    def _head(self, key: str) -> int | None:
        def ask(client: Any) -> int:
            return int(_obstore().head(client, key)["size"])

        found = self._ask("read", key, ask, ("missing",))
        return None if isinstance(found, Trouble) else found

    def _list(self, prefix: str) -> Sequence[Entry]:
        def ask(client: Any) -> Any:
            return _obstore().list_with_delimiter(client, prefix or None)

        found: Any = self._ask("list", prefix, ask)
        names = [Entry(name, False) for name in found["common_prefixes"]]
        return names + [Entry(row["path"], True) for row in found["objects"]]

    def _sign(self, key: str, seconds: int) -> str:
        def sign(client: Any) -> str:
            from datetime import timedelta

            return str(_obstore().sign(client, "GET", key, expires_in=timedelta(seconds=seconds)))

        return str(self._ask("sign a URL of", key, sign))

    def _delete(self, key: str) -> None:
        self._ask("remove", key, lambda client: _obstore().delete(client, key), ("missing",))

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

        found = self._ask("read", key, fetch, ("missing", "range", "changed"))
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

    # --- a request --------------------------------------------------------------------------------------------------

    def _ask(
        self, verb: str, key: str, call: Callable[[Any], _Answer], expected: Sequence[str] = ()
    ) -> _Answer | Trouble:
        """Send a request until it is answered; return the answer, or one of the `expected` troubles.

        Raises
        ------
        metaflow.exception.StorageUnavailable
            It cannot be answered.
        """
        begun = time.monotonic()
        tries = 0
        while True:
            try:
                return call(self._client())
            except Exception as error:  # noqa: BLE001 - obstore's classes, and those of Python that it uses
                trouble = Trouble.of(error)
                if isinstance(error, StorageUnavailable) or type(error).__module__.startswith("metaflow."):
                    raise
                tries += 1
                if trouble.kind in expected:
                    return trouble
                waited = time.monotonic() - begun
                if trouble.kind == "region" and self._move():
                    continue
                if not self._may_pass(trouble, waited, tries):
                    raise self._unavailable(verb, key, trouble, waited, tries) from error
                if waited > _TELL_AFTER:
                    self._tell(trouble)
                time.sleep(_pause(tries))

    def _may_pass(self, trouble: Trouble, waited: float, tries: int) -> bool:
        retries = self._configured().retries
        if not trouble.passes or (retries is not None and tries > retries):
            return False
        return waited < (_PATIENCE_WITH_NAMES if trouble.kind == "name" else PATIENCE)

    def _client(self) -> Any:
        with self._opening:
            if self._access is None:
                from metaflow.store.object_access import open_access

                self._access = open_access(self._place, self._configured(), self._region)
            return self._access.client

    def _configured(self) -> Datastores:
        if self._settings is None:
            from metaflow.settings import datastores

            self._settings = datastores.of_process()
        return self._settings

    def _endpoint(self) -> str | None:
        return self._access.endpoint if self._access is not None else None

    def _move(self) -> bool:
        """Find out in which region the bucket is; tell whether that is news."""
        if self.kind != "s3":
            return False
        from metaflow.store.object_access import bucket_region

        with self._opening:
            if self._region is not None:
                return False
            self._region = bucket_region(self._place, self._endpoint()) or ""
            if self._region:
                self._access = None
            return bool(self._region)

    def _tell(self, trouble: Trouble) -> None:
        with self._opening:
            if self._told:
                return
            self._told = True
        limit = _PATIENCE_WITH_NAMES if trouble.kind == "name" else PATIENCE
        text = f"Waiting for {self._where()}: {trouble.reason}. Trying again for {limit:.0f} s.\n"
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except (OSError, ValueError, AttributeError):  # closed
            pass

    def _where(self) -> str:
        endpoint = self._endpoint()
        return self._place.container_url + (f" at {endpoint}" if endpoint else "")

    def _unavailable(self, verb: str, key: str, trouble: Trouble, waited: float, tries: int) -> StorageUnavailable:
        endpoint = self._endpoint()
        place = self.describe(key) + (f" at {endpoint}" if endpoint else "")
        tried = f" It was tried {tries} times in {waited:.0f} s." if tries > 1 else ""
        return StorageUnavailable(
            f"Cannot {verb} {place}: {_SENTENCES.get(trouble.kind, '')}{trouble.reason}.{tried}",
            hint=hint(trouble, self.kind),
        )


_SENTENCES = {
    "bucket": "there is no such bucket: ",
    "certificate": "its certificate is not trusted: ",
    "clock": "the clocks differ: ",
    "credentials": "the credentials are missing or refused: ",
    "denied": "access is denied: ",
    "name": "its host is not found: ",
    "region": "the bucket is in another region: ",
    "transient": "it does not answer: ",
}


def _pause(tries: int) -> float:
    from random import random

    return min(_LONGEST_PAUSE, 0.25 * 2.0**tries) * (0.5 + random() / 2)


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
