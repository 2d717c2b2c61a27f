"""Where a spun task keeps what it stores: in a directory of its own, or nowhere; the past run is only read.

`SpinStorage` is the directory, ``.metaflow_spin``. `ScratchStorage` lives as long as the process. `SpunStorage` is what
a spun task works with: it reads its inputs from the storage of the past run, and all that it writes goes to the other.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from metaflow import files
from metaflow.exception import MetaflowDataMissing
from metaflow.store import layout
from metaflow.store.local import LocalStorage, OpenFile
from metaflow.store.memory import MemoryStorage
from metaflow.store.overlap import overlap
from metaflow.store.protocol import Entry, LogSink, OpenObject, Storage

_CHUNK = 1 << 20


class SpinStorage(LocalStorage):
    """The results of spun tasks that are kept: files, as in the local storage, below ``.metaflow_spin``."""

    kind = "spin"


class _OpenScratch(OpenFile):
    """A scratch file that is open once more, with a position of its own."""

    def __init__(self, fd: int, attributes: bytes) -> None:
        super().__init__(f"/proc/self/fd/{fd}")
        self._attributes = attributes

    @property
    def attributes(self) -> bytes:
        return self._attributes


class ScratchStorage(MemoryStorage):
    """Objects in memory, big ones in files without a name: nothing is left when the process ends, however it ends."""

    kind = "scratch"
    root = "scratch:"

    def __init__(self, spool: str = "") -> None:
        super().__init__(spool or tempfile.gettempdir())
        self._files: dict[str, int] = {}

    def put_file(self, key: str, file: files.NewFile, attributes: bytes | None = None) -> None:
        with file:
            self._files.setdefault(key, os.dup(file.fd))
        self.attributes[key] = attributes or b""

    def get(self, keys: Sequence[str]) -> Iterator[tuple[str, bytes | None]]:
        for key in keys:
            opened = self.open(key)
            if opened is None:
                yield key, None
                continue
            with opened:
                yield key, opened.read()

    def open(self, key: str) -> OpenObject | None:
        fd = self._files.get(key)
        return super().open(key) if fd is None else _OpenScratch(fd, self.attributes[key])

    def head(self, keys: Sequence[str]) -> list[int | None]:
        small = zip(keys, super().head(keys), strict=True)
        return [os.fstat(self._files[key]).st_size if key in self._files else size for key, size in small]

    def worth_putting(self, keys: Sequence[str]) -> list[str]:
        return [key for key in super().worth_putting(keys) if key not in self._files]


class SpunStorage:
    """What a spun task sees: a past run that it can only read, and below the same names what it writes.

    Implements `metaflow.store.protocol.Storage`.

    Parameters
    ----------
    inputs : Storage
        That of the past run.
    results : Storage
        Takes all that is written, and is read first.
    """

    def __init__(self, inputs: Storage, results: Storage) -> None:
        self._inputs = inputs
        self._results = results
        self.kind = results.kind
        self.root = results.root
        self.concurrency = max(inputs.concurrency, results.concurrency)

    def adopt(self, keys: Collection[str]) -> None:
        """Make objects of the past run part of the results, so that these are whole without it.

        On one disk a link does; else they are copied.

        Raises
        ------
        MetaflowDataMissing
            One of them is in neither.
        """
        missing = [key for key, size in zip(keys, self._results.head(list(keys)), strict=True) if size is None]
        for _ in overlap(self._adopt, missing, self._inputs.concurrency):
            pass

    def _adopt(self, key: str) -> None:
        if isinstance(self._inputs, LocalStorage) and isinstance(self._results, LocalStorage):
            for path in (layout.attributes_file(key), key):
                files.link(self._inputs.describe(path), self._results.describe(path))
            return
        source = self._inputs.open(key)
        if source is None:
            raise MetaflowDataMissing(f"An artifact of the past run is gone: {self._inputs.describe(key)}.")
        with source, self._results.spool() as file:
            while data := source.read(_CHUNK):
                file.write(data)
            self._results.put_file(key, file, source.attributes)

    # --- reading: first the results -----------------------------------------------------------------------------------

    def get(self, keys: Sequence[str]) -> Iterator[tuple[str, bytes | None]]:
        own = dict(self._results.get(keys))
        others = dict(self._inputs.get([key for key, data in own.items() if data is None]))
        for key in keys:
            yield key, own[key] if own[key] is not None else others[key]

    def open(self, key: str) -> OpenObject | None:
        return self._results.open(key) or self._inputs.open(key)

    def head(self, keys: Sequence[str]) -> list[int | None]:
        own = dict(zip(keys, self._results.head(keys), strict=True))
        rest = [key for key, size in own.items() if size is None]
        own.update(zip(rest, self._inputs.head(rest), strict=True))
        return [own[key] for key in keys]

    def list(self, prefix: str) -> Iterator[Entry]:
        entries = {entry.key: entry for entry in self._inputs.list(prefix)}
        entries.update({entry.key: entry for entry in self._results.list(prefix)})
        return iter(entries.values())

    def describe(self, key: str) -> str:
        return self._inputs.describe(key)

    def signed_url(self, key: str, seconds: int) -> str:
        return self._inputs.signed_url(key, seconds)

    # --- writing: only the results ------------------------------------------------------------------------------------

    def put(
        self,
        items: Iterable[tuple[str, bytes]],
        *,
        overwrite: bool = False,
        attributes: Mapping[str, bytes] | None = None,
    ) -> None:
        self._results.put(items, overwrite=overwrite, attributes=attributes)

    def put_file(self, key: str, file: files.NewFile, attributes: bytes | None = None) -> None:
        self._results.put_file(key, file, attributes)

    def copy(self, keys: Iterable[tuple[str, str]]) -> None:
        self._results.copy(keys)

    def worth_putting(self, keys: Sequence[str]) -> Sequence[str]:
        return self._results.worth_putting(keys)

    def delete(self, keys: Sequence[str]) -> None:
        self._results.delete(keys)

    def log_sink(self) -> LogSink:
        return self._results.log_sink()

    def spool(self) -> files.NewFile:
        return self._results.spool()
