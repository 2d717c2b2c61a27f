"""What users hold in their hands: an object of a store, a range to get, an object to put.

Plain values; the only I/O is to read the local file that an `S3Object` names.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from metaflow.exception import MetaflowS3Exception
from metaflow.tools.s3 import urls


class RangeInfo(NamedTuple):
    """Which part of an object was got.

    Attributes
    ----------
    total_size : int
        Bytes of the whole object.
    request_offset : int
        Where the part begins.
    request_length : int
        Bytes of the part.
    """

    total_size: int
    request_offset: int = 0
    request_length: int = -1


class S3GetObject(NamedTuple):
    """A range of bytes to get; any object with these attributes does as well.

    Attributes
    ----------
    key : str
        Key or URL, as elsewhere.
    offset : int
        Where to begin, in bytes.
    length : int or None
        How many bytes; None or -1 for all that follow.
    """

    key: str
    offset: int
    length: int | None


class S3PutObject(NamedTuple):
    """An object to upload, with what shall be noted about it; any object with these attributes does as well.

    Attributes
    ----------
    key : str
        Key or URL, as elsewhere.
    value : str, bytes, file or pathlib.Path, optional
        The content, for `S3.put_many`.
    path : str, optional
        The local file, for `S3.put_files`.
    content_type : str, optional
        MIME type.
    encryption : str, optional
        Server-side encryption, such as ``AES256``.
    metadata : dict, optional
        Anything that JSON can hold, by name.
    """

    key: str
    value: Any = None
    path: str | None = None
    content_type: str | None = None
    encryption: str | None = None
    metadata: Mapping[str, Any] | None = None


class S3Object:
    """An object, a prefix of objects, or the absence of one.

    Parameters
    ----------
    prefix : str or None
        URL that the key is relative to.
    url : str
        Full URL.
    path : str or None
        Local file with the content.
    size : int, optional
        Bytes of the object, or of the part that was got. None for a prefix, and if there is no such object.
    content_type : str, optional
        MIME type.
    metadata : dict, optional
        As noted by `S3.put`.
    range_info : RangeInfo, optional
        Which part was got.
    last_modified : float, optional
        Seconds since the epoch.
    encryption : str or callable, optional
        Server-side encryption, or how to ask for it.
    """

    __slots__ = (
        "_content_type", "_encryption", "_last_modified", "_metadata", "_path", "_prefix", "_range", "_size", "_url",
    )  # fmt: skip

    def __init__(
        self,
        prefix: str | None,
        url: str,
        path: str | None,
        size: int | None = None,
        content_type: str | None = None,
        metadata: dict[str, Any] | None = None,
        range_info: RangeInfo | None = None,
        last_modified: float | None = None,
        encryption: str | Callable[[], str | None] | None = None,
    ) -> None:
        self._prefix = prefix
        self._url = url
        self._path = path
        self._size = os.path.getsize(path) if size is None and path is not None else size
        self._content_type = content_type
        self._metadata = metadata
        self._range = range_info
        self._last_modified = last_modified
        self._encryption = encryption

    @property
    def exists(self) -> bool:
        """Whether there is an object at this URL; False for a prefix of a listing too."""
        return self._size is not None

    @property
    def downloaded(self) -> bool:
        """Whether the content is in a local file."""
        return self._path is not None

    @property
    def url(self) -> str:
        """Full URL."""
        return self._url

    @property
    def prefix(self) -> str | None:
        """URL that `key` is relative to; None if there was none."""
        return self._prefix

    @property
    def key(self) -> str:
        """Name below `prefix`; the URL if that is None."""
        return urls.relative(self._prefix, self._url)

    @property
    def path(self) -> str | None:
        """Local file with the content, until the client is closed; None if not downloaded."""
        return self._path

    @property
    def blob(self) -> bytes | None:
        """The content; None if not downloaded.

        Raises
        ------
        MetaflowS3Exception
            The local file is gone, usually since the client was closed.
        """
        if self._path is None:
            return None
        try:
            with open(self._path, "rb") as file:
                return file.read()
        except FileNotFoundError:
            raise MetaflowS3Exception(
                f"The local copy of {self._url} is gone: {self._path}.",
                hint="downloads are deleted at the end of `with S3(…) as s3`: read them inside the block",
            ) from None

    @property
    def text(self) -> str | None:
        """The content as UTF-8, with U+FFFD in place of what is none; None if not downloaded."""
        blob = self.blob
        return None if blob is None else blob.decode("utf-8", errors="replace")

    @property
    def size(self) -> int | None:
        """Bytes of the object, or of the part that was got; None if there is no object."""
        return self._size

    @property
    def has_info(self) -> bool:
        """Whether content type, metadata and the like are known."""
        return self._content_type is not None or self._metadata is not None or self._range is not None

    @property
    def metadata(self) -> dict[str, Any] | None:
        """What `S3.put` noted; None if nothing, or if not known."""
        return self._metadata

    @property
    def content_type(self) -> str | None:
        """MIME type; None if not known."""
        return self._content_type

    @property
    def encryption(self) -> str | None:
        """Server-side encryption, such as ``AES256``; None if there is none, or if not known. Costs a request."""
        if callable(self._encryption):
            self._encryption = self._encryption()
        return self._encryption

    @property
    def range_info(self) -> RangeInfo | None:
        """Which part was got; None if not known."""
        return self._range

    @property
    def last_modified(self) -> float | None:
        """When it was written, in seconds since the epoch; None if not known."""
        return self._last_modified

    def __str__(self) -> str:
        if self._path is not None:
            state = f"{self._size} bytes, local"
        elif self._size is not None:
            state = f"{self._size} bytes, in the store"
        else:
            state = "no object"
        return f"<S3Object {self._url} ({state})>"

    __repr__ = __str__
