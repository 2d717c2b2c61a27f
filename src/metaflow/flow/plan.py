"""The flow as it will run: one frozen value, read once from the class and what the command line adds to it.

`read` is the one moment between the class as written and the flow as run. It collects the notes that the user's
``@name``s have left (`metaflow.flow.notes`), takes away what ``--without`` names, adds what ``--with`` says, lets
mutators change the draft, and makes a `FlowPlan` of it. Nothing is written back to the class, so two plans of one class
live side by side; the same class and the same options give the same plan in launcher, task and pod. Everything that
asks what a step is reads the plan: lint, resource requests, policies, the task, `show`.

Pure but for the source files that the graph is read from, when it is first asked for: a task mostly needs none.
Start reading at `read`, then `FlowPlan`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from metaflow import registry
from metaflow.exception import CommandException
from metaflow.flow.config_expression import NO_CONFIGS, Configs, evaluate
from metaflow.flow.decorator import Decorator, StepDecorator
from metaflow.flow.flow_decorator import FlowDecorator
from metaflow.flow.node import DecoratorSpec
from metaflow.flow.notes import Note, notes_on
from metaflow.flow.parameters import parameters_of
from metaflow.flow.step import steps_of
from metaflow.flow.with_option import parse_with, parse_without

if TYPE_CHECKING:
    from metaflow.flow.graph import Graph
    from metaflow.flow.parameters import Parameter
    from metaflow.flow.spec import FlowSpec


class StepPlan(NamedTuple):
    """One step as it will run.

    Attributes
    ----------
    name : str
        Its name.
    function : callable
        The user's method.
    decorators : tuple of StepDecorator
        Those of the source, outermost first; then those of ``--with``, in order.
    """

    name: str
    function: Callable[..., Any]
    decorators: tuple[StepDecorator, ...] = ()

    @property
    def outermost_first(self) -> tuple[StepDecorator, ...]:
        """The decorators in the order in which they are wrapped around the step's code."""
        return tuple(sorted(self.decorators, key=lambda decorator: -decorator.rank))

    @property
    def sender(self) -> StepDecorator | None:
        """The decorator that sends the step to a backend, if there is one."""
        return next((decorator for decorator in self.decorators if decorator.backend is not None), None)

    def find(self, name: str) -> StepDecorator | None:
        """Return the decorator of this name, if there is one."""
        return next((decorator for decorator in self.decorators if decorator.name == name), None)

    def specs(self) -> tuple[DecoratorSpec, ...]:
        """Return the decorators as the graph shows them: innermost first, those of the command line last."""
        every = [DecoratorSpec(each.name, each.recorded(), each.origin is not None) for each in self.decorators]
        return (*(spec for spec in reversed(every) if spec.static), *(spec for spec in every if not spec.static))


class FlowPlan:
    """The flow as it will run; frozen.

    Parameters
    ----------
    flow_class : type of FlowSpec
        The user's class.
    steps : mapping of str to StepPlan
        All steps, in order of definition.
    decorators : sequence of FlowDecorator
        Those of base classes first, innermost first.
    parameters : mapping of str to Parameter
        By attribute name.
    configs : Configs
        Of the run.
    removed : mapping of str to tuple of str
        What ``--without`` took away: name of a decorator to the steps that had it.
    initial : mapping of str to object
        What the flow's own ``__init__`` has assigned on self; every task begins with it.
    """

    flow_class: type[FlowSpec]
    steps: Mapping[str, StepPlan]
    decorators: tuple[FlowDecorator, ...]
    parameters: Mapping[str, Parameter]
    configs: Configs
    removed: Mapping[str, tuple[str, ...]]
    initial: Mapping[str, Any]

    def __init__(
        self,
        flow_class: type[FlowSpec],
        steps: Mapping[str, StepPlan],
        decorators: Sequence[FlowDecorator] = (),
        parameters: Mapping[str, Parameter] | None = None,
        configs: Configs = NO_CONFIGS,
        removed: Mapping[str, tuple[str, ...]] | None = None,
        initial: Mapping[str, Any] | None = None,
    ) -> None:
        self.__dict__.update(
            flow_class=flow_class,
            steps=MappingProxyType(dict(steps)),
            decorators=tuple(decorators),
            parameters=MappingProxyType(dict(parameters or {})),
            configs=configs,
            removed=MappingProxyType(dict(removed or {})),
            initial=MappingProxyType(dict(initial or {})),
        )

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a FlowPlan is frozen: '{name}' cannot be set")

    @property
    def name(self) -> str:
        """The flow's name."""
        return self.flow_class.__name__

    @cached_property
    def graph(self) -> Graph:
        """The graph, read from source when it is first asked for; faults are left to `metaflow.flow.lint`."""
        from metaflow.flow import graph  # parsers of source, which few tasks need

        return graph.read(self.flow_class, {name: step.specs() for name, step in self.steps.items()})

    def description(self) -> dict[str, Any]:
        """Return the artifact ``_graph_info``; the graph must have passed lint."""
        from metaflow.flow.description import describe

        parameters = [(attribute, type(parameter).__name__) for attribute, parameter in self.parameters.items()]
        parameters += [(attribute, "Config") for attribute in self.configs.values]
        specs = [DecoratorSpec(each.name, each.recorded()) for each in self.decorators]
        return describe(self.graph, parameters, specs)

    def __repr__(self) -> str:
        return f"FlowPlan({self.name}: {', '.join(self.steps)})"


