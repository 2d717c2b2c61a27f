"""`@step`: marks a method as a step of the flow, by the attributes that Metaflow gives it; it gets no others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, overload

from metaflow.exception import InvalidFlow

Function = TypeVar("Function", bound=Callable[..., Any])


@overload
def step(function: Function) -> Function: ...
@overload
def step(
    *, start: bool = False, end: bool = False, node_info: Mapping[str, Any] | None = None
) -> Callable[[Function], Function]: ...
def step(
    function: Any = None, *, start: bool = False, end: bool = False, node_info: Mapping[str, Any] | None = None
) -> Any:
    """Mark a method of a flow as a step.

    It stands innermost, directly above the method, below all other decorators.

    Parameters
    ----------
    function : callable
        The method: ``def name(self)``, or ``def name(self, inputs)`` for a join.
    start, end : bool
        Whether the flow begins or ends with this step, whatever its name; else those are ``start`` and ``end``.
    node_info : mapping of str to object, optional
        What user interfaces may want to know of the step; kept in the graph of each run, the artifact ``_graph_info``.

    Returns
    -------
    callable
        The same method, marked.

    Raises
    ------
    InvalidFlow
        It does not stand on a method, or `node_info` is not a dictionary.
    """
    if function is None:
        return lambda method: _mark(method, start, end, node_info)
    return _mark(function, start, end, node_info)


def _mark(function: Any, start: bool, end: bool, node_info: Mapping[str, Any] | None) -> Any:
    if not hasattr(function, "__code__"):
        raise InvalidFlow(
            f"@step stands on {function!r}, which is not a method.",
            hint="write @step directly above `def`, below all other decorators",
        )
    if not isinstance(node_info, Mapping | None):
        raise InvalidFlow(
            f"node_info= of the step '{function.__name__}' is a {type(node_info).__name__}, not a dictionary.",
            function.__code__.co_firstlineno,
            function.__code__.co_filename,
            hint="write @step(node_info={'key': 'value'})",
        )
    function.is_step = True
    function.is_start, function.is_end = start, end
    function.node_info = dict(node_info or {})
    function.name = function.__name__
    return function


def as_written(step: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function that stands in the source, which others may have wrapped by `functools.wraps`."""
    while hasattr(step, "__wrapped__"):
        step = step.__wrapped__
    return step


def steps_of(flow_class: type) -> dict[str, Callable[..., Any]]:
    """Return the steps of a flow by name, those of base classes included, in order of definition."""
    steps: dict[str, Callable[..., Any]] = {}
    for owner in reversed(flow_class.__mro__):
        for name, member in vars(owner).items():
            if getattr(member, "is_step", False) is True:
                steps[name] = member
            elif name in steps:
                del steps[name]
    return steps


def limits(steps: Mapping[str, Callable[..., Any]]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the steps that may begin and end a flow: those called so or marked so, else the only one there is.

    In a flow that passes lint there is one of each.
    """
    if len(steps) == 1:
        return tuple(steps), tuple(steps)
    starts = tuple(name for name, step in steps.items() if name == "start" or getattr(step, "is_start", False))
    ends = tuple(name for name, step in steps.items() if name == "end" or getattr(step, "is_end", False))
    return starts, ends
