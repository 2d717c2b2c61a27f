"""What users hand to `S3.put` and its kin, turned into something that can be sent, and sent again if need be.

Text and bytes stay in memory; a file that lies on a disk is sent from there; any other open file is copied to the
client's temporary directory first, since a stream cannot be read twice. Start reading at `upload`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

from metaflow.exception import MetaflowS3InvalidObject, MetaflowS3NotFound
from metaflow.store.s3.bucket import PART
from metaflow.store.s3.location import Location
from metaflow.store.s3.transfer import Upload

_CHUNK = 1 << 20


def upload(
    location: Location,
    value: Any,
    spool: Callable[[str], str],
    content_type: str | None = None,
    metadata: Any = None,
    encryption: str | None = None,
) -> Upload:
    """Make an upload of a value.

    Parameters
    ----------
    location : Location
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
    plain = Upload(
        location,
        content_type=_text(location, "content_type", content_type),
        noted=_noted(location, metadata),
        encryption=_text(location, "encryption", encryption),
    )
    if isinstance(value, str):
        return plain._replace(data=_encoded(location, value))
    if isinstance(value, (bytes, bytearray, memoryview)):
        return plain._replace(data=bytes(value))
    if isinstance(value, os.PathLike):
        return plain._replace(path=local_file(location, value))
    if callable(getattr(value, "read", None)):
        return _from_file(plain, value, spool)
    raise MetaflowS3InvalidObject(
        f"What shall be {location.url} is of type {type(value).__name__}.",
        hint="put takes str, bytes, an open binary file or a pathlib.Path; keep other values as artifacts",
    )


def local_file(location: Location, path: Any) -> str:
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
            f"The local path for {location.url} is of type {type(path).__name__}.",
            hint="put_files takes pairs of a key and a path, or S3PutObject(key, path=…)",
        ) from None
    if not os.path.exists(found):
        raise MetaflowS3NotFound(f"The local file {found}, which shall be {location.url}, does not exist.")
    if not os.path.isfile(found):
        raise MetaflowS3InvalidObject(f"{found}, which shall be {location.url}, is no regular file.")
    return found


def _from_file(plain: Upload, file: Any, spool: Callable[[str], str]) -> Upload:
    path = _on_disk(file)
    if path is not None:
        return plain._replace(path=path)
    first = file.read(PART)
    if isinstance(first, str):
        raise MetaflowS3InvalidObject(
            f"What shall be {plain.location.url} is a file of text.", hint="open it with mode 'rb'"
        )
    if len(first) < PART:
        rest = file.read()  # a raw file may give less than it has
        return plain._replace(data=bytes(first) + (rest or b""))
    path = spool("upload")
    with open(path, "wb") as copy:
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


def _encoded(location: Location, text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise MetaflowS3InvalidObject(f"The text for {location.url} cannot be UTF-8: {error.reason}.") from None


def _noted(location: Location, metadata: Any) -> str | None:
    if metadata is None or metadata == {}:
        return None
    try:
        return json.dumps(dict(metadata))
    except (TypeError, ValueError) as error:
        raise MetaflowS3InvalidObject(
            f"The metadata of {location.url} cannot be written as a JSON object: {error}.",
            hint='metadata is a mapping, such as {"source": "sensor-3"}',
        ) from None


def _text(location: Location, name: str, value: Any) -> str | None:
    if value is None or (isinstance(value, str) and value.isascii() and value.isprintable()):
        return value
    raise MetaflowS3InvalidObject(f"The {name} of {location.url} is {value!r}.", hint="it should be a plain text")
