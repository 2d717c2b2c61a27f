"""The ``@name`` of a decorator that an extension adds, as users import it: ``from metaflow import name``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from metaflow import extensions
from metaflow.flow.decorator import Decorator, StepDecorator
from metaflow.flow.notes import note_on_flow, note_on_step


def added_decorator(name: str) -> Any:
    """Return the decorator of steps or of flows that an extension has under a name; None if none has.

    Raises
    ------
    InvalidExtension
        One has, and it cannot be used.
    """
    found = extensions.load("step decorator", name) or extensions.load("flow decorator", name)
    return _public(found) if isinstance(found, type) and issubclass(found, Decorator) else found


def _public(decorator: type[Decorator]) -> Callable[..., Any]:
    note = note_on_step if issubclass(decorator, StepDecorator) else note_on_flow

    def public(target: Any = None, **attributes: Any) -> Any:
        return note(decorator, target, attributes)

    public.__name__ = public.__qualname__ = decorator.name
    public.__doc__ = decorator.__doc__
    return public
