"""Filters of `Flow.runs`: ``{"status:eq": "failed"}``, as Metaflow's service has them. Pure.

A service applies them itself, if it can; they are applied here too, so that they hold wherever runs are kept. Start
reading at `checked`, then `wanted`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from metaflow.exception import CommandException

if TYPE_CHECKING:
    from metaflow.metadata_provider.protocol import Document

STATES = ("running", "completed", "failed")
"""Values of ``status``."""
_OF_STATUS = {"successful": "completed", "running": "running", "unknown": ""}
"""Of our words for how a run is doing; all others are ``failed``."""
_COMPARED: dict[str, Callable[[int, int], bool]] = {
    "ge": lambda one, other: one >= other,
    "gt": lambda one, other: one > other,
    "le": lambda one, other: one <= other,
    "lt": lambda one, other: one < other,
    "eq": lambda one, other: one == other,
}
_OPERATORS = {"status": ("eq",), "user": ("eq",), "ts_epoch": tuple(_COMPARED), "_tags": ("any", "all")}
_NAMES = [f"{field}:{operator}" for field, operators in _OPERATORS.items() for operator in operators]


def checked(filters: Mapping[str, Any] | None) -> dict[str, str]:
    """Return filters as texts.

    Parameters
    ----------
    filters : mapping of str to object, optional
        Several values are a list, or separated by commas.

    Raises
    ------
    CommandException
        One of them is none.
    """
    found = {}
    for name, value in (filters or {}).items():
        if name not in _NAMES:
            raise CommandException(
                f"There is no filter '{name}' of runs.", hint=f"the filters are: {', '.join(_NAMES)}"
            )
        several = isinstance(value, Iterable) and not isinstance(value, str)
        text = ",".join(map(str, value)) if several else str(value)
        if name.startswith("ts_epoch") and not text.isdecimal():
            raise CommandException(f"{name}: '{text}' is no time in milliseconds since the epoch.")
        if name == "status:eq" and not set(text.split(",")) <= {*STATES}:
            raise CommandException(f"{name}: '{text}' is no status of a run.", hint=f"there are: {', '.join(STATES)}")
        found[name] = text
    return found


def wanted(filters: Mapping[str, str], document: Document, status: Callable[[], str]) -> bool:
    """Tell whether a run passes.

    Parameters
    ----------
    filters : mapping of str to str
        As `checked` returns them.
    document : dict
        The run's.
    status : callable
        Returns how the run is doing, in our words; called only if the document does not tell.
    """
    return all(_passes(name, value, document, status) for name, value in filters.items())


def _passes(name: str, value: str, document: Document, status: Callable[[], str]) -> bool:
    field, _, operator = name.partition(":")
    values = set(value.split(","))
    if field == "ts_epoch":
        return _COMPARED[operator](int(document["ts_epoch"]), int(value))
    if field == "status":
        known = document.get("status")
        return (known if known in STATES else _OF_STATUS.get(status(), "failed")) in values
    if field == "user":
        return any(f"user:{each}" in document.get("system_tags", ()) for each in values)
    tags = {*document.get("tags", ()), *document.get("system_tags", ())}
    return values <= tags if operator == "all" else bool(values & tags)
