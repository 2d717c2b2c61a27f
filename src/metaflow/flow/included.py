r"""The content of included files: into the storage when a run starts, out of it in steps and in the client.

A file's way: `IncludeFile` (the parameter, in `metaflow.flow.includefile`) gives a `LocalFile`, a promise that there is
something to read; `store_included` puts its bytes into a storage and gives the `IncludedFile` that becomes the
artifact; `IncludedFile.decode` gets them back. Storages are met through the protocol `FileStorage` alone.

The format is Metaflow's. The artifact is a pickled `metaflow.includefile.IncludedFile` with a descriptor:

============  =====================================================================================================
``type``      ``uploader-v2``; the older ``uploader-v1`` and ``external`` are read too
``sub-type``  (v2) ``uploaded``: compressed with gzip, as all of v1; ``external``: bytes as they are
``url``       ``local://<absolute path>``, ``s3://…``; of uploaded files, ends in ``/<flow>/<SHA-1 of the file>``
``size``      (v2) of the file, in bytes
``is_text``   whether to decode; line ends become ``\n`` then
``encoding``  of the text; UTF-8 if not given
============  =====================================================================================================
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, cast

from metaflow import files
from metaflow.exception import BlobCorrupt, CommandException, MetaflowDataMissing, MetaflowException

LARGEST = 4 << 30
"""Size in bytes above which a file is refused: each step that looks at it holds all of it in memory."""

_CHUNK = 1 << 20
_GZIP = 31  # zlib's number for a stream with gzip's header


class FileStorage(Protocol):
    """What included files need of a storage: a part of `metaflow.store.protocol.Storage`."""

    kind: str

    def put_file(self, key: str, file: files.NewFile) -> None: ...
    def get(self, keys: Sequence[str]) -> Iterator[tuple[str, bytes | None]]: ...
    def head(self, keys: Sequence[str]) -> list[int | None]: ...
    def spool(self) -> files.NewFile: ...
    def describe(self, key: str) -> str: ...


class LocalFile(NamedTuple):
    """A file of this machine that a run is to include.

    Attributes
    ----------
    path : str
        Absolute path.
    is_text : bool
        Whether its content is text.
    encoding : str
        Encoding of the text.
    option : str
        The option that asks for it, for messages.
    """

    path: str
    is_text: bool
    encoding: str
    option: str


class IncludedFile:
    """A file that a run included, as its artifact.

    Parameters
    ----------
    descriptor : dict
        See the top of this module.
    """

    __module__ = "metaflow.includefile"  # Metaflow's pickles say so

    def __init__(self, descriptor: dict[str, Any]) -> None:
        self._descriptor = descriptor
        self._cached_size: int | None = None  # a part of Metaflow's pickles

    def __repr__(self) -> str:
        return f"IncludedFile({self._descriptor.get('url')})"

    @property
    def descriptor(self) -> dict[str, Any]:
        """What is stored."""
        return self._descriptor

    @property
    def size(self) -> int | None:
        """Size of the file in bytes; None for old files, which do not say."""
        return self._descriptor.get("size")

    def decode(
        self, open_storage: Callable[[str, str], FileStorage] | None = None, roots: Iterable[str] = ()
    ) -> str | bytes:
        """Return the content: text or bytes, as the flow declares.

        Parameters
        ----------
        open_storage : callable, optional
            From kind and root to a storage; through the registry if not given.
        roots : iterable of str, optional
            Roots to look below if the file is not where it was, such as that of a datastore that has been moved.

        Raises
        ------
        metaflow.exception.MetaflowDataMissing
            The content is not there, or the descriptor has a form that this version cannot read.
        metaflow.exception.BlobCorrupt
            The bytes are not those that were stored.
        metaflow.exception.MetaflowException
            The bytes are not text in the declared encoding.
        """
        read = self._reader()
        url = str(self._descriptor.get("url"))
        kind, root, key = _parts(url)
        for place in (root, *(roots if kind == "local" else ())):
            storage = (open_storage or _open_storage)(kind, place)
            data = next(iter(storage.get([key])))[1]
            if data is not None:
                return self._text(read(data, key, storage.describe(key)))
        raise MetaflowDataMissing(
            f"The content of an included file is not at {url}.",
            hint="the datastore was moved or cleaned: put the file back, or run the flow again",
        )

    def _reader(self) -> Callable[[bytes, str, str], bytes]:
        """Return what makes the file's bytes from what is stored, its key and its place."""
        form = (self._descriptor.get("type"), self._descriptor.get("sub-type"))
        if form == ("uploader-v2", "uploaded"):
            return _checked
        if form[0] == "uploader-v1":
            return _unpacked
        if form[0] == "external" or form == ("uploader-v2", "external"):
            return lambda data, key, place: data
        raise MetaflowDataMissing(
            f"An included file is stored in a form that this version cannot read: {form[0]}, {form[1]}.",
            hint="read it with the version of Metaflow that stored it",
        )

    def _text(self, data: bytes) -> str | bytes:
        if not self._descriptor.get("is_text"):
            return data
        encoding = self._descriptor.get("encoding") or "utf-8"
        try:
            text = data.decode(encoding)
        except (UnicodeError, LookupError) as error:
            raise MetaflowException(
                f"The included file {self._descriptor.get('url')} is not {encoding} text: {error}.",
                hint="give the IncludeFile its encoding=…, or is_text=False, and run the flow again",
            ) from error
        return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def store_included(file: LocalFile, storage: FileStorage, flow_name: str) -> IncludedFile:
    """Store a file for a run, under ``<flow>/<SHA-1>``; needs little memory, however large it is.

    Parameters
    ----------
    file : LocalFile
        The file.
    storage : FileStorage
        The storage of included files: its root is `Settings.local_files_root`, not that of the datastore.
    flow_name : str
        Name of the flow.

    Raises
    ------
    metaflow.exception.CommandException
        The file cannot be read, is not text in its encoding, or is larger than `LARGEST`.
    metaflow.exception.StorageUnavailable
        The storage refuses.
    """
    with storage.spool() as spool:
        sha, size = _pack(file, spool)
        key = f"{flow_name}/{sha}"
        if storage.head([key])[0] is None:
            storage.put_file(key, spool)
    place = storage.describe(key)
    return IncludedFile(
        {
            "type": "uploader-v2",
            "url": place if "://" in place else f"{storage.kind}://{place}",
            "is_text": file.is_text,
            "encoding": file.encoding,
            "sub-type": "uploaded",
            "size": size,
        }
    )


