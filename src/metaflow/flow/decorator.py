"""What a decorator of a step is: a name, checked attributes, and the hooks that it overrides.

One of a flow's source (``@resources(cpu=2)``) and one of the command line (``--with resources:cpu=2``) are the same
object, made by `metaflow.flow.plan`; everything after it reads decorators there and nowhere else. The decorators
themselves live in `metaflow.decorators`, one file each, and are found by name through `metaflow.registry`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from metaflow.exception import InvalidDecoratorAttribute, MetaflowExceptionWrapper, TaskFailed

if TYPE_CHECKING:
    from metaflow.flow.node import Node
    from metaflow.settings.values import Values


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
        Whether it stands on a decorator or after ``--with``; else it is a default, be it that of a setting.
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
    successors : callable
        Returns the steps that the source names.
    inputs : callable
        Returns the inputs of a join, None elsewhere.
    go_on : callable
        Has the step go where its source says, as if it had called `self.next` with the arguments that are given here
        and, for the rest, those of the source.
    has_own_process : bool
        Whether the process is there for this attempt alone: then its signals may be used, and it may be ended.
    pathspec : str
        ``Flow/run/step/task``.
    storage : Storage
        Where the task writes.
    kept : dict
        What decorators keep for one another, and for `StepDecorator.after`.
    caught : MetaflowExceptionWrapper or None
        Set by a decorator that has dealt with a failure, so that the run goes on.
    failure : TaskFailed or None
        Set with `caught`: the failure as it is recorded.
    """

    __slots__ = (
        "attempt", "caught", "failure", "flow", "go_on", "has_own_process", "inputs", "kept", "last_attempt", "only",
        "pathspec", "step", "storage", "successors",
    )  # fmt: skip

    def __init__(
        self,
        flow: Any,
        step: str,
        attempt: int,
        last_attempt: int,
        successors: Callable[[], tuple[str, ...]],
        only: frozenset[str] = frozenset(),
        inputs: Callable[[], Any] = lambda: None,
        go_on: Callable[..., None] = lambda **arguments: None,
        has_own_process: bool = True,
        pathspec: str = "",
        storage: Any = None,
    ) -> None:
        self.flow = flow
        self.step = step
        self.attempt = attempt
        self.last_attempt = last_attempt
        self.successors = successors
        self.only = only
        self.inputs = inputs
        self.go_on = go_on
        self.has_own_process = has_own_process
        self.pathspec = pathspec
        self.storage = storage
        self.kept: dict[str, Any] = {}
        self.caught: MetaflowExceptionWrapper | None = None
        self.failure: TaskFailed | None = None

    def is_tried_again(self, failure: TaskFailed) -> bool:
        """Tell whether the step's code runs again if this attempt fails so."""
        return self.attempt < self.last_attempt and (not self.only or failure.kind in self.only)


class Decorator:
    """One decorator, of a step or of a flow: a name and its checked attributes.

    Subclasses set `name` and `defaults`.

    Parameters
    ----------
    attributes : mapping of str to object
        What the user gave; the rest comes from `defaults`.
    origin : tuple of str and int, optional
        File and line of the user's ``@name``; None from the command line.

    Attributes
    ----------
    attributes : dict
        All attributes, the user's over the defaults.
    given : frozenset of str
        The names that the user gave.

    Raises
    ------
    InvalidDecoratorAttribute
        There is no such attribute, or it cannot have such a value.
    """

    name: ClassVar[str]
    defaults: ClassVar[dict[str, Any]] = {}

    is_repeatable: ClassVar[bool] = False
    """Whether a step or flow may have several of the name."""

    inserted_by: tuple[str, ...] = ()
    """The mutator that has added it, if one has."""

    def __init__(self, attributes: Mapping[str, Any], origin: tuple[str, int] | None = None) -> None:
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

    def add_to_package(self) -> Iterable[Any]:
        """Return what it adds to the code package; see `metaflow.flow.package_content`."""
        return ()

    def recorded(self) -> dict[str, Any]:
        """Return the attributes in the form in which Metaflow records them in ``_graph_info``."""
        return dict(self.attributes)

    def error(self, msg: str, hint: str | None = None) -> InvalidDecoratorAttribute:
        """Return an error that points to where the user wrote this decorator."""
        file, line = self.origin or (None, None)
        return InvalidDecoratorAttribute(msg, line, file, hint=hint)

    @property
    def is_static(self) -> bool:
        """Whether the flow's source says that it is there; if not, the command line does."""
        return self.origin is not None or bool(self.inserted_by)

    @property
    def source(self) -> str:
        """Where the user wrote it, in few words."""
        if self.inserted_by:
            return f"@{self.name} (added by {', '.join(self.inserted_by)})"
        if self.origin is None:
            return f"--with {self.name}"
        return f"@{self.name} ({self.origin[0].rpartition('/')[2]}:{self.origin[1]})"

    def __repr__(self) -> str:
        return f"@{self.name}({', '.join(f'{k}={self.attributes[k]!r}' for k in sorted(self.given))})"


class StepDecorator(Decorator):
    """One decorator of one step; subclasses override the hooks that they need."""

    backend: ClassVar[str | None] = None
    """Name of the launcher that it sends the step's tasks to; at most one decorator of a step has one."""

    catches: ClassVar[bool] = False
    """Whether it takes what is raised around it, also by what comes after the step's code."""

    is_used_by_code: ClassVar[bool] = False
    """Whether the step's code asks `current` for what it brings, so that also a test of the step needs it."""

    rank: ClassVar[int] = 0
    """One of a higher rank is wrapped around those of lower ranks, wherever it stands above the step."""

    def check_step(self, node: Node) -> None:
        """Check that it may stand on this step, before a run; raise `error(…)` if not."""

    def assigns(self) -> str | None:
        """Return the name of the artifact that it assigns, if it does."""
        return None

    def resolve(self, values: Values) -> dict[str, Resolved]:
        """Return each attribute's value and where it comes from.

        Parameters
        ----------
        values : Values
            Settings, which may stand in for what was not given.

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

    def facts_of_place(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Return what its backend tells of itself in the environment of a task, for the task's metadata."""
        return {}

    def around(self, context: StepContext, run: Callable[[], None]) -> None:
        """Run the step; in the task's process."""
        run()

    def after(self, context: StepContext) -> None:
        """Do what is left when the attempt has been stored and its end reported; whatever happens, it stays so."""


def as_attached(decorators: Sequence[StepDecorator]) -> list[StepDecorator]:
    """Return a step's decorators in the order in which they were put on it, as Metaflow lists them.

    Parameters
    ----------
    decorators : sequence of StepDecorator
        In the order of `StepPlan.decorators`.

    Returns
    -------
    list of StepDecorator
        Built-in ones, then wrappers of users, then their mutators; each innermost first, those that came late last.
    """
    late = [each for each in decorators if each.origin is None and each.rank >= 0]
    written = [each for each in reversed(decorators) if each not in late]
    return sorted([*written, *late], key=lambda each: max(-each.rank, 0))
