"""What users hand to `S3.put` and its kin, turned into something that can be sent, and sent again if need be.

Strings and bytes stay in memory; a file that lies on a disk is sent from there; any other open file is copied to the
client's temporary directory first, since a stream cannot be read twice. Start reading at `content`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

from metaflow.exception import MetaflowS3InvalidObject, MetaflowS3NotFound
from metaflow.store.objects.address import Address
from metaflow.store.objects.bucket import PART, Content

_CHUNK = 1 << 20


def content(
    address: Address,
    value: Any,
    spool: Callable[[str], str],
    content_type: str | None = None,
    metadata: Any = None,
    encryption: str | None = None,
) -> Content:
    """Return what is to be uploaded of a value.

    Parameters
    ----------
    address : Address
        Where it shall be.
    value : str, bytes, bytearray, memoryview, open binary file or os.PathLike
        The content.
    spool : callable
        From a name to the path of a new temporary file.
    content_type, encryption : str, optional
        As `S3PutObject` has them.
    metadata : mapping, optional
        Anything that JSON can hold, by name.

    Raises
    ------
    MetaflowS3InvalidObject
        The value or the metadata is nothing that can be sent.
    MetaflowS3NotFound
        There is no such local file.
    """
    plain = Content(
        content_type=_printable(address, "content_type", content_type),
        attributes=_attributes(address, metadata),
        encryption=_printable(address, "encryption", encryption),
    )
    if isinstance(value, str):
        return plain._replace(data=_encoded(address, value))
    if isinstance(value, (bytes, bytearray, memoryview)):
        return plain._replace(data=bytes(value))
    if isinstance(value, os.PathLike):
        return plain._replace(path=local_file(address, value))
    if callable(getattr(value, "read", None)):
        return _from_file(address, plain, value, spool)
    raise MetaflowS3InvalidObject(
        f"The value for {address.url} is of type {type(value).__name__}, which cannot be uploaded.",
        hint="put accepts str, bytes, an open binary file or a pathlib.Path; store other values as artifacts",
    )


def local_file(address: Address, path: Any) -> str:
    """Return the absolute path of a file to upload.

    Raises
    ------
    MetaflowS3NotFound
        There is none.
    MetaflowS3InvalidObject
        It is no regular file, or no path.
    """
    try:
        found = os.path.abspath(os.fsdecode(path))
    except TypeError:
        raise MetaflowS3InvalidObject(
            f"The local path for {address.url} is of type {type(path).__name__}.",
            hint="put_files takes pairs of a key and a path, or S3PutObject(key, path=…)",
        ) from None
    if not os.path.exists(found):
        raise MetaflowS3NotFound(f"The local file {found}, to be uploaded as {address.url}, does not exist.")
    if not os.path.isfile(found):
        raise MetaflowS3InvalidObject(f"{found}, to be uploaded as {address.url}, is not a regular file.")
    return found


def _from_file(address: Address, plain: Content, file: Any, spool: Callable[[str], str]) -> Content:
    path = _on_disk(file)
    if path is not None:
        return plain._replace(path=path)
    first = file.read(PART)
    if isinstance(first, str):
        raise MetaflowS3InvalidObject(
            f"The file for {address.url} is open in text mode.", hint="open it with mode 'rb'"
        )
    if len(first) < PART:
        rest = file.read()  # a raw file may give less than it has
        return plain._replace(data=bytes(first) + (rest or b""))
    path = spool("upload")
    with open(path, "xb") as copy:
        while first:
            copy.write(first)
            first = file.read(_CHUNK)
    return plain._replace(path=path)


def _on_disk(file: Any) -> str | None:
    """Return the path of an open file of which nothing has been read or is yet to be written."""
    name = getattr(file, "name", None)
    try:
        if not isinstance(name, str) or "b" not in file.mode or file.writable() or file.tell():
            return None
        same = os.path.samestat(os.fstat(file.fileno()), os.stat(name))
        return os.path.abspath(name) if same and os.path.isfile(name) else None
    except (AttributeError, OSError, TypeError, ValueError):
        return None


def _encoded(address: Address, text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise MetaflowS3InvalidObject(
            f"The string for {address.url} cannot be encoded as UTF-8: {error.reason}."
        ) from None


def _attributes(address: Address, metadata: Any) -> str | None:
    if metadata is None or metadata == {}:
        return None
    try:
        return json.dumps(dict(metadata))
    except (TypeError, ValueError) as error:
        raise MetaflowS3InvalidObject(
            f"The metadata of {address.url} cannot be serialized as a JSON object: {error}.",
            hint='metadata must be a mapping, such as {"source": "sensor-3"}',
        ) from None


def _printable(address: Address, name: str, value: Any) -> str | None:
    if value is None or (isinstance(value, str) and value.isascii() and value.isprintable()):
        return value
    raise MetaflowS3InvalidObject(
        f"The {name} of {address.url} is {value!r}.", hint="it must be a printable ASCII string"
    )
