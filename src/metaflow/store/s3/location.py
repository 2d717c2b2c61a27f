"""URLs and keys of the user's objects, taken apart and put together.

Pure: texts in; names or a sentence out. A key is any text that S3 accepts, so nothing is normalised but slashes at its
beginning.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from metaflow.exception import MetaflowS3URLException
from metaflow.store.object_place import Place

SCHEMES = ("s3", "gs", "azure")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")
_ALIASES = {"s3a": "s3", "s3n": "s3", "gcs": "gs", "az": "azure", "abfs": "azure", "abfss": "azure", "wasbs": "azure"}
_OPAQUE = re.compile(r"[\x00-\x1f\x7f]")


class Location(NamedTuple):
    """An object, or a prefix of objects.

    Attributes
    ----------
    kind : str
        ``s3``, ``gs`` or ``azure``.
    container : str
        The bucket.
    key : str
        The name in the bucket; empty for the bucket itself.
    """

    kind: str
    container: str
    key: str

    @property
    def url(self) -> str:
        """The location as text."""
        return f"{self.kind}://{self.container}/{self.key}"

    @property
    def place(self) -> Place:
        """The bucket, for the client."""
        return Place(self.kind, self.container, "")


def parse(url: str) -> Location:
    """Take a full URL apart.

    Raises
    ------
    MetaflowS3URLException
        It is none.
    """
    scheme, separator, path = url.partition("://")
    if not separator or scheme not in SCHEMES:
        raise MetaflowS3URLException(f"'{url}' is no URL of an object store.", hint=_hint(scheme, path))
    container, _, key = path.partition("/")
    if not container:
        raise MetaflowS3URLException(f"'{url}' names no bucket.", hint=f"it should look like {scheme}://bucket/key")
    if any(character in container for character in " ?#%@:\\"):
        raise MetaflowS3URLException(f"'{container}' in '{url}' cannot be the name of a bucket.")
    return Location(scheme, container, key)


def is_url(text: str) -> bool:
    """Tell whether a text is meant as a full URL."""
    return _URL.match(text) is not None


def join(root: str, key: str) -> str:
    """Return the URL of `key` below `root`."""
    key = key.lstrip("/")
    return f"{root.rstrip('/')}/{key}" if key else root


def relative(prefix: str | None, url: str) -> str:
    """Return the key of `url` as seen from `prefix`; the URL itself if that leaves nothing."""
    if prefix is None or url == prefix or not url.startswith(prefix):
        return url
    below = url[len(prefix) :]
    return (below if prefix.endswith("/") else below.removeprefix("/")).removesuffix("/")


def has_plain_name(key: str) -> bool:
    """Tell whether obstore can name this key: no empty part, no part of dots, no control characters."""
    return not _OPAQUE.search(key) and not any(part in ("", ".", "..") for part in key.split("/"))


def _hint(scheme: str, path: str) -> str:
    if scheme.lower() in _ALIASES:
        return f"write {_ALIASES[scheme.lower()]}://{path}"
    if scheme.lower() in SCHEMES:
        return f"write {scheme.lower()}://{path}"
    return "it should begin with s3://, gs:// or azure:// and a bucket"
