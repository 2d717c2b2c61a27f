"""Content-addressed bytes of one flow: a blob's name is the SHA-1 of what it holds.

The layout is that of Metaflow 2.19: ``<flow>/data/<first two digits>/<sha1>``, and noted with it a JSON document
``{"cas_raw": bool, "cas_version": 1}`` that tells whether the bytes are stored as they are or gzipped.

Small blobs are common (a run has dozens per task): on a disk they cost one existence test and two small files, in an
object store one request, all of a task at once. Big blobs pass through: hashed while they are written to a temporary
file, which then moves to its name, so that saving an array takes no second copy of it. A blob is compressed only where
that pays: not below a disk block, and not when a sample of it does not shrink; random floats are written at the disk's
speed.

A reader checks the hash and does not depend on the note being right: two programs may have stored the same content in
the two forms at once.

Start reading at `Blobs.save` and `BlobWriter`.
"""

from __future__ import annotations

import hashlib
import zlib
from _thread import allocate_lock  # threading is for big pieces only
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from metaflow import files
from metaflow.exception import BlobCorrupt, MetaflowDataMissing
from metaflow.files import NewFile
from metaflow.store import layout
from metaflow.store.protocol import OpenObject, Storage

if TYPE_CHECKING:
    from threading import Thread

SPOOL_ABOVE = 1 << 20
"""Bytes above which a blob goes through a temporary file instead of memory."""

_COMPRESS_ABOVE = 4096
_SAMPLE = 1 << 16
_PAYS_BELOW = 0.8
_GZIP_LEVEL = 1
_CHUNK = 1 << 20
_BIG_CHUNK = 64 << 20
_META = {True: b'{"cas_raw": true, "cas_version": 1}', False: b'{"cas_raw": false, "cas_version": 1}'}
_GZIP_MAGIC = b"\x1f\x8b"
_WELL_KNOWN = {
    hashlib.sha1(content, usedforsecurity=False).hexdigest(): content
    for content in (b"\x80\x05N.", b"\x80\x05\x88.", b"\x80\x05\x89.", b"\x80\x05]\x94.")
}
"""The pickles of None, True, False and []: every task has them, and their names tell what they are."""


