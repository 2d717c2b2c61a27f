"""Attributes with types: what values a decorator takes, whether from source, from ``--with`` or from a setting.

A `TypedDecorator` has one table of all its attributes; each says its default, its kind, and the settings that stand in
for it. The kinds are those of settings, `metaflow.settings.kinds`. Start reading at `TypedDecorator`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

from metaflow.flow.decorator import Resolved, StepDecorator
from metaflow.settings.kinds import Kind, shown
from metaflow.settings.table import Setting
from metaflow.settings.values import Given, Values


class Attribute(NamedTuple):
    """One attribute of a decorator.

    Attributes
    ----------
    default : object
        Its value when nothing is given, in the form that Metaflow records; None if there is none.
    kind : Kind
        What it takes.
    settings : tuple of Setting
        Those whose value stands in for a missing one, the first that is set.
    joined : bool
        Whether the setting's value is added to a given one, instead of being replaced by it.
    """

    default: Any
    kind: Kind[Any]
    settings: tuple[Setting[Any], ...] = ()
    joined: bool = False


def attribute_of(default: Any, *settings: Setting[Any], joined: bool = False) -> Attribute:
    """Return an attribute that takes what its setting does."""
    return Attribute(default, settings[0].kind, settings, joined)


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

    def resolve(self, values: Values) -> dict[str, Resolved]:
        return {name: self._resolved(name, values) for name in self.table}

    def _given(self, name: str) -> Any:
        value = self.attributes[name]
        kind = self.table[name].kind
        if name not in self.given or value is None:
            return None
        if kind.takes_blank and isinstance(value, str) and not value.strip():
            return None
        try:
            return kind.read(value)
        except ValueError as error:
            meant = kind.correction(value)
            raise self.error(
                f"@{self.name}({name}={shown(value)}): {kind.problem(error)}.",
                hint=f"write {name}={meant}" if meant else None,
            ) from None

    def _resolved(self, name: str, values: Values) -> Resolved:
        attribute = self.table[name]
        given = self._given(name)
        if given is not None and not attribute.joined:
            return Resolved(given, self.source)
        setting: Given[Any] | None = next(filter(None, map(values.find, attribute.settings)), None)
        if setting is None:
            return Resolved(given, self.source) if given is not None else self._default(attribute)
        if given is None:
            return Resolved(setting.value, setting.source, stated=False)
        return Resolved(_joined(given, setting.value), f"{self.source} and {setting.source}")

    def _default(self, attribute: Attribute) -> Resolved:
        default = None if attribute.default is None else attribute.kind.read(attribute.default)
        return Resolved(default, f"default of @{self.name}", stated=False)


def _joined(given: Any, setting: Any) -> Any:
    if isinstance(given, dict):
        return {**setting, **given}
    return list(dict.fromkeys([*given, *setting]))
