"""A storage in memory: the `Storage` protocol without a disk, for tests that are not about files."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator, Sequence
from threading import Lock
from typing import BinaryIO

from metaflow.store.protocol import Entry


class MemoryStorage:
    """Keys to bytes in a dictionary (`metaflow.store.protocol.Storage`).

    Parameters
    ----------
    spool : str
        A local directory for files that `put_file` takes over.
    """

    kind = "memory"
    root = "memory:"

    def __init__(self, spool: str) -> None:
        self.objects: dict[str, bytes] = {}
        self._spool = spool
        self._lock = Lock()

    def describe(self, key: str) -> str:
        return f"{self.root}/{key}" if key else self.root

    def put(self, items: Iterable[tuple[str, bytes]], *, overwrite: bool = False) -> None:
        for key, data in items:
            with self._lock:
                if overwrite or key not in self.objects:
                    self.objects[key] = bytes(data)

    def put_file(self, key: str, path: str) -> None:
        with open(path, "rb") as file:
            data = file.read()
        os.unlink(path)
        with self._lock:
            self.objects[key] = data

    def append(self, key: str, data: bytes) -> None:
        with self._lock:
            self.objects[key] = self.objects.get(key, b"") + data

    def get(self, keys: Sequence[str]) -> Iterator[tuple[str, bytes | None]]:
        for key in keys:
            yield key, self.objects.get(key)

    def open(self, key: str) -> BinaryIO | None:
        data = self.objects.get(key)
        return None if data is None else io.BytesIO(data)

    def head(self, keys: Sequence[str]) -> list[int | None]:
        found = [self.objects.get(key) for key in keys]
        return [None if data is None else len(data) for data in found]

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

    def spool_directory(self) -> str:
        return self._spool
