"""`@step`: marks a method as a step of the flow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from metaflow.exception import InvalidFlow

Function = TypeVar("Function", bound=Callable[..., Any])


def step(function: Function) -> Function:
    """Mark a method of a flow as a step.

    It stands innermost, directly above the method, below all other decorators.

    Parameters
    ----------
    function : callable
        The method: ``def name(self)``, or ``def name(self, inputs)`` for a join.

    Returns
    -------
    callable
        The same method, marked.

    Raises
    ------
    InvalidFlow
        It does not stand on a method.
    """
    if not hasattr(function, "__code__"):
        raise InvalidFlow(
            f"@step stands on {function!r}, which is not a method.",
            hint="write @step directly above `def`, below all other decorators and without arguments",
        )
    function.is_step = True  # type: ignore[attr-defined]
    function.name = function.__name__  # type: ignore[attr-defined]
    function.decorators = []  # type: ignore[attr-defined]
    return function


def steps_of(flow_class: type) -> dict[str, Callable[..., Any]]:
    """Return the steps of a flow by name, those of base classes included, in order of definition."""
    steps: dict[str, Callable[..., Any]] = {}
    for owner in reversed(flow_class.__mro__):
        for name, member in vars(owner).items():
            if getattr(member, "is_step", False):
                steps[name] = member
            elif name in steps:
                del steps[name]
    return steps
