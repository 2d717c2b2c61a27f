"""`@step`: marks a method as a step of the flow, by the attributes that Metaflow gives it; it gets no others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, overload

from metaflow.exception import InvalidFlow

Function = TypeVar("Function", bound=Callable[..., Any])


@overload
def step(function: Function) -> Function: ...
@overload
def step(*, start: bool = False, end: bool = False) -> Callable[[Function], Function]: ...
def step(function: Any = None, *, start: bool = False, end: bool = False) -> Any:
    """Mark a method of a flow as a step.

    It stands innermost, directly above the method, below all other decorators.

    Parameters
    ----------
    function : callable
        The method: ``def name(self)``, or ``def name(self, inputs)`` for a join.
    start, end : bool
        Whether the flow begins or ends with this step, whatever its name; else those are ``start`` and ``end``.

    Returns
    -------
    callable
        The same method, marked.

    Raises
    ------
    InvalidFlow
        It does not stand on a method.
    """
    if function is None:
        return lambda method: _mark(method, start, end)
    return _mark(function, start, end)


def _mark(function: Any, start: bool, end: bool) -> Any:
    if not hasattr(function, "__code__"):
        raise InvalidFlow(
            f"@step stands on {function!r}, which is not a method.",
            hint="write @step directly above `def`, below all other decorators",
        )
    function.is_step = True
    function.is_start, function.is_end = start, end
    function.name = function.__name__
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