class Blobs:
    """The blobs of one flow in one storage.

    Parameters
    ----------
    storage : Storage
        Where they are.
    flow : str
        The flow's name; blobs are shared within a flow, not between flows.
    """

    def __init__(self, storage: Storage, flow: str) -> None:
        self._storage = storage
        self._flow = flow
        self._present: set[str] = set()

    def path(self, key: str) -> str:
        """Return the storage key of the blob `key`."""
        return layout.blob(self._flow, key)

    def note_present(self, keys: Iterable[str]) -> None:
        """Take note of blobs that are there for sure, since an index names them; `save` leaves them alone."""
        self._present.update(keys)

    def save(self, blobs: Iterable[bytes]) -> list[str]:
        """Store each of `blobs`, if it is not there yet, and return their keys in order."""
        contents = list(blobs)
        keys = [hashlib.sha1(content, usedforsecurity=False).hexdigest() for content in contents]
        missing = {
            self.path(key): content for key, content in zip(keys, contents, strict=True) if key not in self._present
        }
        missing = {path: missing[path] for path in self._storage.worth_putting(list(missing))}
        packed = {path: content if _is_raw(content) else _gzip(content) for path, content in missing.items()}
        notes = {path: _META[content is missing[path]] for path, content in packed.items()}
        self._storage.put(packed.items(), attributes=notes)
        return keys

    def save_as_it_is(self, content: bytes) -> None:
        """Store a blob uncompressed, also if it is there: a signed URL gives what is stored."""
        path = self.path(hashlib.sha1(content, usedforsecurity=False).hexdigest())
        self._storage.put([(path, content)], overwrite=True, attributes={path: _META[True]})

    def writer(self) -> BlobWriter:
        """Return a file-like object that stores what is written to it as one blob."""
        return BlobWriter(self, self._storage)

    def load(self, key: str) -> bytes:
        """Return the content of the blob `key`, checked.

        Raises
        ------
        MetaflowDataMissing
            There is no such blob.
        BlobCorrupt
            What is there has another SHA-1.
        """
        return self.load_many([key])[0]

    def load_many(self, keys: Sequence[str]) -> list[bytes]:
        """Return the contents of several blobs, in order."""
        asked = [key for key in keys if key not in _WELL_KNOWN]
        contents = dict(_WELL_KNOWN)
        for key, (path, packed) in zip(asked, self._storage.get([self.path(key) for key in asked]), strict=True):
            if packed is None:
                raise self._missing(key)
            contents[key] = _unpack(key, packed, self._storage.describe(path))
        return [contents[key] for key in keys]

    def size(self, key: str) -> int | None:
        """Return the stored size in bytes, None if there is no such blob."""
        return self._storage.head([self.path(key)])[0]

    def open(self, key: str) -> BlobReader:
        """Open a big blob for reading without holding all of it in memory.

        Raises
        ------
        MetaflowDataMissing
            There is no such blob.
        """
        path = self.path(key)
        source = self._storage.open(path)
        if source is None:
            raise self._missing(key)
        packed = source.read(2) == _GZIP_MAGIC
        source.seek(0)
        if packed and b'"cas_raw": false' not in source.attributes:
            packed = not _is_content(source, key)  # the content may be a gzip file itself
        return BlobReader(key, source, self._storage.describe(path), packed=packed)

    def _missing(self, key: str) -> MetaflowDataMissing:
        return MetaflowDataMissing(f"The blob {key} is missing: {self._storage.describe(self.path(key))}.")


class Sha1:
    """The hash of what passes, with the method that `pickle` writes to.

    A big piece is hashed beside what the caller does next, reading or writing the next piece: both let go of the
    interpreter's lock. It must stay as it is until `wait` or `abandon` returns.

    Attributes
    ----------
    size : int
        Bytes hashed.
    is_abandoned : bool
        Whether pieces are missing, so that there is no hash.
    """

    def __init__(self) -> None:
        self._sha = hashlib.sha1(usedforsecurity=False)
        self._thread: Thread | None = None
        self._reading = allocate_lock()
        self.size = 0
        self.is_abandoned = False

    def update(self, data: Any) -> None:
        """Hash a piece."""
        self.wait()
        self.size += len(data)
        if len(data) < SPOOL_ABOVE:
            self._sha.update(data)
            return
        from threading import Thread

        self._thread = Thread(target=self._hash, args=(data,))
        self._thread.start()

    def write(self, data: Any) -> int:
        """Hash a piece before returning."""
        view = memoryview(data).cast("B")
        self.update(view)
        self.wait()
        return len(view)

    def wait(self) -> None:
        """Wait until all pieces are hashed."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def abandon(self) -> None:
        """Touch no piece any more: its memory is about to go, since an error, or an alarm, has ended the reading."""
        self.is_abandoned = True
        while True:
            try:
                with self._reading:
                    return
            except BaseException:  # noqa: BLE001 - another alarm; the caller raises the first one in a moment
                continue

    def _hash(self, data: Any) -> None:
        with self._reading:
            if not self.is_abandoned:
                self._sha.update(data)

    def hexdigest(self) -> str:
        """Return the hash: a blob's name."""
        self.wait()
        return self._sha.hexdigest()


