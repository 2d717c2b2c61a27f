"""What a step decorator is: a name, checked attributes, and a way onto a step.

A decorator of a flow's source (``@resources(cpu=2)``) and one of the command line (``--with resources:cpu=2``) make the
same object, so everything after this file reads decorators only as objects in ``function.decorators``. The decorators
themselves live in `metaflow.decorators`, one file each, and are found by name through `metaflow.registry`.
"""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from metaflow import registry
from metaflow.exception import (
    CommandException,
    InvalidDecoratorAttribute,
    InvalidFlow,
    MetaflowExceptionWrapper,
    TaskFailed,
)
from metaflow.flow.step import steps_of

if TYPE_CHECKING:
    from metaflow.flow.node import Node


class Attempts(NamedTuple):
    """What a decorator asks for when its step fails.

    Attributes
    ----------
    retries : int
        Times that the step's code runs again.
    fallbacks : int
        Attempts after these in which the step's code does not run, only what is wrapped around it.
    delay : float
        Seconds to wait before the first retry; on this machine only if there is a backoff.
    backoff : float
        By which the waiting time is multiplied from each retry to the next; 0 if nothing was said.
    longest_delay : float
        Seconds to wait at most.
    only : frozenset of str
        Kinds of failure after which the code runs again; empty: all.
    """

    retries: int = 0
    fallbacks: int = 0
    delay: float = 0.0
    backoff: float = 0.0
    longest_delay: float = float("inf")
    only: frozenset[str] = frozenset()


class Resolved(NamedTuple):
    """The value of an attribute, after all that may have set it.

    Attributes
    ----------
    value : object
        In typed form.
    source : str
        For people: ``@batch (flow.py:12)``, ``--with batch``, the setting and where it is, or the default.
    stated : bool
        Whether anybody has set it.
    """

    value: Any
    source: str
    stated: bool = True


class StepContext:
    """The attempt that a decorator is wrapped around.

    Attributes
    ----------
    flow : FlowSpec
        The instance that the step runs on.
    step : str
        The step's name.
    attempt : int
        From 0.
    last_attempt : int
        The last one in which the step's code runs.
    only : frozenset of str
        Kinds of failure after which the code runs again, if an attempt is left; empty: all.
    caught : MetaflowExceptionWrapper or None
        Set by a decorator that has dealt with a failure, so that the run goes on.
    failure : TaskFailed or None
        Set with `caught`: the failure as it is recorded.
    """

    __slots__ = ("attempt", "caught", "failure", "flow", "last_attempt", "only", "step", "successors")

    def __init__(
        self,
        flow: Any,
        step: str,
        attempt: int,
        last_attempt: int,
        successors: Callable[[], tuple[str, ...]],
        only: frozenset[str] = frozenset(),
    ) -> None:
        self.flow = flow
        self.step = step
        self.attempt = attempt
        self.last_attempt = last_attempt
        self.successors = successors
        self.only = only
        self.caught: MetaflowExceptionWrapper | None = None
        self.failure: TaskFailed | None = None

    def is_tried_again(self, failure: TaskFailed) -> bool:
        """Tell whether the step's code runs again if this attempt fails so."""
        return self.attempt < self.last_attempt and (not self.only or failure.kind in self.only)


