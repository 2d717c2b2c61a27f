"""A flow that is being planned: its decorators and parameters, which mutators and the command line can still change.

`metaflow.flow.plan` makes the frozen plan of it. Start reading at `Draft.of`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import MethodType
from typing import TYPE_CHECKING, Any

from metaflow.exception import CommandException, InvalidFlow, MetaflowException
from metaflow.flow.config_expression import NO_CONFIGS, Configs, evaluate
from metaflow.flow.decorator import Decorator, StepDecorator
from metaflow.flow.flow_decorator import FlowDecorator
from metaflow.flow.mutable import MutableFlow, MutableStep
from metaflow.flow.notes import Note, notes_on
from metaflow.flow.parameters import parameters_of, place_of_failure
from metaflow.flow.step import steps_of
from metaflow.flow.user_decorators import UserFlow, UserStep, step_decorator
from metaflow.flow.with_option import parse_with

if TYPE_CHECKING:
    from metaflow.flow.parameters import Parameter
    from metaflow.flow.spec import FlowSpec


class Draft:
    """A flow that is being planned: what mutators see and change.

    Attributes
    ----------
    flow_class : type of FlowSpec
        The user's class.
    configs : Configs
        Of the run.
    functions : dict of str to callable
        The steps' methods.
    steps : dict of str to list of StepDecorator
        Each step's decorators, in the order of `StepPlan.decorators`.
    decorators : list of FlowDecorator
        The flow's own, its mutators last.
    parameters : dict of str to Parameter
        By attribute.
    """

    def __init__(
        self,
        flow_class: type[FlowSpec],
        configs: Configs,
        steps: dict[str, list[StepDecorator]],
        decorators: list[FlowDecorator],
        parameters: dict[str, Parameter],
    ) -> None:
        self.flow_class = flow_class
        self.configs = configs
        self.functions = steps_of(flow_class)
        self.steps = steps
        self.decorators = decorators
        self.parameters = parameters

    @classmethod
    def of(cls, flow_class: type[FlowSpec], configs: Configs = NO_CONFIGS) -> Draft:
        """Return the draft of a class: what its source says, and what its mutators change before the command line.

        Raises
        ------
        MetaflowException
            A decorator or parameter cannot be as it is written, or a mutator has failed.
        """
        steps = {name: _noted(name, function, configs) for name, function in steps_of(flow_class).items()}
        parameters = {name: each.with_configs(configs) for name, each in parameters_of(flow_class).items()}
        draft = cls(flow_class, configs, steps, _flow_decorators(flow_class, configs), parameters)
        draft._call_mutators("pre_mutate", is_early=True)
        return draft

    def copy(self) -> Draft:
        """Return a draft of its own."""
        steps = {name: list(there) for name, there in self.steps.items()}
        return Draft(self.flow_class, self.configs, steps, list(self.decorators), dict(self.parameters))

    def mutate(self) -> None:
        """Have the mutators change the draft, once, after the command line has had its say.

        Raises
        ------
        MetaflowException
            A mutator has failed.
        """
        self._call_mutators("mutate", is_early=False)

    def _call_mutators(self, method: str, *, is_early: bool) -> None:
        for decorator in list(self.decorators):
            if isinstance(decorator, UserFlow):
                by = decorator.user_class.decorator_name
                _call(getattr(decorator.mutator, method), MutableFlow(self, by, is_early=is_early), by)
        for name, there in self.steps.items():
            for each in reversed(list(there)):
                if isinstance(each, UserStep) and each.mutator is not None and each in there:
                    by = each.user_class.decorator_name
                    _call(getattr(each.mutator, method), MutableStep(self, name, by, is_early=is_early), by)

    def add(self, step: str, decorator: StepDecorator) -> None:
        """Put a decorator on a step.

        Raises
        ------
        InvalidDecoratorAttribute, CommandException
            The step has it already, or would be sent to two backends.
        """
        _check_fits(step, self.steps[step], decorator)
        if isinstance(decorator, UserStep):
            self.steps[step].insert(0, decorator)  # what comes later is wrapped around what is there
        else:
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
        decorator = step_decorator(name)
        for step, there in self.steps.items():
            if all(other.name != decorator.name for other in there):
                self.add(step, decorator(attributes))

    def remove(self, name: str) -> tuple[str, ...]:
        """Take a decorator away from all steps, and return those that had it.

        Raises
        ------
        CommandException
            There is no such decorator; the nearest name is the hint.
        """
        decorator = step_decorator(name)
        had = []
        for step, there in self.steps.items():
            kept = [other for other in there if other.name != decorator.name]
            if len(kept) < len(there):
                had.append(step)
                there[:] = kept
        return tuple(had)


def _call(method: Callable[[Any], None], target: Any, name: str) -> None:
    """Call a user's mutator; what it raises is one error that points to the user's line."""
    try:
        method(target)
    except MetaflowException as error:
        if error.source_file is None:
            error.source_file, error.line_no = place_of_failure(error, method) or (None, None)
        raise
    except (Exception, SystemExit) as error:
        code = method.__func__.__code__ if isinstance(method, MethodType) else None
        its_own = (code.co_filename, code.co_firstlineno) if code is not None else (None, None)
        file, line = place_of_failure(error, method) or its_own
        said = f"{type(error).__name__}: {error}"
        raise InvalidFlow(f"The mutator {name} has failed in {method.__name__}: {said}.", line, file) from error


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
    """Make the decorators of a flow: built-in ones, then mutators; in each group those of base classes first."""
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
    return sorted(made, key=lambda decorator: isinstance(decorator, UserFlow))


def _check_fits(step: str, there: Sequence[StepDecorator], added: StepDecorator) -> None:
    """Refuse a decorator that the step has already, and a second backend."""
    if not added.is_repeatable and any(other.name == added.name for other in there):
        raise added.error(f"The step '{step}' has @{added.name} twice.", hint="keep one of them")
    other = next((each for each in there if each.backend is not None), None)
    if other is None or added.backend is None:
        return
    message = f"The step '{step}' is sent to two backends: by {other.source} and by {added.source}."
    if added.origin is not None:
        raise added.error(message, hint="keep one of them")
    raise CommandException(message, hint=f"to take @{other.name} away from all steps, add --without {other.name}")
