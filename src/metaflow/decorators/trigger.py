"""`@trigger`: events that start a deployed flow. Stands on the class; without effect on this machine.

Start reading at `TriggerDecorator.check`, which makes `Event` values of what the user wrote.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import FrameType
from typing import Any, ClassVar, NamedTuple, TypeAlias, TypeVar, cast, overload

from metaflow import settings
from metaflow.exception import InvalidDecoratorAttribute, InvalidEventName
from metaflow.flow.current import current
from metaflow.flow.failure import tell_plainly
from metaflow.flow.flow_decorator import FlowDecorator
from metaflow.flow.notes import note_on_flow
from metaflow.settings.kinds import shown
from metaflow.settings.table import NAMESPACED_EVENTS_PREFIX

Flow = TypeVar("Flow", bound=type)

EventName: TypeAlias = str | Callable[..., str]
"""A name, or a function that returns it when the flow is deployed."""

_FORM = "write event='name', or event={'name': 'name', 'parameters': {'parameter': 'field'}}"
_PARAMETERS = "write {'parameter': 'field', …}, or a list of names, or of pairs of names"


class Event(NamedTuple):
    """One event that a flow waits for.

    Attributes
    ----------
    name : str or callable
        Its name; or a function that returns when the flow is deployed what could be written in its place.
    parameters : tuple of (str, str), callable or None
        Parameter of the flow and field of the event's payload; None: fields go to the parameters of their names.
    """

    name: EventName
    parameters: tuple[tuple[str, str], ...] | Callable[..., Any] | None = None


class Trigger(NamedTuple):
    """What starts a flow: all of these events.

    Attributes
    ----------
    events : tuple of Event
        In the user's order.
    options : mapping of str to object
        For what the flow is deployed to.
    """

    events: tuple[Event, ...]
    options: Mapping[str, Any]


class TriggerDecorator(FlowDecorator):
    name = "trigger"
    defaults: ClassVar[dict[str, Any]] = {"event": None, "events": [], "options": {}}

    trigger: Trigger

    def check(self) -> None:
        events = tuple(self._event(each) for each in one_or_several(self, "event", "events"))
        names = [event.name for event in events]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise self.error(f"@trigger: the event {shown(twice)} is there twice.", hint="keep one of them")
        self.trigger = Trigger(events, checked_options(self))

    def recorded(self) -> dict[str, Any]:
        return {
            "event": _recorded(self.attributes["event"]),
            "events": [_recorded(each) for each in self.attributes["events"] or ()],
            "options": self.attributes["options"],
        }

    def _event(self, given: Any) -> Event:
        if callable(given):
            return Event(given)
        if isinstance(given, str):
            return Event(self._name(given))
        if not isinstance(given, Mapping):
            raise self.error(f"@trigger: {shown(given)} is not an event.", hint=_FORM)
        check_keys(self, given, Event._fields, "event")
        if "name" not in given:
            raise self.error(f"@trigger: the event {shown(dict(given))} has no name.", hint=_FORM)
        return Event(self._name(given["name"]), self._parameters(given))

    def _name(self, name: Any) -> EventName:
        if not callable(name) and (not isinstance(name, str) or not name.strip()):
            raise self.error(f"@trigger: {shown(name)} is not a valid event name.", hint=_FORM)
        return cast(EventName, name)

    def _parameters(self, given: Mapping[str, Any]) -> tuple[tuple[str, str], ...] | Callable[..., Any] | None:
        parameters = given.get("parameters")
        if parameters is None or callable(parameters):
            return parameters
        if isinstance(parameters, str) or not isinstance(parameters, (Mapping, Iterable)):
            raise self._bad_parameters(given["name"], parameters)
        pairs = _pairs(parameters)
        for pair in pairs:
            if len(pair) != 2 or not all(each and isinstance(each, str) for each in pair):
                raise self._bad_parameters(given["name"], parameters)
        return tuple((parameter, field) for parameter, field in pairs)

    def _bad_parameters(self, event: Any, parameters: Any) -> InvalidDecoratorAttribute:
        return self.error(
            f"@trigger: the event {shown(event)} cannot have the parameters {shown(parameters)}.", _PARAMETERS
        )


def one_or_several(decorator: FlowDecorator, one: str, several: str) -> Sequence[Any]:
    """Return what is given in one of two attributes.

    Raises
    ------
    InvalidDecoratorAttribute
        In both, in none, or in `several` not as a list.
    """
    first, others = decorator.attributes[one], decorator.attributes[several]
    form = f"write @{decorator.name}({one}='name') or @{decorator.name}({several}=['name', 'other'])"
    if not isinstance(others, (list, tuple)) and others is not None:
        raise decorator.error(f"@{decorator.name}({several}={shown(others)}): expected a list.", hint=form)
    if first not in (None, "") and others:
        raise decorator.error(f"@{decorator.name} has both {one}= and {several}=.", hint="keep one of them")
    if first in (None, "") and not others:
        raise decorator.error(f"@{decorator.name} names no {one}.", hint=form)
    return others or [first]


def checked_options(decorator: FlowDecorator) -> Mapping[str, Any]:
    """Return the attribute ``options``.

    Raises
    ------
    InvalidDecoratorAttribute
        It is no dictionary.
    """
    options = decorator.attributes["options"]
    if not isinstance(options, Mapping) and options is not None:
        raise decorator.error(f"@{decorator.name}(options={shown(options)}): expected a dictionary.")
    return options or {}


def check_keys(decorator: FlowDecorator, given: Mapping[Any, Any], known: Sequence[str], what: str) -> None:
    """Refuse a key that has no meaning.

    Raises
    ------
    InvalidDecoratorAttribute
        There is one; the nearest that has a meaning is the hint.
    """
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.5)
            raise decorator.error(
                f"@{decorator.name}: the {what} {shown(dict(given))} has the key {shown(key)}.",
                hint=f"did you mean '{near[0]}'?" if near else f"its keys: {', '.join(known)}",
            )


def _pairs(parameters: Any) -> list[tuple[Any, ...]]:
    if isinstance(parameters, Mapping):
        return list(parameters.items())
    return [tuple(each) if isinstance(each, (list, tuple)) else (each, each) for each in parameters]


def _recorded(event: Any) -> Any:
    """Return an event as Metaflow records it: its parameters as a dictionary."""
    parameters = event.get("parameters") if isinstance(event, Mapping) else None
    if parameters is None or callable(parameters):
        return event
    return {**event, "parameters": dict(_pairs(parameters))}


class NamespacedEventName:
    """A name of an event that each branch of a project has for itself; called, it returns it as a string."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, context: object = None) -> str:
        project = [current.get("project_name"), current.get("branch_name")]
        prefix = settings.load().values[NAMESPACED_EVENTS_PREFIX]
        return ".".join([prefix, *filter(None, project), self._name])

    def __repr__(self) -> str:
        return f"namespaced_event_name({self._name!r})"


