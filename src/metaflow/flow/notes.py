"""Notes of the decorators that stand above steps and flows: what was written, and where.

An `@name` runs while the body of the user's class does, before anybody knows how the flow will be run. It checks
nothing but that it stands in the right place, makes nothing, and changes neither the function nor the class: it leaves
a note here, and `metaflow.flow.plan` makes decorators of the notes. So one class can be planned twice, differently.

Start reading at `note_on_step`, then `notes_on`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import ref

from metaflow.exception import InvalidFlow

if TYPE_CHECKING:
    from metaflow.flow.decorator import Decorator


class Note(NamedTuple):
    """One decorator as the user wrote it.

    Attributes
    ----------
    decorator : type of Decorator
        Which.
    attributes : mapping of str to object
        What was given, unchecked.
    origin : tuple of (str, int)
        File and line of the ``@name``.
    """

    decorator: type[Decorator]
    attributes: Mapping[str, Any]
    origin: tuple[str, int]


class _Noted(NamedTuple):
    """A function or class, as long as it lives, and its notes, outermost first."""

    target: Callable[[], Any]
    notes: tuple[Note, ...]


_NOTED: dict[int, _Noted] = {}
"""By identity: the proxies of some libraries are equal to what they stand for, and others cannot be hashed."""


def note_on_step(decorator: type[Decorator], function: Callable[..., Any] | None, attributes: dict[str, Any]) -> Any:
    """Note a decorator of a step, for both ``@name`` and ``@name(…)``; to be called by the public ``@name`` itself.

    Parameters
    ----------
    decorator : type of Decorator
        Which.
    function : callable or None
        The step when used bare; None when called with attributes, and then a function that takes the step is returned.
    attributes : dict
        What the user gave.

    Raises
    ------
    InvalidFlow
        It does not stand on a step.
    """
    note = Note(decorator, attributes, _line_of_caller())

    def decorate(step: Callable[..., Any]) -> Callable[..., Any]:
        if not getattr(step, "is_step", False):
            raise _misplaced(
                note,
                f"@{decorator.name} stands on '{getattr(step, '__name__', step)}', which is not a step.",
                "write @step directly above `def`, and all other decorators above it",
            )
        _leave(step, note)
        return step

    return decorate if function is None else decorate(function)


def note_on_flow(decorator: type[Decorator], flow_class: type | None, attributes: dict[str, Any]) -> Any:
    """Note a decorator of a flow, for both ``@name`` and ``@name(…)``; to be called by the public ``@name`` itself.

    Parameters
    ----------
    decorator : type of Decorator
        Which.
    flow_class : type or None
        The flow when used bare; None when called with attributes, and then a function that takes the flow is returned.
    attributes : dict
        What the user gave.

    Raises
    ------
    InvalidFlow
        It does not stand on a flow.
    """
    note = Note(decorator, attributes, _line_of_caller())

    def decorate(target: Any) -> Any:
        if not (isinstance(target, type) and hasattr(target, "_steps")):
            raise _misplaced(
                note, f"@{decorator.name} stands on {target!r}, which is not a flow.", "write it above the class"
            )
        _leave(target, note)
        return target

    return decorate if flow_class is None else decorate(flow_class)


def notes_on(target: Any) -> tuple[Note, ...]:
    """Return the notes on a function or a class, outermost first.

    Those on a function that another one wraps (`functools.wraps`) belong to both.
    """
    notes = _own_notes(target)
    wrapped = getattr(target, "__wrapped__", None)
    return notes if wrapped is None else (*notes, *notes_on(wrapped))


def flow_decorators_of(flow_class: type) -> frozenset[str]:
    """Return the names of the decorators that stand on a flow or its base classes."""
    return frozenset(note.decorator.name for owner in flow_class.__mro__ for note in notes_on(owner))


def _own_notes(target: Any) -> tuple[Note, ...]:
    noted = _NOTED.get(id(target))
    return noted.notes if noted is not None and noted.target() is target else ()


def _leave(target: Any, note: Note) -> None:
    key = id(target)
    reference: Callable[[], Any]
    try:
        reference = ref(target, lambda gone: _forget(key, gone))
    except TypeError:  # then it stays as long as this process
        reference = lambda: target  # noqa: E731
    _NOTED[key] = _Noted(reference, (note, *_own_notes(target)))


def _forget(key: int, gone: ref[Any]) -> None:
    noted = _NOTED.get(key)
    if noted is not None and noted.target is gone:
        del _NOTED[key]


def _line_of_caller() -> tuple[str, int]:
    frame = sys._getframe(3)
    return frame.f_code.co_filename, frame.f_lineno


def _misplaced(note: Note, message: str, hint: str) -> InvalidFlow:
    from metaflow.flow.failure import tell_plainly

    error = InvalidFlow(message, note.origin[1], note.origin[0], hint=hint)
    tell_plainly(error)
    return error
