"""The datastore in S3, Google Cloud Storage or Azure: the key is the object's name below the root.

One implementation for the three, over `metaflow.store.objects.bucket`. Requests for several keys overlap. What fails is
raised as `StorageUnavailable`, with a sentence that names the object and a hint.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from metaflow import files
from metaflow.exception import StorageUnavailable
from metaflow.store.objects.address import parse_root
from metaflow.store.objects.bucket import PART, PARTS_AT_ONCE, Bucket, Content
from metaflow.store.objects.connection import Connection
from metaflow.store.objects.errors import Kind, StoreError
from metaflow.store.objects.forked import ForkSafe
from metaflow.store.objects.reader import RangedFile
from metaflow.store.overlap import WIDTH, overlap
from metaflow.store.protocol import Entry

if TYPE_CHECKING:
    from metaflow.settings.datastores import Datastores
    from metaflow.store.protocol import LogSink, OpenObject

_PRIVATE = 0o600
"""Mode of files in the temporary directory, which others may look into."""

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


class ObjectStorage:
    """Objects below a root (`metaflow.store.protocol.Storage`).

    Parameters
    ----------
    root : str
        ``s3://bucket/prefix``, ``gs://bucket/prefix`` or, for Azure, ``container/prefix``.
    settings : Datastores, optional
        How this installation reaches it; read from environment and configuration files when they are first needed, by
        default.

    Raises
    ------
    metaflow.exception.CommandException
        The root is none of this kind.
    """

    kind = ""
    concurrency = WIDTH

    def __init__(self, root: str, settings: Datastores | None = None) -> None:
        self._address = parse_root(self.kind, root)
        self.root = self._address.root
        self._prefix = f"{self._address.key}/" if self._address.key else ""
        self._settings = settings
        self._opened: ForkSafe[Bucket] | None = None

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

        def put(item: tuple[str, bytes]) -> None:
            key, data = item
            content = Content(data, attributes=noted[key].decode() if key in noted else None)
            self._unless(("exists", "changed"), "write", key, Bucket.put, self._name(key), content, overwrite=overwrite)

        _all(overlap(put, items))

    def put_file(self, key: str, file: files.NewFile, attributes: bytes | None = None) -> None:
        content = Content(path=file.path, attributes=None if attributes is None else attributes.decode())
        with file:
            try:
                self._ask("write", key, Bucket.put, self._name(key), content)
            except OSError as error:
                files.unavailable(error, f"a temporary file in {file.directory}", "read")

    def copy(self, keys: Iterable[tuple[str, str]]) -> None:
        _all(overlap(lambda pair: self._ask("copy", pair[0], Bucket.copy, *map(self._name, pair)), keys))

    def get(self, keys: Sequence[str]) -> Iterator[tuple[str, bytes | None]]:
        def get(key: str) -> bytes | None:
            return self._unless(("missing",), "read", key, Bucket.get, self._name(key))

        return zip(keys, overlap(get, keys), strict=True)

    def open(self, key: str) -> OpenObject | None:
        first = self._unless(("missing",), "read", key, Bucket.get_part, self._name(key), 0, PART)
        if first is None:
            return None
        return RangedFile(first, PART, partial(self._further_part, key, first.tag), PARTS_AT_ONCE)

    def head(self, keys: Sequence[str]) -> list[int | None]:
        def head(key: str) -> int | None:
            info = self._unless(("missing",), "read", key, Bucket.head, self._name(key))
            return None if info is None else info.total

        return list(overlap(head, keys))

    def worth_putting(self, keys: Sequence[str]) -> Sequence[str]:
        return keys

    def list(self, prefix: str) -> Iterator[Entry]:
        level = self._name(f"{prefix}/" if prefix else "")
        for key, size in self._ask("list", prefix, Bucket.list_level, level):
            if key == level:
                continue  # what some tools make to show a folder
            yield Entry(key.removeprefix(self._prefix).removesuffix("/"), size is not None)

    def delete(self, keys: Sequence[str]) -> None:
        _all(overlap(lambda key: self._unless(("missing",), "remove", key, Bucket.delete, self._name(key)), keys))

    def log_sink(self) -> LogSink:
        from metaflow.store.logs.growing import GrowingLogs

        return GrowingLogs(partial(self.put, overwrite=True))

    def spool(self) -> files.NewFile:
        directory = self._spool_directory()
        try:
            return files.NewFile(directory, _PRIVATE)
        except OSError as error:
            files.unavailable(error, f"a temporary file in {directory}")

    def signed_url(self, key: str, seconds: int) -> str:
        return self._ask("sign a URL of", key, Bucket.sign, self._name(key), seconds)

    # --- one request ------------------------------------------------------------------------------------------------

    def _spool_directory(self) -> str:
        directory = self._datastores().tempdir
        if directory is None:
            from tempfile import gettempdir

            return gettempdir()
        try:
            os.makedirs(directory, exist_ok=True)
        except OSError as error:
            reason = f"METAFLOW_TEMPDIR names {directory}, which cannot be created: {error.strerror}."
            raise StorageUnavailable(reason, hint="large artifacts are kept there until they are uploaded") from error
        return os.path.abspath(directory)

    def _name(self, key: str) -> str:
        return self._prefix + key

    def _datastores(self) -> Datastores:
        if self._settings is None:
            from metaflow import settings

            self._settings = settings.load().datastores
        return self._settings

    def _bucket(self) -> ForkSafe[Bucket]:
        if self._opened is None:
            self._opened = ForkSafe(Bucket, Connection(self._datastores()), self._address.bucket)
        return self._opened

    def _ask(
        self,
        verb: str,
        key: str,
        method: Callable[Concatenate[Bucket, _Arguments], _Result],
        *arguments: _Arguments.args,
        **options: _Arguments.kwargs,
    ) -> _Result:
        """Call a method of the bucket; `verb` and `key` say what for, in errors."""
        try:
            return self._bucket().call(method, *arguments, **options)
        except StoreError as error:
            raise self._unavailable(verb, key, error) from error

    def _unless(
        self,
        expected: Sequence[Kind],
        verb: str,
        key: str,
        method: Callable[Concatenate[Bucket, _Arguments], _Result],
        *arguments: _Arguments.args,
        **options: _Arguments.kwargs,
    ) -> _Result | None:
        """Call a method of the bucket; return None if it fails for an `expected` reason."""
        try:
            return self._bucket().call(method, *arguments, **options)
        except StoreError as error:
            if error.kind in expected:
                return None
            raise self._unavailable(verb, key, error) from error

    def _further_part(self, key: str, tag: str | None, start: int, end: int) -> memoryview:
        part = self._unless(("missing",), "read", key, Bucket.get_part, self._name(key), start, end, tag)
        if part is None:
            raise StorageUnavailable(f"{self.describe(key)} was deleted while it was being read.")
        return part.content

    def _unavailable(self, verb: str, key: str, error: StoreError) -> StorageUnavailable:
        if error.kind in ("changed", "range"):
            return StorageUnavailable(
                f"{self.describe(key)} was replaced while it was being read.", hint="read it again"
            )
        endpoint = {"s3": self._datastores().s3_endpoint, "azure": self._datastores().azure_endpoint}.get(self.kind)
        at = f" at {endpoint}" if endpoint else ""
        return StorageUnavailable(
            f"Cannot {verb} {self.describe(key)}{at}: {error.sentence}.", hint=error.hint_for(self.kind)
        )


def _all(results: Iterator[object]) -> None:
    for _ in results:
        pass


class S3Storage(ObjectStorage):
    """Objects in Amazon S3, or in a store that speaks its language."""

    kind = "s3"


class GoogleStorage(ObjectStorage):
    """Objects in Google Cloud Storage."""

    kind = "gs"


class AzureStorage(ObjectStorage):
    """Blobs in Azure Blob Storage."""

    kind = "azure"