def namespaced_event_name(name: str) -> NamespacedEventName:
    """Return a name of an event that each branch of a project has for itself.

    Parameters
    ----------
    name : str
        The event.

    Returns
    -------
    NamespacedEventName
        For ``@trigger(event=…)``. Called in a step, it returns ``mfns.PROJECT.BRANCH.NAME``, or ``mfns.NAME`` in a flow
        without @project; ``mfns`` is METAFLOW_NAMESPACED_EVENTS_PREFIX.

    Raises
    ------
    InvalidEventName
        `name` is no string, or empty.
    """
    if not isinstance(name, str) or not name.strip():
        raise _invalid_name(name, sys._getframe(1))
    return NamespacedEventName(name)


def _invalid_name(name: object, caller: FrameType) -> InvalidEventName:
    error = InvalidEventName(
        f"namespaced_event_name({shown(name)}): expected the name of an event, a string.",
        caller.f_lineno,
        caller.f_code.co_filename,
        hint="as in @trigger(event=namespaced_event_name('data_ready'))",
    )
    tell_plainly(error)
    return error


@overload
def trigger(flow: Flow) -> Flow: ...
@overload
def trigger(
    *,
    event: str | Mapping[str, Any] | Callable[..., Any] | None = None,
    events: Sequence[str | Mapping[str, Any] | Callable[..., Any]] = (),
    options: Mapping[str, Any] | None = None,
) -> Callable[[Flow], Flow]: ...
def trigger(flow: Any = None, **attributes: Any) -> Any:
    """Start a flow on events, once it is deployed.

    Parameters
    ----------
    event : str or dict, optional
        The event, or ``{"name": …, "parameters": …}``, where ``parameters`` says which parameter of the flow gets which
        field of the event's payload: a dictionary, or a list of names that are equal and of pairs of names. Without
        it, fields go to the parameters of their names. Also a function that returns this when the flow is deployed.
    events : list, optional
        Several: all of them must have come.
    options : dict, optional
        For what the flow is deployed to.

    Raises
    ------
    InvalidDecoratorAttribute
        When the flow is used: there is no event, one cannot be, or is there twice.
    InvalidFlow
        It stands on something else than a flow.
    """
    return note_on_flow(TriggerDecorator, flow, attributes)
