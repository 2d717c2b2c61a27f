"""`@environment`: variables that are there before the task's process starts."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar, overload

from metaflow.flow.decorator import StepDecorator
from metaflow.flow.notes import note_on_step
from metaflow.settings.kinds import shown

Function = TypeVar("Function")


class EnvironmentDecorator(StepDecorator):
    name = "environment"
    defaults: ClassVar[dict[str, Any]] = {"vars": {}}

    def check(self) -> None:
        given = self.attributes["vars"]
        if not isinstance(given, Mapping):
            raise self.error(
                f"@environment(vars={shown(given)}): expected a dictionary of texts.",
                hint="write vars={'NAME': 'value'}",
            )
        for name, value in given.items():
            if not isinstance(name, str) or not name or "=" in name or not _is_encodable(name):
                raise self.error(f"@environment: {shown(name)} is no name of a variable.")
            if not isinstance(value, (str, int, float)) or not _is_encodable(value):
                raise self.error(f"@environment: the value of {shown(name)} is {shown(value)}, not a text.")

    def environment(self) -> dict[str, str]:
        return {name: str(value) for name, value in self.attributes["vars"].items()}


def _is_encodable(value: str | float) -> bool:
    try:
        return b"\0" not in os.fsencode(str(value))
    except ValueError:  # a surrogate; an integer of more digits than Python prints
        return False


@overload
def environment(function: Function) -> Function: ...
@overload
def environment(*, vars: Mapping[str, str]) -> Callable[[Function], Function]: ...
def environment(function: Any = None, **attributes: Any) -> Any:
    """Set environment variables for a step, before its process starts.

    Parameters
    ----------
    vars : mapping of str to str
        Names and values.

    Raises
    ------
    InvalidDecoratorAttribute
        A name or value cannot be one of an environment variable.
    """
    return note_on_step(EnvironmentDecorator, function, attributes)