class BlobWriter:
    """A blob while it is written: `write` repeatedly, then `finish` once; `discard` if it shall not be.

    Attributes
    ----------
    size : int
        Bytes written so far, unpacked.
    """

    def __init__(self, blobs: Blobs, storage: Storage) -> None:
        self._blobs = blobs
        self._storage = storage
        self._buffer = bytearray()
        self._sha = Sha1()
        self._spool: NewFile | None = None
        self._deflate: Any = None
        self.size = 0

    def write(self, data: Any) -> int:
        """Take over bytes, a memoryview, or another buffer; it may be freed when this returns."""
        view = memoryview(data).cast("B")
        self.size += len(view)
        if self._spool is None:
            if len(self._buffer) + len(view) <= SPOOL_ABOVE:
                self._buffer += view
                return len(view)
            self._open_spool(view)
        self._append(view)
        return len(view)

    @property
    def in_memory(self) -> bool:
        """Whether all of it is small enough to be here; then take `content` and save it with others."""
        return self._spool is None

    def content(self) -> bytes:
        """Return what was written, while it is in memory."""
        return bytes(self._buffer)

    def finish(self) -> str:
        """Store the blob, if it is not there yet, and return its key."""
        if self._spool is None:
            return self._blobs.save([self.content()])[0]
        try:
            if self._deflate is not None:
                self._spool.write(self._deflate.flush())
            key = self._sha.hexdigest()
            path = self._blobs.path(key)
            if self._storage.head([path])[0] is None:
                self._storage.put_file(path, self._spool, _META[self._deflate is None])
            return key
        except OSError as error:
            self._refuse(error)
        finally:
            self.discard()

    def discard(self) -> None:
        """Forget what was written."""
        self._buffer.clear()
        if self._spool is not None:
            self._spool.close()

    def _open_spool(self, coming: memoryview) -> None:
        self._spool = self._storage.spool()
        if not _is_raw(memoryview(self._buffer), coming):
            self._deflate = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, 31)
        head = bytes(self._buffer)
        self._buffer.clear()
        self._append(memoryview(head))

    def _append(self, view: memoryview) -> None:
        self._sha.update(view)
        try:
            self._store(view)
        finally:
            self._sha.wait()  # the caller may free the buffer

    def _store(self, view: memoryview) -> None:
        assert self._spool is not None
        try:
            if self._deflate is None:
                self._spool.write(view)
            else:
                for start in range(0, len(view), _CHUNK):
                    self._spool.write(self._deflate.compress(view[start : start + _CHUNK]))
        except OSError as error:
            self.discard()
            self._refuse(error)

    def _refuse(self, error: OSError) -> NoReturn:
        assert self._spool is not None
        files.unavailable(error, f"a temporary file in {self._spool.directory}")


