"""Values of users as plain data: what JSON can hold, bounded, whatever the value does when it is asked.

Start reading at `plain` (cells of tables, JSON) and `summary` (an object in a few lines).
"""

from __future__ import annotations

import datetime
import math
import reprlib
from collections.abc import Mapping
from typing import Any

LONGEST_TEXT = 10_000
"""Characters of one string that a card shows; the rest is counted."""

_DEEPEST = 8


def plain(value: Any, *, longest: int = LONGEST_TEXT, depth: int = 0) -> Any:
    """Return `value` as JSON can hold it.

    Parameters
    ----------
    value : object
        Anything. Numbers of numpy become Python's, dates are ISO 8601, what is unknown is its `repr`.
    longest : int
        Characters of a string that are kept.
    depth : int
        How many containers are around it; those deeper than eight are shown as text.

    Returns
    -------
    None, bool, int, float, str, list or dict
        Without infinities and NaN, which JSON does not have: they are text.
    """
    if value is None or isinstance(value, (bool, int)):
        return value if abs(value or 0) < 2**53 else str(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    if isinstance(value, str):
        return cut(str(value), longest)
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat(" ") if isinstance(value, datetime.datetime) else value.isoformat()
    if depth < _DEEPEST:
        if isinstance(value, Mapping):
            return {cut(str(key), 200): plain(each, longest=longest, depth=depth + 1) for key, each in value.items()}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [plain(each, longest=longest, depth=depth + 1) for each in value]
    number = getattr(value, "item", None)  # a scalar of numpy, pandas, torch
    if callable(number) and getattr(value, "shape", None) == ():
        try:
            return plain(number(), longest=longest, depth=_DEEPEST)
        except Exception:  # noqa: BLE001 - code of any library
            pass
    return summary(value, longest=min(longest, 500))


def cut(text: str, longest: int = LONGEST_TEXT) -> str:
    """Return a text that is not longer than `longest` characters, plus a note of what is missing."""
    if len(text) <= longest:
        return text
    return f"{text[:longest]}… ({len(text) - longest:,} more characters)"


def summary(value: Any, *, longest: int = 3000) -> str:
    """Return an object in a few lines: its `repr`, where containers and strings are shortened.

    What it raises when it is asked is part of the answer.
    """
    try:
        return cut(_REPR.repr(value), longest)
    except Exception as error:  # noqa: BLE001 - code of users
        return f"<{type_name(value)}: its repr() raised {type(error).__name__}>"


def type_name(value: Any) -> str:
    """Return the name of a value's type, with its module unless that is Python's own."""
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


class _Repr(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 4
        self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = self.maxdeque = self.maxarray = 100
        self.maxdict = 50
        self.maxstring = 1000
        self.maxlong = 100
        self.maxother = 3000

    def repr_instance(self, x: Any, level: int) -> str:
        return repr(x)


_REPR = _Repr()