class StepDecorator:
    """One decorator on one step.

    Subclasses set `name` and `defaults`, and override the hooks that they need.

    Parameters
    ----------
    attributes : dict
        What the user gave; the rest comes from `defaults`.
    origin : tuple of str and int, optional
        File and line of the user's ``@name``; None from the command line.

    Attributes
    ----------
    attributes : dict
        All attributes, the user's over the defaults.
    given : frozenset of str
        The names that the user gave.
    """

    name: ClassVar[str]
    defaults: ClassVar[dict[str, Any]] = {}
    backend: ClassVar[str | None] = None
    """Name of the launcher that it sends the step's tasks to; at most one decorator of a step has one."""

    def __init__(self, attributes: dict[str, Any], origin: tuple[str, int] | None = None) -> None:
        self.origin = origin
        for key in attributes:
            if key not in self.defaults:
                near = difflib.get_close_matches(key, self.defaults, n=1)
                known = ", ".join(self.defaults) or "none"
                raise self.error(
                    f"@{self.name} has no attribute '{key}'.",
                    hint=f"did you mean '{near[0]}'?" if near else f"its attributes: {known}",
                )
        self.given = frozenset(attributes)
        self.attributes = {**self.defaults, **attributes}
        self.check()

    def check(self) -> None:
        """Check the values of `attributes`; raise `error(…)` for one that cannot be."""

    def check_step(self, node: Node) -> None:
        """Check that it may stand on this step, before a run; raise `error(…)` if not."""

    def assigns(self) -> str | None:
        """Return the name of the artifact that it assigns, if it does."""
        return None

    def resolve(self, entries: Mapping[str, str], origins: Mapping[str, str]) -> dict[str, Resolved]:
        """Return each attribute's value and where it comes from.

        Parameters
        ----------
        entries : mapping of str to str
            METAFLOW_* settings, which may stand in for what was not given.
        origins : mapping of str to str
            Where those of them are that are not in the environment.

        Raises
        ------
        SettingsError
            A setting has a value that the attribute cannot have.
        """
        return {
            name: Resolved(value, self.source if name in self.given else f"default of @{self.name}", name in self.given)
            for name, value in self.attributes.items()
        }

    def attempts(self) -> Attempts:
        """Return the further attempts that it asks for."""
        return Attempts()

    def time_limit(self) -> float | None:
        """Return the seconds after which a task that does not end is ended by force, None for no limit."""
        return None

    def environment(self) -> dict[str, str]:
        """Return variables that are set before the task's process starts."""
        return {}

    def around(self, context: StepContext, run: Callable[[], None]) -> None:
        """Run the step; in the task's process."""
        run()

    def error(self, msg: str, hint: str | None = None) -> InvalidDecoratorAttribute:
        """Return an error that points to where the user wrote this decorator."""
        file, line = self.origin or (None, None)
        return InvalidDecoratorAttribute(msg, line, file, hint=hint)

    @property
    def source(self) -> str:
        """Where the user wrote it, in few words."""
        if self.origin is None:
            return f"--with {self.name}"
        return f"@{self.name} ({self.origin[0].rpartition('/')[2]}:{self.origin[1]})"

    def spec(self) -> str:
        """Return the text that makes this decorator again when given to ``--with``."""
        given = {key: self.attributes[key] for key in sorted(self.given)}
        return self.name + (":" + ",".join(f"{k}={json.dumps(v)}" for k, v in given.items()) if given else "")

    def __repr__(self) -> str:
        return f"@{self.name}({', '.join(f'{k}={self.attributes[k]!r}' for k in sorted(self.given))})"


def attach(decorator: type[StepDecorator], function: Callable[..., Any] | None, attributes: dict[str, Any]) -> Any:
    """Put a decorator on a step, for both ``@name`` and ``@name(…)``.

    Parameters
    ----------
    decorator : type of StepDecorator
        Which.
    function : callable or None
        The step when used bare; None when called with attributes, and then a function that takes the step is returned.
    attributes : dict
        What the user gave.
    """
    frame = sys._getframe(2)
    origin = (frame.f_code.co_filename, frame.f_lineno)

    def decorate(step: Callable[..., Any]) -> Callable[..., Any]:
        try:
            return attached(step)
        except InvalidFlow as error:
            from metaflow.flow.failure import tell_plainly

            tell_plainly(error)
            raise

    def attached(step: Callable[..., Any]) -> Callable[..., Any]:
        instance = decorator(attributes, origin)
        if not getattr(step, "is_step", False):
            raise InvalidFlow(
                f"@{decorator.name} stands on '{getattr(step, '__name__', step)}', which is not a step.",
                origin[1],
                origin[0],
                hint="write @step directly above `def`, and all other decorators above it",
            )
        if any(other.name == decorator.name for other in step.decorators):  # type: ignore[attr-defined]
            raise instance.error(f"The step '{step.__name__}' has @{decorator.name} twice.", hint="keep one of them")
        _check_one_backend(step, instance)
        step.decorators.insert(0, instance)  # type: ignore[attr-defined]
        return step

    return decorate if function is None else decorate(function)


