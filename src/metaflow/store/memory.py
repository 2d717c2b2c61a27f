"""A storage in memory: the `Storage` protocol without a disk, for tests, and for flows whose runs nobody keeps.

What is big is first written to a file, as in any storage: one in memory where the system has such files.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from threading import Lock

from metaflow.exception import StorageUnavailable
from metaflow.files import NewFile
from metaflow.store.protocol import Entry, LogSink, OpenObject


class _Open(io.BytesIO):
    def __init__(self, data: bytes, attributes: bytes) -> None:
        super().__init__(data)
        self.attributes = attributes


class MemoryStorage:
    """Keys to bytes in a dictionary (`metaflow.store.protocol.Storage`).

    Parameters
    ----------
    spool : str, optional
        A local directory for files that `put_file` takes over; by default they are in memory, or where the system has
        its temporary files.
    """

    kind = "memory"
    root = "memory:"
    concurrency = 1

    def __init__(self, spool: str = "") -> None:
        self.objects: dict[str, bytes] = {}
        self.attributes: dict[str, bytes] = {}
        self._spool = spool
        self._lock = Lock()

    def signed_url(self, key: str, seconds: int) -> str:
        return self.describe(key)

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
            with self._lock:
                if overwrite or key not in self.objects:
                    self.objects[key] = bytes(data)
                    self.attributes[key] = (attributes or {}).get(key, b"")

    def put_file(self, key: str, file: NewFile, attributes: bytes | None = None) -> None:
        with file, open(file.path, "rb") as content:
            data = content.read()
        with self._lock:
            self.objects[key] = data
            self.attributes[key] = attributes or b""

    def copy(self, keys: Iterable[tuple[str, str]]) -> None:
        for key, new in keys:
            if key not in self.objects:
                raise StorageUnavailable(f"Cannot copy {self.describe(key)}: it is not there.")
            self.put([(new, self.objects[key])])

    def get(self, keys: Sequence[str]) -> Iterator[tuple[str, bytes | None]]:
        for key in keys:
            yield key, self.objects.get(key)

    def open(self, key: str) -> OpenObject | None:
        data = self.objects.get(key)
        if data is None:
            return None
        return _Open(data, self.attributes.get(key, b""))

    def head(self, keys: Sequence[str]) -> list[int | None]:
        found = [self.objects.get(key) for key in keys]
        return [None if data is None else len(data) for data in found]

    def worth_putting(self, keys: Sequence[str]) -> list[str]:
        return [key for key in keys if key not in self.objects]

    def list(self, prefix: str) -> Iterator[Entry]:
        above = f"{prefix}/" if prefix else ""
        entries: dict[str, Entry] = {}
        with self._lock:
            keys = list(self.objects)
        for key in keys:
            if key.startswith(above):
                name, below, _ = key.removeprefix(above).partition("/")
                entries[name] = Entry(above + name, not below)
        return iter(entries.values())

    def delete(self, keys: Sequence[str]) -> None:
        with self._lock:
            for key in keys:
                self.objects.pop(key, None)

    def log_sink(self) -> LogSink:
        return _MemoryLogs(self.objects)

    def spool(self) -> NewFile:
        if self._spool:
            return NewFile(self._spool)
        return NewFile.in_memory()


class _MemoryLogs:
    """Logs that are there at once (`metaflow.store.protocol.LogSink`)."""

    def __init__(self, objects: dict[str, bytes]) -> None:
        self._objects = objects

    def append(self, key: str, data: bytes) -> None:
        self._objects[key] = self._objects.get(key, b"") + data

    def complete(self, keys: Sequence[str]) -> None:
        pass

    def close(self) -> None:
        pass
