"""What users pass to the methods of `S3`, checked: keys, ranges, pairs to put, and iterables of them.

Pure. Each error says what was given and what would do.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from metaflow.exception import MetaflowS3InvalidObject, MetaflowS3InvalidRange, MetaflowS3URLException
from metaflow.tools.s3 import urls
from metaflow.tools.s3.objects import S3PutObject


def url(root: str | None, key: Any) -> str:
    """Return the full URL of a key.

    Parameters
    ----------
    root : str or None
        URL that the key is below, if there is one.
    key : str or None
        The key; None for the root itself. Without a root, a URL.

    Raises
    ------
    MetaflowS3URLException
        It is not a string, or the wrong one of key and URL.
    """
    if key is not None and not isinstance(key, str):
        raise MetaflowS3URLException(f"A key must be a string, not {type(key).__name__}: {str(key)[:80]!r}.")
    if root is None:
        if not key or not urls.is_url(key):
            raise MetaflowS3URLException(
                f"'{key}' is not a full URL." if key else "No key was given, and this S3 has no root.",
                hint="write s3://bucket/key, or create the client with s3root= or run=",
            )
        return key
    if key and urls.is_url(key):
        raise MetaflowS3URLException(
            f"'{key}' is a full URL, but this S3 has the root {root}.",
            hint="give a key relative to the root, or use S3() without a root for full URLs",
        )
    if key and any(0xD800 <= ord(letter) <= 0xDFFF for letter in key):
        raise MetaflowS3URLException(f"The key {key!r} cannot be encoded as UTF-8.")
    return urls.join(root, key or "")


def several(method: str, keys: Any) -> list[Any]:
    """Return an iterable of keys as a list.

    Raises
    ------
    MetaflowS3URLException
        It is one string, or no iterable.
    """
    if isinstance(keys, (str, bytes)) or not isinstance(keys, Iterable):
        raise MetaflowS3URLException(
            f"{method} takes a list of keys, not {_a(keys)}.", hint=f"put the key in a list: {method}([…])"
        )
    return list(keys)


def wanted(key: Any) -> tuple[Any, int | None, int | None]:
    """Return the key, the offset and the length that are asked for; None for all, and for all that follow.

    Raises
    ------
    MetaflowS3InvalidRange
        The range is none.
    """
    if key is None or isinstance(key, str) or not hasattr(key, "key"):
        return key, None, None
    offset, length = getattr(key, "offset", None), getattr(key, "length", None)
    offset = 0 if offset is None and length is not None else offset
    for name, value in (("offset", offset), ("length", length)):
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            raise MetaflowS3InvalidRange(
                f"The {name} of the range of '{key.key}' is {value!r}; it must be a number of bytes."
            )
    if offset is not None and offset < 0:
        raise MetaflowS3InvalidRange(f"The range of '{key.key}' starts at {offset}.", hint="offsets start at 0")
    if length is not None and (length == 0 or length < -1):
        raise MetaflowS3InvalidRange(
            f"The range of '{key.key}' has a length of {length}.", hint="use None for everything after the offset"
        )
    return key.key, offset, None if length == -1 else length


def to_put(method: str, items: Any, *, files: bool = False) -> list[tuple[Any, Any, S3PutObject]]:
    """Return for each item its key, its value (or path), and what shall be noted.

    Raises
    ------
    MetaflowS3InvalidObject
        An item is neither a pair nor a `S3PutObject`.
    """
    example = f"{method}([('key', {'path' if files else 'value'}), …])"
    if isinstance(items, (str, bytes, dict)) or not isinstance(items, Iterable):
        raise MetaflowS3InvalidObject(
            f"{method} takes a list of pairs, not {_a(items)}.",
            hint=f"write {method}(mapping.items())" if isinstance(items, dict) else f"write {example}",
        )
    return [_to_put(item, files, example) for item in items]


def _to_put(item: Any, files: bool, example: str) -> tuple[Any, Any, S3PutObject]:
    if hasattr(item, "key"):
        facts = S3PutObject._make(getattr(item, name, None) for name in S3PutObject._fields)
        value = facts.path if files else facts.value
        if value is None:
            raise MetaflowS3InvalidObject(
                f"The S3PutObject for '{facts.key}' has no {'path' if files else 'value'}.",
                hint="put_many sends values, put_files sends files",
            )
        return facts.key, value, facts
    if isinstance(item, (tuple, list)) and len(item) == 2:
        return item[0], item[1], S3PutObject(item[0])
    raise MetaflowS3InvalidObject(f"{str(item)[:80]!r} is not a pair of a key and a value.", hint=f"write {example}")


def _a(value: Any) -> str:
    return f"'{str(value)[:60]}'" if isinstance(value, str) else f"a value of type {type(value).__name__}"