class Draft:
    """A flow that is being planned: what mutators see and change.

    Attributes
    ----------
    steps : dict of str to list of StepDecorator
        Each step's decorators, in the order of `StepPlan.decorators`.
    decorators : list of FlowDecorator
        The flow's own.
    """

    def __init__(self, flow_class: type[FlowSpec], configs: Configs = NO_CONFIGS) -> None:
        self.functions = steps_of(flow_class)
        self.steps = {name: _noted(name, function, configs) for name, function in self.functions.items()}
        self.decorators = _flow_decorators(flow_class, configs)

    def add(self, step: str, decorator: StepDecorator) -> None:
        """Put a decorator on a step.

        Raises
        ------
        InvalidDecoratorAttribute, CommandException
            The step has it already, or would be sent to two backends.
        """
        _check_fits(step, self.steps[step], decorator)
        self.steps[step].append(decorator)

    def add_missing(self, spec: str) -> None:
        """Put a decorator of ``--with`` on all steps that do not have it yet.

        Raises
        ------
        CommandException
            There is no such decorator, `spec` is malformed, or a step would be sent to two backends.
        InvalidDecoratorAttribute
            It has no such attribute.
        """
        name, attributes = parse_with(spec)
        decorator: type[StepDecorator] = registry.load("step decorator", name)
        for step, there in self.steps.items():
            if all(other.name != name for other in there):
                self.add(step, decorator(attributes))

    def remove(self, name: str) -> tuple[str, ...]:
        """Take a decorator away from all steps, and return those that had it.

        Raises
        ------
        CommandException
            There is no such decorator; the nearest name is the hint.
        """
        registry.load("step decorator", name)
        had = []
        for step, there in self.steps.items():
            kept = [other for other in there if other.name != name]
            if len(kept) < len(there):
                had.append(step)
                there[:] = kept
        return tuple(had)


Mutator = Callable[[Draft], None]
"""Changes a draft, once, after the command line has had its say."""


def read(
    flow_class: type[FlowSpec],
    *,
    with_: Iterable[str] = (),
    without: Iterable[str] = (),
    mutators: Iterable[Mutator] = (),
    initial: Mapping[str, Any] = MappingProxyType({}),
    configs: Configs = NO_CONFIGS,
) -> FlowPlan:
    """Plan a flow.

    Parameters
    ----------
    flow_class : type of FlowSpec
        The user's class.
    with_ : iterable of str
        What ``--with`` was given: decorators for all steps that do not have them.
    without : iterable of str
        What ``--without`` was given: names of decorators, taken away before those of `with_` are added.
    mutators : iterable of callable
        Each gets the `Draft` and may change it.
    initial : mapping of str to object
        What the flow's own ``__init__`` has assigned on self.
    configs : Configs
        Of the run: their values take the place of what stands for them in decorators and parameters.

    Returns
    -------
    FlowPlan
        With decorators whose attributes are checked; the graph is checked by `metaflow.flow.lint`.

    Raises
    ------
    InvalidDecoratorAttribute
        A decorator cannot be as it is written; the error points to the user's line.
    CommandException
        An option names a decorator that does not exist or cannot be added.
    """
    draft = Draft(flow_class, configs)
    removed: dict[str, tuple[str, ...]] = {}
    for name in parse_without(without):
        removed[name] = (*removed.get(name, ()), *draft.remove(name))
    for spec in with_:
        draft.add_missing(spec)
    for mutate in mutators:
        mutate(draft)
    steps = {name: StepPlan(name, draft.functions[name], tuple(there)) for name, there in draft.steps.items()}
    parameters = {name: each.with_configs(configs) for name, each in parameters_of(flow_class).items()}
    return FlowPlan(flow_class, steps, draft.decorators, parameters, configs, removed, initial)


def _made(note: Note, configs: Configs) -> Decorator:
    return note.decorator(evaluate(note.attributes, configs, note.origin), note.origin)


def _noted(step: str, function: Callable[..., Any], configs: Configs) -> list[StepDecorator]:
    """Make the decorators that the source puts on a step, and check them from the step's line upwards."""
    made: list[StepDecorator] = []
    for note in reversed(notes_on(function)):
        decorator = _made(note, configs)
        assert isinstance(decorator, StepDecorator)
        _check_fits(step, made, decorator)
        made.insert(0, decorator)
    return made


def _flow_decorators(flow_class: type, configs: Configs) -> list[FlowDecorator]:
    made: list[FlowDecorator] = []
    for owner in reversed(flow_class.__mro__):
        own: list[FlowDecorator] = []
        for note in reversed(notes_on(owner)):
            decorator = _made(note, configs)
            assert isinstance(decorator, FlowDecorator)
            if not decorator.is_repeatable and any(other.name == decorator.name for other in own):
                raise decorator.error(f"The flow '{owner.__name__}' has @{decorator.name} twice.", "keep one of them")
            own.append(decorator)
        names = {decorator.name for decorator in own if not decorator.is_repeatable}
        made = [*(decorator for decorator in made if decorator.name not in names), *own]
    return made


def _check_fits(step: str, there: Sequence[StepDecorator], added: StepDecorator) -> None:
    """Refuse a decorator that the step has already, and a second backend."""
    if any(other.name == added.name for other in there):
        raise added.error(f"The step '{step}' has @{added.name} twice.", hint="keep one of them")
    other = next((each for each in there if each.backend is not None), None)
    if other is None or added.backend is None:
        return
    message = f"The step '{step}' is sent to two backends: by {other.source} and by {added.source}."
    if added.origin is not None:
        raise added.error(message, hint="keep one of them")
    raise CommandException(message, hint=f"to take @{other.name} away from all steps, add --without {other.name}")
