"""Decorators of the command line: what ``--with`` and ``--without`` say.

Pure; whether there is such a decorator, and on which steps it ends up, is `metaflow.flow.plan`'s to find out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from metaflow.exception import CommandException


def parse_with(spec: str) -> tuple[str, dict[str, Any]]:
    """Read ``name[:key=value,…]``; a value is JSON where it parses as JSON, else a string.

    Commas inside brackets, braces and quotes belong to the value: ``secrets:sources=["a","b"]``.

    Raises
    ------
    CommandException
        It is malformed.
    """
    name, colon, rest = spec.partition(":")
    if not name:
        raise CommandException(
            f"--with '{spec}' names no decorator.", hint="write --with NAME or --with NAME:key=value"
        )
    attributes: dict[str, Any] = {}
    for part in _split(rest) if colon else ():
        key, equals, value = part.partition("=")
        if not equals or not key.strip():
            raise CommandException(
                f"--with '{spec}': '{part}' is not of the form key=value.", hint="write --with NAME:key=value,key=value"
            )
        given = _value(value)
        if repr(attributes.setdefault(key.strip(), given)) != repr(given):  # NaN is equal to nothing
            raise CommandException(
                f"--with '{spec}' gives '{key.strip()}' two values: {attributes[key.strip()]!r} and {given!r}.",
                hint="leave out one of them",
            )
    return name, attributes


def join_with(specs: Iterable[str]) -> tuple[str, ...]:
    """Return what ``--with`` was given with one value for each decorator, which has the attributes of all."""
    joined: dict[str, list[str]] = {}
    for spec in specs:
        name, _, attributes = spec.partition(":")
        joined.setdefault(name, []).extend(filter(None, [attributes]))
    return tuple(f"{name}:{','.join(parts)}" if parts else name for name, parts in joined.items())


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text.strip()


def parse_without(values: Iterable[str]) -> list[str]:
    """Return the names that ``--without`` was given: each value is one of them, or several (``kubernetes,batch``)."""
    return [word.strip().removeprefix("@") for value in values for word in value.split(",")]


def _split(text: str) -> list[str]:
    parts, depth, quote, escaped, start = [], 0, "", False, 0
    for position, character in enumerate(text):
        if escaped:
            escaped = False
        elif quote and character == "\\":
            escaped = True
        elif quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character in "[{(":
            depth += 1
        elif character in "]})":
            depth -= 1
        elif character == "," and depth <= 0:
            parts.append(text[start:position])
            start = position + 1
    parts.append(text[start:])
    return [part for part in parts if part.strip()]
