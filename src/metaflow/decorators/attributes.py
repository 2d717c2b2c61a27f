"""Attributes with types: what values a decorator takes, whether from source, from ``--with`` or from a setting.

A `TypedDecorator` has one table of all its attributes; each says its default, its kind, and the settings that stand in
for it. A kind reads a value of any form into one typed form, or refuses it. Text forms are those of Metaflow: JSON, or
``k=v,k=v`` for pairs and ``a,b`` for lists. Start reading at `TypedDecorator`; the kinds themselves follow it, and the
ones that only Kubernetes has are with its decorator.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from math import ceil
from typing import Any, ClassVar, NamedTuple

from metaflow.decorators.amounts import amount, shown
from metaflow.exception import SettingsError
from metaflow.flow.decorator import Resolved, StepDecorator


class Kind(NamedTuple):
    """What values an attribute takes.

    Attributes
    ----------
    expected : str
        For people, with unit and range: ``a number of cores above 0``.
    read : callable
        Returns the typed form of a value; raises ValueError for another one, with what is wrong if `expected` does not
        say it.
    suffixes : dict of str to float
        What people write behind a bare number, and by what to multiply that then: for the hint.
    """

    expected: str
    read: Callable[[Any], Any]
    suffixes: Mapping[str, float] = {}


class Attribute(NamedTuple):
    """One attribute of a decorator.

    Attributes
    ----------
    default : object
        Its value when nothing is given, in the form that Metaflow records; None if there is none.
    kind : Kind
        What it takes.
    settings : tuple of str
        METAFLOW_* names whose value stands in for a missing one, the first that is set.
    joined : bool
        Whether the setting's value is added to a given one, instead of being replaced by it.
    """

    default: Any
    kind: Kind
    settings: tuple[str, ...] = ()
    joined: bool = False


class TypedDecorator(StepDecorator):
    """A step decorator whose attributes are all in `table`."""

    table: ClassVar[dict[str, Attribute]]

    def __init_subclass__(cls) -> None:
        cls.defaults = {name: attribute.default for name, attribute in cls.table.items()}

    def check(self) -> None:
        values = {name: self._given(name) for name in sorted(self.given)}
        self.check_together({name: value for name, value in values.items() if value is not None})

    def check_together(self, given: Mapping[str, Any]) -> None:
        """Check what the user gave, in typed form, for attributes that exclude or need one another."""

    def resolve(self, entries: Mapping[str, str], origins: Mapping[str, str]) -> dict[str, Resolved]:
        return {name: self._resolved(name, entries, origins) for name in self.table}

    def _given(self, name: str) -> Any:
        value = self.attributes[name]
        if name not in self.given or value is None:
            return None
        kind = self.table[name].kind
        try:
            return kind.read(value)
        except ValueError as error:
            bare = _bare(value, kind)
            raise self.error(
                f"@{self.name}({name}={shown(value)}): {str(error) or f'expected {kind.expected}'}.",
                hint=f"write {name}={bare}" if bare else None,
            ) from None

    def _resolved(self, name: str, entries: Mapping[str, str], origins: Mapping[str, str]) -> Resolved:
        attribute = self.table[name]
        given = self._given(name)
        setting = next((key for key in attribute.settings if entries.get(key, "").strip()), None)
        if given is not None and (setting is None or not attribute.joined):
            return Resolved(given, self.source)
        if setting is None:
            default = None if attribute.default is None else attribute.kind.read(attribute.default)
            return Resolved(default, f"default of @{self.name}", stated=False)
        where = origins.get(setting, "the environment")
        value = self._setting(setting, entries[setting], where, attribute.kind)
        source = f"{setting} in {where}"
        if given is None:
            return Resolved(value, source)
        return Resolved(_join(given, value), f"{self.source} and {source}")

    def _setting(self, name: str, text: str, where: str, kind: Kind) -> Any:
        try:
            return kind.read(text)
        except ValueError as error:
            raise SettingsError(
                f"{name} in {where} is {shown(text)}: {str(error) or f'expected {kind.expected}'}.",
                hint=f"it stands in for the attributes of @{self.name} on every step",
            ) from None


def _bare(value: Any, kind: Kind) -> str | None:
    """Return the number that somebody meant who wrote a unit: ``8000`` for ``"8G"`` where the unit is MB."""
    text = value.strip().lower() if isinstance(value, str) else ""
    for suffix, factor in kind.suffixes.items():
        figure = amount(text.removesuffix(suffix)) * factor
        if text.endswith(suffix) and figure > 0:
            return f"{figure:.10g}"
    return None


def _join(given: Any, setting: Any) -> Any:
    if isinstance(given, dict):
        return {**setting, **given}
    return list(dict.fromkeys([*given, *setting]))


# --- kinds -----------------------------------------------------------------------------------------------------------


_SUFFIXES = {
    "gib": 1024, "tib": 1024**2, "mib": 1, "gi": 1024, "ti": 1024**2, "mi": 1, "gb": 1000, "tb": 1e6, "mb": 1,
    "g": 1000, "t": 1e6, "m": 1,
}  # fmt: skip
"""To MB."""


def number(unit: str, *, zero: bool = False) -> Kind:
    """Numbers above 0, or from 0 on, fractions included, as float."""

    def read(value: Any) -> float:
        if not (amount(value) > 0 or (zero and amount(value) == 0)):
            raise ValueError
        return amount(value)

    return Kind(f"a number of {unit}{', 0 or more' if zero else ' above 0'}", read, {"m": 0.001})


def quantity(unit: str, least: int, most: float = float("inf")) -> Kind:
    """Amounts of memory or disk, as int; a fraction is rounded up."""

    def read(value: Any) -> int:
        if not least <= amount(value) <= most:
            raise ValueError
        return ceil(amount(value))

    return Kind(f"a number of {unit}{_range(least, most)}", read, _SUFFIXES)


def whole(what: str, least: int, most: float = float("inf")) -> Kind:
    """Whole numbers, as int."""

    def read(value: Any) -> int:
        if not (least <= amount(value) <= most and amount(value).is_integer()):
            raise ValueError
        return int(amount(value))

    return Kind(f"a whole number of {what}{_range(least, most)}", read)


def _range(least: int, most: float) -> str:
    return f", {least} or more" if most == float("inf") else f" from {least} to {most:g}"


def text(what: str, is_right: Callable[[str], bool] = str.isprintable) -> Kind:
    """Texts without spaces around them; an empty one counts as none, a whole number (``--with``) as its digits."""

    def read(value: Any) -> str | None:
        if type(value) is int and abs(value) < 2**63:
            value = str(value)
        if not isinstance(value, str) or not (not value.strip() or is_right(value.strip())):
            raise ValueError
        return value.strip() or None

    return Kind(what, read)


def one_of(*names: str) -> Kind:
    """One of these texts, in whatever case it is written."""

    def read(value: Any) -> str:
        for name in names:
            if isinstance(value, str) and value.strip().lower() == name.lower():
                return name
        raise ValueError

    return Kind(f"one of {', '.join(names)}", read)


def _switch(value: Any) -> bool:
    word = str(value).strip().lower() if isinstance(value, str | bool | int) else ""
    if word not in ("true", "1", "yes", "false", "0", "no"):
        raise ValueError
    return word in ("true", "1", "yes")


SWITCH = Kind("True or False", _switch)
"""Truth values, and their names."""


def texts(what: str, is_right: Callable[[str], bool] = str.isprintable) -> Kind:
    """Lists of texts: a list, a JSON list, or ``a,b``."""

    def read(value: Any) -> list[str]:
        value = parsed(value)
        items = value.split(",") if isinstance(value, str) else value
        if not isinstance(items, list | tuple) or not all(isinstance(item, str) for item in items):
            raise ValueError
        items = [item.strip() for item in items if item.strip()]
        for item in items:
            if not is_right(item):
                raise ValueError(f"{shown(item)} is none of {what}")
        return items

    return Kind(f"a list of {what}", read)


def pairs(
    what: str, is_key: Callable[[str], bool] = str.isprintable, is_value: Callable[[str], bool] = lambda value: True
) -> Kind:
    """Dictionaries of texts: a dictionary, a JSON object, or ``k=v,k=v``."""

    def read(value: Any) -> dict[str, str]:
        value = parsed(value)
        items = _split_pairs(value) if isinstance(value, str) else value
        if not isinstance(items, Mapping):
            raise ValueError
        out = {}
        for key, item in items.items():
            if isinstance(item, bool | int | float):
                item = json.dumps(item)
            if not isinstance(key, str) or not key or not isinstance(item, str):
                raise ValueError
            if not is_key(key):
                raise ValueError(f"{shown(key)} cannot be the key of one of {what}")
            if not is_value(item):
                raise ValueError(f"{shown(item)} cannot be the value of one of {what}")
            out[key] = item
        return out

    return Kind(f"{what} as a dictionary or as the text 'key=value,key=value'", read)


def _split_pairs(value: str) -> dict[str, str]:
    items = {}
    for part in filter(str.strip, value.split(",")):
        key, equals, item = part.partition("=")
        if not equals:
            raise ValueError
        items[key.strip()] = item.strip()
    return items


def parsed(value: Any) -> Any:
    """Return what a text of JSON holds, if `value` is the text of a list or an object; else `value`."""
    if not isinstance(value, str) or value.strip()[:1] not in ("[", "{"):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"expected JSON, and as such it is wrong: {getattr(error, 'msg', error)}") from None
