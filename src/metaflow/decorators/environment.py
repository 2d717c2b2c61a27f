"""`@environment`: variables that are there before the task's process starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar, overload

from metaflow.flow.decorator import StepDecorator, attach

Function = TypeVar("Function")


class EnvironmentDecorator(StepDecorator):
    name = "environment"
    defaults: ClassVar[dict[str, Any]] = {"vars": {}}

    def check(self) -> None:
        given = self.attributes["vars"]
        if not isinstance(given, Mapping):
            raise self.error(
                f"@environment(vars={given!r}): expected a dictionary of texts.", hint="write vars={'NAME': 'value'}"
            )
        for name, value in given.items():
            if not isinstance(name, str) or not name or "=" in name or "\0" in name:
                raise self.error(f"@environment: {name!r} is no name of a variable.")
            if not isinstance(value, (str, int, float)) or "\0" in str(value):
                raise self.error(f"@environment: the value of {name} is {value!r}, not a text.")

    def environment(self) -> dict[str, str]:
        return {name: str(value) for name, value in self.attributes["vars"].items()}


@overload
def environment(function: Function) -> Function: ...
@overload
def environment(*, vars: Mapping[str, str]) -> Any: ...
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
    return attach(EnvironmentDecorator, function, attributes)
