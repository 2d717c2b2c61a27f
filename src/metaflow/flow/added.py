"""What an extension adds to the names of `metaflow`: mostly the ``@name`` of a decorator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from metaflow import extensions
from metaflow.flow.decorator import Decorator, StepDecorator
from metaflow.flow.notes import note_on_flow, note_on_step


def added(name: str) -> Any:
    """Return what an extension has under a name, None if none has: a decorator as users write it, or anything else.

    Raises
    ------
    InvalidExtension
        One has, and it cannot be used.
    """
    found = extensions.public(name)
    return _public(found) if isinstance(found, type) and issubclass(found, Decorator) else found


def _public(decorator: type[Decorator]) -> Callable[..., Any]:
    note = note_on_step if issubclass(decorator, StepDecorator) else note_on_flow

    def public(target: Any = None, **attributes: Any) -> Any:
        return note(decorator, target, attributes)

    public.__name__ = public.__qualname__ = decorator.name
    public.__doc__ = decorator.__doc__
    return public