def attach_specs(flow_class: type, specs: Iterable[str]) -> None:
    """Attach decorators given by ``--with`` to all steps that do not have them yet.

    Parameters
    ----------
    flow_class : type of FlowSpec
        The flow; its steps are changed.
    specs : iterable of str
        Texts as `parse_spec` reads them.

    Raises
    ------
    CommandException
        There is no such decorator, the text is malformed, or a step would be sent to two backends.
    InvalidDecoratorAttribute
        It does not have such an attribute.
    """
    for spec in specs:
        name, attributes = parse_spec(spec)
        decorator: type[StepDecorator] = registry.load("step decorator", name)
        for function in steps_of(flow_class).values():
            decorators: list[StepDecorator] = function.decorators  # type: ignore[attr-defined]
            if all(other.name != name for other in decorators):
                instance = decorator(dict(attributes))
                _check_one_backend(function, instance)
                decorators.append(instance)


def detach(flow_class: type, names: Iterable[str]) -> dict[str, list[str]]:
    """Take decorators away from all steps, as ``--without`` asks for.

    Parameters
    ----------
    flow_class : type of FlowSpec
        The flow; its steps are changed.
    names : iterable of str
        Names of decorators, or several of them in one text: ``kubernetes,batch``.

    Returns
    -------
    dict of str to list of str
        Each name, and the steps that had it.

    Raises
    ------
    CommandException
        There is no such decorator; the nearest name is the hint.
    """
    removed: dict[str, list[str]] = {}
    for name in (word.strip().removeprefix("@") for text in names for word in text.split(",")):
        registry.load("step decorator", name)
        removed.setdefault(name, [])
        for step, function in steps_of(flow_class).items():
            decorators: list[StepDecorator] = function.decorators  # type: ignore[attr-defined]
            kept = [other for other in decorators if other.name != name]
            if len(kept) < len(decorators):
                decorators[:] = kept
                removed[name].append(step)
    return removed


def backend_of(decorators: Iterable[StepDecorator]) -> StepDecorator | None:
    """Return the decorator that sends the step somewhere, if there is one."""
    return next((decorator for decorator in decorators if decorator.backend is not None), None)


def _check_one_backend(step: Any, added: StepDecorator) -> None:
    other = backend_of(step.decorators) if added.backend is not None else None
    if other is None:
        return
    message = f"The step '{step.__name__}' is sent to two places: by {other.source} and by {added.source}."
    if added.origin is not None:
        raise added.error(message, hint="keep one of them")
    raise CommandException(message, hint=f"to take @{other.name} away from all steps, add --without {other.name}")


def parse_spec(spec: str) -> tuple[str, dict[str, Any]]:
    """Read ``name[:key=value,…]``; a value is JSON where it parses as JSON, else text.

    Commas inside brackets, braces and quotes belong to the value: ``secrets:sources=["a","b"]``.

    Raises
    ------
    CommandException
        The text is malformed.
    """
    name, colon, rest = spec.partition(":")
    if not name:
        raise CommandException(
            f"--with '{spec}' names no decorator.", hint="write --with NAME or --with NAME:key=value"
        )
    attributes: dict[str, Any] = {}
    for part in _split(rest) if colon else ():
        key, equals, value = part.partition("=")
        if not equals or not key.strip():
            raise CommandException(
                f"--with '{spec}': '{part}' is not of the form key=value.", hint="write --with NAME:key=value,key=value"
            )
        try:
            attributes[key.strip()] = json.loads(value)
        except ValueError:
            attributes[key.strip()] = value.strip()
    return name, attributes


def _split(text: str) -> list[str]:
    parts, depth, quote, escaped, start = [], 0, "", False, 0
    for position, character in enumerate(text):
        if escaped:
            escaped = False
        elif quote and character == "\\":
            escaped = True
        elif quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character in "[{(":
            depth += 1
        elif character in "]})":
            depth -= 1
        elif character == "," and depth <= 0:
            parts.append(text[start:position])
            start = position + 1
    parts.append(text[start:])
    return [part for part in parts if part.strip()]
