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

from metaflow.flow.config_expression import NO_CONFIGS, Configs
from metaflow.flow.decorator import Decorator, StepDecorator, as_attached
from metaflow.flow.draft import Draft
from metaflow.flow.flow_decorator import FlowDecorator
from metaflow.flow.node import DecoratorSpec
from metaflow.flow.with_option import parse_without

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
        """Return the decorators as the graph shows them."""
        return tuple(_spec(each) for each in as_attached(self.decorators))


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
    structure : Graph, optional
        The graph, if its source has been read already.
    """

    flow_class: type[FlowSpec]
    steps: Mapping[str, StepPlan]
    decorators: tuple[FlowDecorator, ...]
    parameters: Mapping[str, Parameter]
    configs: Configs
    removed: Mapping[str, tuple[str, ...]]
    initial: Mapping[str, Any]
    _structure: Graph | None

    def __init__(
        self,
        flow_class: type[FlowSpec],
        steps: Mapping[str, StepPlan],
        decorators: Sequence[FlowDecorator] = (),
        parameters: Mapping[str, Parameter] | None = None,
        configs: Configs = NO_CONFIGS,
        removed: Mapping[str, tuple[str, ...]] | None = None,
        initial: Mapping[str, Any] | None = None,
        structure: Graph | None = None,
    ) -> None:
        self.__dict__.update(
            _structure=structure,
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

    def keeping(self, step: str, keeps: Callable[[StepDecorator], bool]) -> FlowPlan:
        """Return the plan with those decorators of one step only for which `keeps` is true."""
        there = self.steps[step]
        kept = there._replace(decorators=tuple(filter(keeps, there.decorators)))
        return FlowPlan(
            self.flow_class,
            {**self.steps, step: kept},
            self.decorators,
            self.parameters,
            self.configs,
            self.removed,
            self.initial,
        )

    @cached_property
    def graph(self) -> Graph:
        """The graph, read from source when it is first asked for; faults are left to `metaflow.flow.lint`."""
        from metaflow.flow import graph  # parsers of source, which few tasks need

        decorators = {name: step.specs() for name, step in self.steps.items()}
        if self._structure is not None:
            return self._structure.with_decorators(decorators)
        return graph.read(self.flow_class, decorators)

    def description(self) -> dict[str, Any]:
        """Return the artifact ``_graph_info``; the graph must have passed lint."""
        from metaflow.flow.description import describe

        parameters = [(attribute, type(parameter).__name__) for attribute, parameter in self.parameters.items()]
        parameters += [(attribute, "Config") for attribute in self.configs.values]
        specs = [_spec(each) for each in self.decorators]
        return describe(self.graph, parameters, specs)

    def __repr__(self) -> str:
        return f"FlowPlan({self.name}: {', '.join(self.steps)})"


def read(
    flow_class: type[FlowSpec],
    *,
    with_: Iterable[str] = (),
    without: Iterable[str] = (),
    initial: Mapping[str, Any] = MappingProxyType({}),
    configs: Configs = NO_CONFIGS,
    draft: Draft | None = None,
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
    initial : mapping of str to object
        What the flow's own ``__init__`` has assigned on self.
    configs : Configs
        Of the run: their values take the place of what stands for them in decorators and parameters.
    draft : Draft, optional
        Of the class and the configs, if there is one.

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
    draft = (draft or Draft.of(flow_class, configs)).copy()
    removed: dict[str, tuple[str, ...]] = {}
    for name in parse_without(without):
        removed[name] = (*removed.get(name, ()), *draft.remove(name))
    for spec in with_:
        draft.add_missing(spec)
    draft.mutate()
    steps = {name: StepPlan(name, draft.functions[name], tuple(there)) for name, there in draft.steps.items()}
    return FlowPlan(flow_class, steps, draft.decorators, draft.parameters, configs, removed, initial)


def _spec(decorator: Decorator) -> DecoratorSpec:
    return DecoratorSpec(decorator.name, decorator.recorded(), decorator.is_static, decorator.inserted_by)
