"""Values of users as plain data: what JSON can hold, bounded, whatever the value does when it is asked.

Start reading at `plain` (cells of tables, JSON) and `summary` (an object in a few lines).
"""

from __future__ import annotations

import datetime
import math
import reprlib
from collections.abc import Collection, Mapping
from typing import Any

LONGEST_TEXT = 10_000
"""Characters of one string that a card shows; the rest is counted."""

LARGEST_VALUE = 1_000_000
"""About as many characters of one value are kept: a string counts its characters, anything else eight."""

_WEIGHT = 8
_DEEPEST = 8


def plain(value: Any, *, longest: int = LONGEST_TEXT, most: int = LARGEST_VALUE, deepest: int = _DEEPEST) -> Any:
    """Return `value` as JSON can hold it.

    Parameters
    ----------
    value : object
        Anything. Numbers of numpy become Python's, dates are ISO 8601, what is unknown is its `repr`.
    longest : int
        Characters of a string that are kept.
    most : int
        Characters that are kept of all, as `LARGEST_VALUE` counts them.
    deepest : int
        Containers within containers; those that are deeper are shown as text.

    Returns
    -------
    None, bool, int, float, str, list or dict
        Without infinities and NaN, which JSON does not have: they are text.
    """
    try:
        return _Copy(longest, most).of(value, deepest)
    except (Exception, SystemExit):  # noqa: BLE001 - code of users, such as a mapping's own
        return summary(value, longest=min(longest, 500))


class _Copy:
    """A value that becomes plain data, and how much of it may still come."""

    def __init__(self, longest: int, most: int) -> None:
        self._longest = longest
        self._left = most

    def of(self, value: Any, levels: int) -> Any:
        self._left -= _WEIGHT
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            return value if abs(value) < 2**53 else _large_integer(value)
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else str(float(value))
        if isinstance(value, str):
            text = cut(str(value), max(min(self._longest, self._left), 0))
            self._left -= len(text)
            return text
        if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
            return value.isoformat(" ") if isinstance(value, datetime.datetime) else value.isoformat()
        if levels > 0 and isinstance(value, Mapping):
            return self._mapping(value, levels - 1)
        if levels > 0 and isinstance(value, (list, tuple, set, frozenset)):
            return self._sequence(value, levels - 1)
        number = getattr(value, "item", None)  # a scalar of numpy, pandas, torch
        if callable(number) and getattr(value, "shape", None) == ():
            try:
                return self.of(number(), 0)
            except Exception:  # noqa: BLE001 - code of any library
                pass
        text = summary(value, longest=min(self._longest, 500))
        self._left -= len(text)
        return text

    def _sequence(self, value: Collection[Any], levels: int) -> list[Any]:
        copied: list[Any] = []
        for each in value:
            if self._left <= 0:
                return [*copied, f"… ({len(value) - len(copied):,} more)"]
            copied.append(self.of(each, levels))
        return copied

    def _mapping(self, value: Mapping[Any, Any], levels: int) -> dict[str, Any]:
        copied: dict[str, Any] = {}
        for key, each in value.items():
            if self._left <= 0:
                return {**copied, "…": f"({len(value) - len(copied):,} more)"}
            name = cut(str(key), 200)
            self._left -= len(name)
            copied[name] = self.of(each, levels)
        return copied


def _large_integer(value: int) -> str:
    bits = value.bit_length()
    return str(value) if bits < 10_000 else f"<an integer of {bits:,} bits>"  # Python refuses more than 4,300 digits


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
        return cut(_Repr(longest // 2).repr(value), longest)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - code of users
        return f"<{type_name(value)}: its repr() raised {type(error).__name__}>"


def type_name(value: Any) -> str:
    """Return the name of a value's type, with its module unless that is Python's own."""
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


class _Repr(reprlib.Repr):
    def __init__(self, most: int) -> None:
        super().__init__()
        self._left = most  # values, in containers of containers
        self.maxlevel = 4
        self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = self.maxdeque = self.maxarray = 100
        self.maxdict = 50
        self.maxstring = 1000
        self.maxlong = 100
        self.maxother = 3000

    def repr1(self, x: Any, level: int) -> str:
        self._left -= 1
        return super().repr1(x, level) if self._left > 0 else "…"

    def repr_instance(self, x: Any, level: int) -> str:
        return repr(x)
