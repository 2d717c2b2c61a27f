"""Where in its text a config is wrong: line and column, for an error of a parser or for a key of a JSON text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from json import JSONDecoder
from typing import Any

_SPACE = re.compile(r"[ \t\n\r,:]*")
_SAID = re.compile(r"\(at line (\d+), column (\d+)\)")  # tomllib before Python 3.14


def place_of_error(error: BaseException) -> tuple[int, int] | None:
    """Return line and column, from 1, that a parser's error names: those of JSON, TOML, YAML and Python."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is not None:
        return mark.line + 1, mark.column + 1
    line = getattr(error, "lineno", None)
    if isinstance(line, int):
        column = getattr(error, "colno", None) or getattr(error, "offset", None)
        return line, column if isinstance(column, int) else 1
    said = _SAID.search(str(error))
    return (int(said[1]), int(said[2])) if said is not None else None


def place_in_json(text: str, path: Sequence[Any]) -> tuple[int, int] | None:
    """Return line and column, from 1, of the value at a path of keys and indices; None if the text is not JSON."""
    try:
        at = _position(text, path)
    except (ValueError, IndexError):
        return None
    if at is None:
        return None
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)


def _position(text: str, path: Sequence[Any]) -> int | None:
    """Return where the value begins, or the innermost container on the way that lacks the rest."""
    decoder = JSONDecoder()
    at = _after_space(text, 0)
    for part in path:
        inside = at + 1
        index = 0
        while True:
            inside = _after_space(text, inside)
            if text[inside] in "]}":
                return at
            name: Any = index
            if text[at] == "{":
                name, inside = decoder.raw_decode(text, inside)
                inside = _after_space(text, inside)
            if name == part:
                at = inside
                break
            _, inside = decoder.raw_decode(text, inside)
            index += 1
    return at


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    assert found is not None
    return found.end()
