"""What is in force, for people: each setting with its value, where it comes from, and what is wrong with it."""

from __future__ import annotations

from typing import NamedTuple

from metaflow.exception import SettingsError
from metaflow.settings.config_file import string_of
from metaflow.settings.table import FAMILIES, OPTIONS, SETTINGS, Setting, row_of
from metaflow.settings.values import Values


class Shown(NamedTuple):
    """One setting.

    Attributes
    ----------
    name : str
        With the prefix.
    value : str
        As an environment would hold it; ``***`` for a secret.
    origin : str
        ``environment``, ``path:line:column``, ``default`` or ``not set``.
    remark : str
        Why it has no effect, or what is wrong with it; mostly empty.
    sentence : str
        What the setting means; empty for a name that is not read.
    """

    name: str
    value: str
    origin: str
    remark: str = ""
    sentence: str = ""

    def __str__(self) -> str:
        return f"{self.name}={self.value}  ({self.origin}{f'; {self.remark}' if self.remark else ''})"


def overview(values: Values, *, with_defaults: bool = False) -> list[Shown]:
    """Return the settings that are set; with those that have their default, if wanted."""
    found = {name: _shown(values, name) for name in values.names()}
    for name, (origin, near) in values.misspelled().items():
        shown = found.get(name, Shown(name, "", origin))
        found[name] = shown._replace(remark=f"unknown: did you mean {near}?")
    if with_defaults:
        found |= {name: _default(row) for name, row in SETTINGS.items() if name not in found}
    return sorted(found.values())


def _shown(values: Values, name: str) -> Shown:
    row = row_of(name)
    hidden = row is not None and row.is_secret and values.string(name)
    value = "***" if hidden else values.string(name)
    sentence = row.sentence if isinstance(row, Setting) else ""
    return Shown(name, value, values.origin(name).removeprefix("the "), _remark(values, name), sentence)


def _remark(values: Values, name: str) -> str:
    row, reason = row_of(name), values.no_effect(name)
    if reason:
        return f"no effect: {reason}"
    if row is None:
        return "" if name in OPTIONS or name.startswith(FAMILIES) else "unknown"
    if isinstance(row, Setting):
        try:
            values.find(row)
        except SettingsError as error:
            return error.message.partition(": ")[2].rstrip(".")
        return ""
    return "no effect"


def _default(row: Setting[object]) -> Shown:
    if row.default is None:
        return Shown(row.name, "", "not set", sentence=row.sentence)
    items = row.default if isinstance(row.default, list | tuple) else None
    value = ",".join(items) if items is not None else string_of(row.default)
    return Shown(row.name, value, "default", sentence=row.sentence)
