"""Kinds of values: what a setting or a decorator's attribute accepts, and the one typed form it is read into.

A value comes from source, from ``--with``, from a variable or from JSON; a kind reads any of these forms or refuses it
with ValueError. The text forms are those of Metaflow: JSON, ``k=v,k=v`` for pairs, ``a,b`` for lists. Nothing here
knows which names there are. Start reading at `Kind`.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping
from math import ceil, inf, isfinite, nan
from typing import Any, Generic, NamedTuple, TypeVar

T_co = TypeVar("T_co", covariant=True)


class Kind(NamedTuple, Generic[T_co]):
    """What values a name accepts.

    Attributes
    ----------
    expected : str
        For people, with unit and range: ``a number of cores above 0``.
    read : callable
        Returns the typed form of a value. Raises ValueError for one that it refuses, with a message only if `expected`
        does not say what is wrong.
    example : str
        A value as one would write it in a variable, where `expected` leaves doubts.
    units : mapping of str to float
        What people write after a bare number, and the factor it stands for: for the hint.
    takes_blank : bool
        Whether an attribute of this kind may be the empty string, for no value.
    """

    expected: str
    read: Callable[[Any], T_co]
    example: str = ""
    units: Mapping[str, float] = {}
    takes_blank: bool = False

    def problem(self, error: ValueError) -> str:
        """Return what is wrong with a value that `read` has refused with `error`."""
        return str(error) or f"expected {self.expected}"

    def correction(self, value: object) -> str | None:
        """Return the number that was meant by one with a unit: ``8000`` for ``"8G"`` where the unit is MB."""
        text = value.strip().lower() if isinstance(value, str) else ""
        for unit, factor in self.units.items():
            figure = amount(text.removesuffix(unit)) * factor
            if text.endswith(unit) and figure > 0:
                return f"{figure:.10g}"
        return None


def amount(value: Any) -> float:
    """Return a finite number; NaN, which no comparison holds for, if the value is none."""
    if isinstance(value, bool):
        return nan
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return nan
    return number if isfinite(number) else nan


def shown(value: object) -> str:
    """Return the value as the user may have written it, shortened if it is very long."""
    try:
        return reprlib.repr(value)
    except ValueError:  # an integer of more digits than Python prints
        return "a very large number"


# --- numbers ---------------------------------------------------------------------------------------------------------

_TO_CORES = {"m": 0.001}
_TO_MB = {
    "gib": 1024, "tib": 1024**2, "mib": 1, "gi": 1024, "ti": 1024**2, "mi": 1, "gb": 1000, "tb": 1e6, "mb": 1,
    "g": 1000, "t": 1e6, "m": 1,
}  # fmt: skip


def cores(*, zero: bool = False) -> Kind[float]:
    """Numbers of cores above 0, or from 0 on, fractions included."""
    return _number("cores", zero, _TO_CORES)


def seconds() -> Kind[float]:
    """Durations above 0."""
    return _number("seconds", False, {"s": 1, "m": 60, "h": 3600, "d": 86400})


def megabytes() -> Kind[float]:
    """Sizes above 0, in MB."""
    return _number("MB", False, _TO_MB)


def _number(unit: str, zero: bool, units: Mapping[str, float]) -> Kind[float]:
    def read(value: Any) -> float:
        if not (amount(value) > 0 or (zero and amount(value) == 0)):
            raise ValueError
        return amount(value)

    return Kind(f"a number of {unit}{', 0 or more' if zero else ' above 0'}", read, units=units)


def quantity(unit: str, least: int, most: float = inf) -> Kind[int]:
    """Amounts of memory or disk; a fraction is rounded up."""

    def read(value: Any) -> int:
        if not least <= amount(value) <= most:
            raise ValueError
        return ceil(amount(value))

    return Kind(f"a number of {unit}{_range(least, most)}", read, units=_TO_MB)


def whole(what: str, least: int, most: float = inf) -> Kind[int]:
    """Whole numbers."""

    def read(value: Any) -> int:
        if not (least <= amount(value) <= most and amount(value).is_integer()):
            raise ValueError
        return int(amount(value))

    return Kind(f"a whole number of {what}{_range(least, most)}", read)


AS_REQUESTED = 1.0
"""As a limit: as much as is requested, which is never less."""
NO_LIMIT = inf


def limit(unit: str) -> Kind[float]:
    """Limits of something that is requested, as numbers of which a larger one allows more."""
    names = {"request": AS_REQUESTED, "none": NO_LIMIT}

    def read(value: Any) -> float:
        if isinstance(value, str) and value.strip().lower() in names:
            return names[value.strip().lower()]
        if not amount(value) > 0:
            raise ValueError
        return ceil(amount(value))

    return Kind(f"a number of {unit} above 0, 'request' for as much as is requested, or 'none'", read, units=_TO_MB)


def _range(least: int, most: float) -> str:
    return f", {least} or more" if most == inf else f" from {least} to {most:g}"


# --- strings and choices ---------------------------------------------------------------------------------------------


def string(what: str = "a string", accepts: Callable[[str], bool] = str.isprintable, example: str = "") -> Kind[str]:
    """Strings that are not empty, without the spaces around them; a whole number counts as its digits."""

    def read(value: Any) -> str:
        if type(value) is int and abs(value) < 2**63:
            value = str(value)
        if not isinstance(value, str) or not value.strip() or not accepts(value.strip()):
            raise ValueError
        return value.strip()

    return Kind(what, read, example, takes_blank=True)


def is_absolute(path: str) -> bool:
    """Tell whether a string is an absolute path that does not go back up."""
    return path.startswith("/") and path.isprintable() and ".." not in path.split("/")


def one_of(*names: str) -> Kind[str]:
    """One of these names, in whatever case it is written."""

    def read(value: Any) -> str:
        for name in names:
            if isinstance(value, str) and value.strip().lower() == name.lower():
                return name
        raise ValueError

    return Kind(f"one of {', '.join(names)}", read)


_ON = frozenset({"true", "1", "yes", "on", "y", "t"})
_OFF = frozenset({"false", "0", "no", "off", "n", "f"})


def _switch(value: Any) -> bool:
    word = str(value).strip().lower() if isinstance(value, str | bool | int) else ""
    if word not in _ON | _OFF:
        raise ValueError
    return word in _ON


SWITCH: Kind[bool] = Kind("True or False", _switch)
"""Truth values, and their names."""


def switch_or(other: Kind[str]) -> Kind[bool | str]:
    """Truth values, and else what `other` accepts."""

    def read(value: Any) -> bool | str:
        try:
            return _switch(value)
        except ValueError:
            return other.read(value)

    return Kind(f"True, False or {other.expected}", read, other.example)


def _url(value: Any) -> str:
    scheme, _, host = value.strip().partition("://") if isinstance(value, str) else ("", "", "")
    if scheme not in ("http", "https") or not host.strip("/"):
        raise ValueError
    return f"{scheme}://{host.rstrip('/')}"


URL: Kind[str] = Kind("a URL", _url, "https://host:9000")
"""Addresses of web services, without a slash at the end."""


# --- collections -----------------------------------------------------------------------------------------------------


def strings(what: str, accepts: Callable[[str], bool] = str.isprintable) -> Kind[list[str]]:
    """Lists of strings: a list, a JSON list, or ``a,b``."""

    def read(value: Any) -> list[str]:
        value = parsed(value)
        items = value.split(",") if isinstance(value, str) else value
        if not isinstance(items, list | tuple) or not all(isinstance(item, str) for item in items):
            raise ValueError
        items = [item.strip() for item in items if item.strip()]
        for item in items:
            if not accepts(item):
                raise ValueError(f"{shown(item)} is not one of {what}")
        return items

    return Kind(f"a list of {what}", read)


def words(what: str, example: str) -> Kind[tuple[str, ...]]:
    """Strings with spaces between them, or a list."""

    def read(value: Any) -> tuple[str, ...]:
        items = value.split() if isinstance(value, str) else value
        if not isinstance(items, list | tuple) or not all(isinstance(item, str) for item in items):
            raise ValueError
        return tuple(items)

    return Kind(f"{what}, with spaces between them", read, example)


def pairs(
    what: str, is_key: Callable[[str], bool] = str.isprintable, is_value: Callable[[str], bool] = lambda value: True
) -> Kind[dict[str, str]]:
    """Dictionaries of strings: a dictionary, a JSON object, or ``k=v,k=v``."""

    def read(value: Any) -> dict[str, str]:
        value = parsed(value)
        items = _split_pairs(value) if isinstance(value, str) else value
        if not isinstance(items, Mapping):
            raise ValueError
        return dict(_pair(key, item) for key, item in items.items())

    def _pair(key: object, value: object) -> tuple[str, str]:
        if isinstance(value, bool | int | float):
            import json

            value = json.dumps(value)
        if not isinstance(key, str) or not key or not isinstance(value, str):
            raise ValueError
        if not is_key(key):
            raise ValueError(f"{shown(key)} cannot be the key of one of {what}")
        if not is_value(value):
            raise ValueError(f"{shown(value)} cannot be the value of one of {what}")
        return key, value

    return Kind(f"{what} as a dictionary or as the string 'key=value,key=value'", read)


def _split_pairs(value: str) -> dict[str, str]:
    items = {}
    for part in filter(str.strip, value.split(",")):
        key, equals, item = part.partition("=")
        if not equals:
            raise ValueError
        items[key.strip()] = item.strip()
    return items


def json_object(what: str, example: str) -> Kind[dict[str, object]]:
    """JSON objects, or dictionaries."""

    def read(value: Any) -> dict[str, object]:
        value = parsed(value)
        if not isinstance(value, dict):
            raise ValueError
        return value

    return Kind(f"{what} as a JSON object", read, example)


def parsed(value: Any) -> Any:
    """Return what a string of JSON holds, if `value` is that of a list or an object; else `value`."""
    if not isinstance(value, str) or value.strip()[:1] not in ("[", "{"):
        return value
    import json

    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is not valid JSON: {getattr(error, 'msg', error)}") from None
