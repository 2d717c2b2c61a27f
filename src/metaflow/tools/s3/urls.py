"""URLs and keys of the user's objects, taken apart and put together.

Pure: strings in; names or a sentence out. A key is any string that S3 accepts, so nothing is normalised but slashes at
its beginning.
"""

from __future__ import annotations

import re

from metaflow.exception import MetaflowS3URLException
from metaflow.store.objects.address import KINDS, Address, is_bucket_name

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")
_ALIASES = {"s3a": "s3", "s3n": "s3", "gcs": "gs", "az": "azure", "abfs": "azure", "abfss": "azure", "wasbs": "azure"}
_OPAQUE = re.compile(r"[\x00-\x1f\x7f]")


def parse(url: str) -> Address:
    """Take a full URL apart.

    Raises
    ------
    MetaflowS3URLException
        It is none.
    """
    scheme, separator, path = url.partition("://")
    if not separator or scheme not in KINDS:
        raise MetaflowS3URLException(f"'{url}' is not a URL of an object store.", hint=_hint(scheme, path))
    container, _, key = path.partition("/")
    if not container:
        raise MetaflowS3URLException(
            f"'{url}' does not name a bucket.", hint=f"it should look like {scheme}://bucket/key"
        )
    if not is_bucket_name(container):
        raise MetaflowS3URLException(f"'{container}' in '{url}' is not a valid bucket name.")
    return Address(scheme, container, key)


def is_url(string: str) -> bool:
    """Tell whether a string is meant as a full URL."""
    return _URL.match(string) is not None


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
    if scheme.lower() in KINDS:
        return f"write {scheme.lower()}://{path}"
    return "it should begin with s3://, gs:// or azure:// and a bucket"
