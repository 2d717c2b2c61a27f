"""A storage of plain files: the key is the path below the root.

The layout is that of Metaflow's local datastore: ``<root>/<flow>/data/…``, ``<root>/<flow>/<run>/<step>/<task>/…``.
What is noted with an object is in a file beside it, ``<key>_meta``, written first: an object that is there is complete.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import FileIO
from stat import S_ISDIR

from metaflow import files
from metaflow.store import layout
from metaflow.store.protocol import Entry

_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND


class OpenFile(FileIO):
    """An object that is open for reading (`metaflow.store.protocol.OpenObject`)."""

    @property
    def attributes(self) -> bytes:
        return files.read(layout.attributes_file(str(self.name))) or b""


class LocalStorage:
    """Files below a directory (`metaflow.store.protocol.Storage`).

    Parameters
    ----------
    root : str
        Absolute path of the directory; made at the first `put`.
    """

    kind = "local"
    concurrency = 1

    def __init__(self, root: str) -> None:
        self.root = root

    def signed_url(self, key: str, seconds: int) -> str:
        from urllib.parse import quote

        return f"file://{quote(self.describe(key))}"

    def describe(self, key: str) -> str:
        return f"{self.root}/{key}" if key else self.root

    def put(
        self,
        items: Iterable[tuple[str, bytes]],
        *,
        overwrite: bool = False,
        attributes: Mapping[str, bytes] | None = None,
    ) -> None:
        for key, data in items:
            path = self.describe(key)
            if attributes and key in attributes:
                files.write(layout.attributes_file(path), attributes[key], overwrite=overwrite)
            files.write(path, data, overwrite=overwrite)

    def put_file(self, key: str, file: files.NewFile, attributes: bytes | None = None) -> None:
        target = self.describe(key)
        with file:
            try:
                if attributes is not None:
                    files.write(layout.attributes_file(target), attributes)
                files.make_directory(os.path.dirname(target))
                file.publish(target)
            except OSError as error:
                files.unavailable(error, target)

    def copy(self, keys: Iterable[tuple[str, str]]) -> None:
        for key, new in keys:
            files.link(self.describe(key), self.describe(new))

    def get(self, keys: Sequence[str]) -> Iterator[tuple[str, bytes | None]]:
        for key in keys:
            yield key, files.read(self.describe(key))

    def open(self, key: str) -> OpenFile | None:
        try:
            return OpenFile(self.describe(key))
        except OSError as error:
            if files.is_absent(error):
                return None
            files.unavailable(error, self.describe(key), "read")

    def head(self, keys: Sequence[str]) -> list[int | None]:
        return [self._size(self.describe(key)) for key in keys]

    def worth_putting(self, keys: Sequence[str]) -> list[str]:
        return [key for key in keys if not os.path.exists(self.describe(key))]

    def list(self, prefix: str) -> Iterator[Entry]:
        try:
            scan = os.scandir(self.describe(prefix))
        except OSError as error:
            if files.is_absent(error):
                return
            files.unavailable(error, self.describe(prefix), "list")
        with scan:
            for entry in scan:
                if not entry.name.startswith(files.TEMPORARY):
                    yield Entry(f"{prefix}/{entry.name}" if prefix else entry.name, entry.is_file())

    def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            try:
                os.unlink(self.describe(key))
            except OSError as error:
                if files.is_absent(error):
                    continue
                files.unavailable(error, self.describe(key), "remove")

    def log_sink(self) -> FileLogs:
        return FileLogs(self.root)

    def spool(self) -> files.NewFile:
        try:
            os.makedirs(self.root, exist_ok=True)
            return files.NewFile(self.root)
        except OSError as error:
            files.unavailable(error, self.root)

    @staticmethod
    def _size(path: str) -> int | None:
        try:
            status = os.stat(path)
        except OSError as error:
            if files.is_absent(error):
                return None
            files.unavailable(error, path, "read")
        return None if S_ISDIR(status.st_mode) else status.st_size


class FileLogs:
    """Logs that are appended to line by line (`metaflow.store.protocol.LogSink`); `root` is a directory."""

    def __init__(self, root: str) -> None:
        self._root = root

    def append(self, key: str, data: bytes) -> None:
        path = f"{self._root}/{key}"
        try:
            try:
                fd = os.open(path, _APPEND, 0o666)
            except FileNotFoundError:
                files.make_directory(os.path.dirname(path))
                fd = os.open(path, _APPEND, 0o666)
            try:
                view = memoryview(data)
                while view:
                    view = view[os.write(fd, view) :]
            finally:
                os.close(fd)
        except OSError as error:
            files.unavailable(error, path)

    def complete(self, keys: Sequence[str]) -> None:
        pass  # they are

    def close(self) -> None:
        pass