class BlobReader:
    """A blob while it is read, with the three methods that `pickle` calls; hashes what passes.

    Parameters
    ----------
    key : str
        The blob's name.
    source : OpenObject
        What is stored; closed with the reader.
    where : str
        Its place, for errors.
    packed : bool
        Whether it is gzipped.

    Raises
    ------
    BlobCorrupt
        By all that read: what is stored is no whole gzip file.
    """

    def __init__(self, key: str, source: OpenObject, where: str, *, packed: bool) -> None:
        self._key = key
        self._where = where
        self._source = source
        self._inflate = zlib.decompressobj(31) if packed else None
        self._sha = Sha1()
        self._ahead = b""
        self._taken = 0  # bytes of a source that is not packed

    @property
    def is_packed(self) -> bool:
        """Whether passing over bytes costs as much as reading them."""
        return self._inflate is not None

    def readinto(self, target: Any) -> int:
        view = memoryview(target).cast("B")
        try:
            return self._fill(view)
        except BaseException:
            self._sha.abandon()  # pickle frees what it wanted to have filled
            raise

    def _fill(self, view: memoryview) -> int:
        got = min(len(self._ahead), len(view))
        view[:got] = self._ahead[:got]
        self._ahead = self._ahead[got:]
        while got < len(view):
            count = self._take_into(view[got : got + _BIG_CHUNK])
            if not count:
                break
            self._sha.update(view[got : got + count])
            got += count
        self._sha.wait()
        return got

    def read(self, size: int = -1) -> bytes:
        if size < 0:
            rest = [self._ahead, *iter(self._more, b"")]
            self._ahead = b""
            return b"".join(rest)
        while len(self._ahead) < size:
            more = self._more(size - len(self._ahead))
            if not more:
                break
            self._ahead += more
        result, self._ahead = self._ahead[:size], self._ahead[size:]
        return result

    def readline(self) -> bytes:
        while (end := self._ahead.find(b"\n")) < 0:
            more = self._more()
            if not more:
                end = len(self._ahead) - 1
                break
            self._ahead += more
        line, self._ahead = self._ahead[: end + 1], self._ahead[end + 1 :]
        return line

    def skip(self, size: int) -> None:
        """Pass over bytes: at no cost where the blob is stored as it is. Its hash is not checked any more."""
        self._sha.abandon()
        ahead = min(size, len(self._ahead))
        self._ahead = self._ahead[ahead:]
        size -= ahead
        if self._inflate is None:
            self._taken += size
            self._source.seek(self._taken)
            return
        while size > 0:
            data = self._take(min(size, _CHUNK))
            if not data:
                return
            size -= len(data)

    def check(self) -> None:
        """Read what is left and compare the hash with the blob's name, unless the reading was broken off.

        Raises
        ------
        BlobCorrupt
            They differ.
        """
        if self._sha.is_abandoned:
            return
        while self._more():
            pass
        if self._sha.hexdigest() != self._key:
            raise BlobCorrupt(self._key, self._where)

    def close(self) -> None:
        self._source.close()

    def __enter__(self) -> BlobReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _more(self, size: int = 0) -> bytes:
        data = self._take(max(size, 1 << 16))
        self._sha.update(data)
        return data

    def _take_into(self, view: memoryview) -> int:
        if self._inflate is None:
            count = self._source.readinto(view)
            self._taken += count
            return count
        data = self._take(min(len(view), _CHUNK))
        view[: len(data)] = data
        return len(data)

    def _take(self, size: int) -> bytes:
        """Return the next bytes of the content, at most `size`; none at its end."""
        if self._inflate is None:
            data = self._source.read(size)
            self._taken += len(data)
            return data
        try:
            while not self._inflate.eof:
                packed = self._inflate.unconsumed_tail or self._source.read(1 << 16)
                data = self._inflate.decompress(packed, size)
                if data:
                    return data
                if not packed and not self._inflate.eof:
                    raise BlobCorrupt(self._key, self._where, "it is truncated")
        except zlib.error as error:
            raise BlobCorrupt(self._key, self._where, str(error)) from error
        return b""


def _is_raw(head: bytes | memoryview, coming: bytes | memoryview = b"") -> bool:
    """Tell from a sample whether compressing does not pay."""
    if len(head) + len(coming) < _COMPRESS_ABOVE:
        return True
    half = _SAMPLE // 2
    rest = coming if len(coming) else head[half:]
    middle = max(0, len(rest) - half) // 2
    sample = bytes(head[:half]) + bytes(rest[middle : middle + half])
    return len(zlib.compress(sample, 1)) > _PAYS_BELOW * len(sample)


def _gzip(content: bytes) -> bytes:
    deflate = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, 31)
    return deflate.compress(content) + deflate.flush()


def _unpack(key: str, packed: bytes, where: str) -> bytes:
    if hashlib.sha1(packed, usedforsecurity=False).hexdigest() == key:
        return packed
    try:
        content = zlib.decompress(packed, 31)
    except zlib.error:
        raise BlobCorrupt(key, where) from None
    if hashlib.sha1(content, usedforsecurity=False).hexdigest() != key:
        raise BlobCorrupt(key, where)
    return content


def _is_content(source: OpenObject, key: str) -> bool:
    """Tell whether what is stored is the content itself, at the price of reading it once more."""
    sha = hashlib.sha1(usedforsecurity=False)
    while data := source.read(_CHUNK):
        sha.update(data)
    source.seek(0)
    return sha.hexdigest() == key