def _pack(file: LocalFile, spool: files.NewFile) -> tuple[str, int]:
    """Write `file` to `spool`, compressed; return SHA-1 and size of what was read."""
    import hashlib
    import zlib

    digest = hashlib.sha1(usedforsecurity=False)
    packer = zlib.compressobj(3, zlib.DEFLATED, _GZIP)
    check = _text_check(file)
    size = 0
    try:
        for chunk in _chunks(file):
            digest.update(chunk)
            check(chunk, False)
            spool.write(packer.compress(chunk))
            size += len(chunk)
        check(b"", True)
        spool.write(packer.flush())
    except OSError as error:
        files.unavailable(error, f"a temporary file in {spool.directory}")
    return digest.hexdigest(), size


def _chunks(file: LocalFile) -> Iterator[bytes]:
    try:
        with open(file.path, "rb", buffering=0) as source:
            _check_size(file, os.fstat(source.fileno()).st_size)
            total = 0
            while chunk := source.read(_CHUNK):
                total += len(chunk)
                _check_size(file, total)
                yield chunk
    except OSError as error:
        raise CommandException(
            f"{file.option}: the file {file.path} cannot be read: {error.strerror or error}."
        ) from error


def _check_size(file: LocalFile, size: int) -> None:
    if size > LARGEST:
        raise CommandException(
            f"{file.option}: the file {file.path} is larger than {LARGEST >> 30} GB.",
            hint="pass its path, or a URL of an object store, as a Parameter and read it in the steps",
        )


def _text_check(file: LocalFile) -> Callable[[bytes, bool], None]:
    """Return a function that takes a text's bytes piece by piece and raises for the first that is wrong."""
    if not file.is_text:
        return lambda chunk, final: None
    import codecs

    decoder = codecs.getincrementaldecoder(file.encoding)()
    seen = 0

    def check(chunk: bytes, final: bool) -> None:
        nonlocal seen
        seen += len(chunk)
        try:
            decoder.decode(chunk, final)
        except UnicodeDecodeError as error:
            # The decoder kept the beginning of a character: its positions count from there.
            position = seen - len(error.object) + error.start
            raise CommandException(
                f"{file.option}: the file {file.path} is not {file.encoding} text: the byte at position {position} "
                f"(0x{error.object[error.start]:02x}) is wrong: {error.reason}.",
                hint="give the IncludeFile its encoding=…, or is_text=False",
            ) from error
        except UnicodeError as error:  # utf-16 without a byte order mark, idna, …
            raise CommandException(
                f"{file.option}: the file {file.path} is not {file.encoding} text: {error}.",
                hint="give the IncludeFile its encoding=…, or is_text=False",
            ) from error

    return check


def _parts(url: str) -> tuple[str, str, str]:
    """Split a URL into the kind of storage, its root, and the key: the last two names."""
    kind, _, path = url.partition("://")
    above, _, name = path.rpartition("/")
    root, _, flow = above.rpartition("/")
    root, key = (root, f"{flow}/{name}") if root else (above, name)
    return kind, root if kind == "local" else f"{kind}://{root}", key


def _open_storage(kind: str, root: str) -> FileStorage:
    from metaflow import registry

    return cast(FileStorage, registry.load("datastore", kind)(root))


def _unpacked(data: bytes, key: str, place: str) -> bytes:
    import zlib

    name = key.rpartition("/")[2]
    parts = []
    try:
        while data:  # a gzip file is one or more streams
            unpacker = zlib.decompressobj(_GZIP)
            parts.append(unpacker.decompress(data))
            if not unpacker.eof:
                raise BlobCorrupt(name, place, "it ends too early")
            data = unpacker.unused_data
    except zlib.error as error:
        raise BlobCorrupt(name, place, f"it cannot be decompressed ({error})") from error
    return b"".join(parts)


def _checked(data: bytes, key: str, place: str) -> bytes:
    import hashlib

    content = _unpacked(data, key, place)
    name = key.rpartition("/")[2]
    if hashlib.sha1(content, usedforsecurity=False).hexdigest() != name:
        raise BlobCorrupt(name, place)
    return content
