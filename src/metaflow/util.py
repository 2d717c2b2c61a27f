"""Those small functions of `metaflow.util` that programs of users import."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from shutil import which
from typing import Any
from urllib.parse import quote, unquote

from metaflow import settings
from metaflow.exception import MetaflowUnknownUser

__all__ = [
    "all_equal",
    "cached_property",
    "get_username",
    "is_stringish",
    "resolve_identity",
    "to_bytes",
    "to_unicode",
    "url_quote",
    "url_unquote",
    "which",
]


def get_username() -> str | None:
    """Return who runs this; None if nobody can say."""
    try:
        return settings.load().user
    except MetaflowUnknownUser:
        return None


def resolve_identity() -> str:
    """Return who runs this, as the tag of a run says it: ``user:NAME``.

    Raises
    ------
    metaflow.exception.MetaflowUnknownUser
        Nobody can say.
    """
    return f"user:{settings.load().user}"


def is_stringish(value: object) -> bool:
    """Tell whether this is a string or bytes."""
    return isinstance(value, str | bytes)


def to_unicode(value: Any) -> str:
    """Return bytes decoded as UTF-8, anything else as its string."""
    return value.decode() if isinstance(value, bytes) else str(value)


def to_bytes(value: Any) -> bytes:
    """Return a string, or the string of anything else, encoded in UTF-8; bytes as they are."""
    return value if isinstance(value, bytes) else str(value).encode()


def url_quote(value: Any) -> bytes:
    """Return a text as it stands in the path of a URL."""
    return quote(to_bytes(value)).encode()


def url_unquote(value: Any) -> str:
    """Return what `url_quote` was given."""
    return unquote(to_unicode(value))


def all_equal(values: Sequence[Any]) -> bool:
    """Tell whether all values are equal; true of none."""
    return all(value == values[0] for value in values)
