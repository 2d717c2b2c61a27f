"""What mutators see and change: `MutableFlow` and `MutableStep`, views of the `Draft` of a plan.

Parameters and decorators of the flow are changed in `pre_mutate`, when nothing depends on them yet; decorators of steps
in either. Start reading at `MutableFlow`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from keyword import iskeyword
from typing import TYPE_CHECKING, Any

from metaflow import registry
from metaflow.exception import InvalidFlow
from metaflow.flow.decorator import Decorator, as_attached
from metaflow.flow.flow_decorator import FlowDecorator
from metaflow.flow.parameters import Parameter
from metaflow.flow.user_decorators import POSITIONAL, UserFlow, UserStep, step_decorator
from metaflow.flow.with_option import parse_with

if TYPE_CHECKING:
    from metaflow.flow.draft import Draft

Spec = tuple[str, str, list[Any], dict[str, Any]]
"""A decorator: its name, the full name of its class, what it was given without and with names."""


class _Decorated:
    IGNORE = 1
    """Of `add_decorator`: one that is there already stays, and nothing is added."""
    ERROR = 2
    """… it is an error."""
    OVERRIDE = 3
    """… it is replaced."""

    @property
    def decorator_specs(self) -> Iterator[Spec]:
        """The decorators that are there."""
        raise NotImplementedError

    def get_decorator_specs(self, name: str) -> list[Spec]:
        """Return the decorators of this name."""
        return [spec for spec in self.decorator_specs if name in spec[:2]]

    def has_decorator(self, name: str) -> bool:
        """Tell whether there is a decorator of this name."""
        return bool(self.get_decorator_specs(name))

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_") and name not in ("flow", "name"):
            raise AttributeError(
                f"'{name}' cannot be set on a {type(self).__name__}; its methods change it, such as "
                "add_parameter(…, overwrite=True) and add_decorator",
                name=name,
                obj=self,
            )
        object.__setattr__(self, name, value)


class MutableFlow(_Decorated):
    """A flow that can still be changed. Its configs, with their values, its parameters and its steps are attributes.

    Parameters
    ----------
    draft : Draft
        What is changed.
    by : str
        Full name of the mutator.
    is_early : bool
        Whether parameters and decorators of the flow can be changed.
    """

    def __init__(self, draft: Draft, by: str, *, is_early: bool) -> None:
        self._draft = draft
        self._by = by
        self._is_early = is_early

    def __getattr__(self, name: str) -> Any:
        values = self._draft.configs.by_any_name()
        if name in values:
            return values[name]
        if name in self._draft.parameters:
            return self._draft.parameters[name]
        if name in self._draft.steps:
            return MutableStep(self._draft, name, self._by, is_early=self._is_early)
        flow = self._draft.flow_class.__name__
        raise AttributeError(f"the flow {flow} has no config, parameter or step '{name}'", name=name, obj=self)

    @property
    def configs(self) -> Iterator[tuple[str, Any]]:
        """The configs: pairs of name and value."""
        configs = self._draft.configs
        return iter([(name, configs.values[attribute]) for name, attribute in configs.names.items()])

    @property
    def parameters(self) -> Iterator[tuple[str, Parameter]]:
        """The parameters: pairs of attribute and `Parameter`."""
        return iter(list(self._draft.parameters.items()))

    @property
    def steps(self) -> Iterator[tuple[str, MutableStep]]:
        """The steps, by name: pairs of name and `MutableStep`."""
        names = sorted(self._draft.steps)
        return iter([(name, MutableStep(self._draft, name, self._by, is_early=self._is_early)) for name in names])

    @property
    def decorator_specs(self) -> Iterator[Spec]:
        """The decorators of the flow, its mutators included."""
        return iter([_spec(each) for each in self._draft.decorators])

    def add_parameter(self, name: str, value: Parameter, overwrite: bool = False) -> None:
        """Add a parameter, in `pre_mutate` only.

        Parameters
        ----------
        name : str
            The attribute under which steps see it.
        value : Parameter
            The parameter.
        overwrite : bool
            Whether it may replace one.

        Raises
        ------
        InvalidFlow
            It is not a parameter, there is one or another attribute of this name, or it is too late.
        """
        self._only_early("a parameter is added")
        if not isinstance(value, Parameter):
            raise self._error(f"add_parameter('{name}', …) is given {value!r}, which is not a Parameter.")
        if not isinstance(name, str) or not name.isidentifier() or iskeyword(name):
            raise self._error(
                f"add_parameter is given {name!r}, which cannot be an attribute.",
                "the first argument is what steps write after `self.`; the option has the parameter's own name",
            )
        if name in self._draft.parameters and not overwrite:
            raise self._error(f"The flow has a parameter '{name}' already.", "overwrite=True replaces it")
        if name not in self._draft.parameters and hasattr(self._draft.flow_class, name):
            raise self._error(f"The flow has an attribute '{name}', which is no parameter.", "choose another name")
        value.attribute = name
        self._draft.parameters[name] = value.with_configs(self._draft.configs)

    def remove_parameter(self, parameter_name: str) -> bool:
        """Remove a parameter, in `pre_mutate` only; return whether there was one."""
        self._only_early("a parameter is removed")
        return self._draft.parameters.pop(parameter_name, None) is not None

    def add_decorator(
        self,
        deco_type: Any,
        deco_args: Sequence[Any] | None = None,
        deco_kwargs: Mapping[str, Any] | None = None,
        duplicates: int = _Decorated.IGNORE,
    ) -> Decorator | None:
        """Add a decorator to the flow, in `pre_mutate` only; return it, None if one stays that is there.

        Parameters
        ----------
        deco_type : str or function
            Its name, or the public decorator.
        deco_args, deco_kwargs : optional
            What it is given.
        duplicates : int
            What to do if there is one: `IGNORE`, `ERROR` or `OVERRIDE`.
        """
        self._only_early("a decorator of the flow is added")
        name, attributes = _named(deco_type, deco_args, deco_kwargs)
        if name in registry.names("step decorator"):
            hint = f"add it to steps: `for name, step in mutable_flow.steps: step.add_decorator('{name}')`"
            raise self._error(f"'{name}' is a decorator of steps, not of flows.", hint)
        added: FlowDecorator = registry.load("flow decorator", name)(attributes)
        there = [each for each in self._draft.decorators if each.name == name]
        if there and not added.is_repeatable:
            if not self._replaces(name, duplicates):
                return None
            self._draft.decorators[:] = [each for each in self._draft.decorators if each not in there]
        added.inserted_by = (self._by,)
        self._draft.decorators.insert(sum(not isinstance(each, UserFlow) for each in self._draft.decorators), added)
        return added

    def remove_decorator(
        self,
        deco_name: str,
        deco_args: Sequence[Any] | None = None,
        deco_kwargs: Mapping[str, Any] | None = None,
    ) -> bool:
        """Remove decorators from the flow, in `pre_mutate` only; return whether there were any.

        With `deco_args` or `deco_kwargs`, only those that were given just these.
        """
        self._only_early("a decorator of the flow is removed")
        return _remove(self._draft.decorators, deco_name, deco_args, deco_kwargs)

    def _replaces(self, name: str, duplicates: int) -> bool:
        if duplicates not in (self.IGNORE, self.ERROR, self.OVERRIDE):
            raise self._error(f"duplicates={duplicates!r} is none of IGNORE, ERROR and OVERRIDE.")
        if duplicates == self.ERROR:
            raise self._error(f"There is a decorator '{name}' already.", "IGNORE keeps it, OVERRIDE replaces it")
        return duplicates == self.OVERRIDE

    def _only_early(self, what: str) -> None:
        if not self._is_early:
            raise self._error(f"It is too late in mutate: {what} in pre_mutate.")

    def _error(self, message: str, hint: str | None = None) -> InvalidFlow:
        return InvalidFlow(f"The mutator {self._by}: {message}", hint=hint)


class MutableStep(_Decorated):
    """A step that can still be changed.

    Parameters
    ----------
    draft : Draft
        Of its flow.
    name : str
        The step.
    by : str
        Full name of the mutator.
    is_early : bool
        Whether this is `pre_mutate`.
    """

    def __init__(self, draft: Draft, name: str, by: str, *, is_early: bool) -> None:
        self.flow = MutableFlow(draft, by, is_early=is_early)
        self.name = name
        self._draft = draft
        self._by = by
        self._there = draft.steps[name]

    @property
    def decorator_specs(self) -> Iterator[Spec]:
        """The decorators of the step: built-in ones, wrappers, mutators; each innermost first."""
        return iter([_spec(each) for each in as_attached(self._there)])

    def add_decorator(
        self,
        deco_type: Any,
        deco_args: Sequence[Any] | None = None,
        deco_kwargs: Mapping[str, Any] | None = None,
        duplicates: int = _Decorated.IGNORE,
    ) -> Decorator | None:
        """Add a decorator to the step; return it, None if one stays that is there.

        Parameters
        ----------
        deco_type : str, function or type
            The name of a built-in decorator, also with attributes as for ``--with``, or the full name of one of the
            user's; or the decorator itself.
        deco_args, deco_kwargs : optional
            What it is given.
        duplicates : int
            What to do if there is one: `IGNORE`, `ERROR` or `OVERRIDE`.

        Raises
        ------
        MetaflowException
            There is no such decorator, it has no such attribute, there is one already, or the step would be sent to two
            backends.
        """
        name, attributes = _named(deco_type, deco_args, deco_kwargs)
        decorator = step_decorator(name)
        if deco_args and not issubclass(decorator, UserStep):
            hint = "those with a name are the third: add_decorator(name, deco_kwargs={…})"
            raise self.flow._error(f"The decorator '{name}' takes no arguments without a name.", hint)
        added = decorator(attributes)
        there = [each for each in self._there if each.name == added.name]
        if there:
            if not self.flow._replaces(added.name, duplicates):
                return None
            self._there[:] = [each for each in self._there if each not in there]
        added.inserted_by = (self._by,)
        self._draft.add(self.name, added)
        return added

    def remove_decorator(
        self,
        deco_name: str,
        deco_args: Sequence[Any] | None = None,
        deco_kwargs: Mapping[str, Any] | None = None,
    ) -> bool:
        """Remove decorators from the step; return whether there were any.

        With `deco_args` or `deco_kwargs`, only those that were given just these.
        """
        return _remove(self._there, deco_name, deco_args, deco_kwargs)


def _spec(decorator: Decorator) -> Spec:
    if isinstance(decorator, (UserStep, UserFlow)):
        return (decorator.user_name, decorator.user_class.decorator_name, *decorator.arguments())
    cls = type(decorator)
    return (decorator.name, f"{cls.__module__}.{cls.__qualname__}", [], dict(decorator.attributes))


def _named(target: Any, args: Sequence[Any] | None, kwargs: Mapping[str, Any] | None) -> tuple[str, dict[str, Any]]:
    """Return the name of a decorator, and what it is given."""
    attributes = {**({POSITIONAL: list(args)} if args else {}), **(kwargs or {})}
    if isinstance(target, str):
        named, written = parse_with(target)
        return named, {**written, **attributes}
    if getattr(target, "__qualname__", "").endswith("<locals>.decorate"):
        raise TypeError("add_decorator takes a decorator without arguments; what it is given goes into deco_kwargs={…}")
    name = getattr(target, "decorator_name", None) or getattr(target, "__name__", None)
    if not isinstance(name, str):
        raise TypeError(f"add_decorator takes a decorator or its name, not {target!r}")
    return str(name), attributes


def _remove(there: list[Any], name: str, args: Sequence[Any] | None, kwargs: Mapping[str, Any] | None) -> bool:
    def is_meant(decorator: Decorator) -> bool:
        spec = _spec(decorator)
        if name not in spec[:2]:
            return False
        given = (list(args or []), dict(kwargs or {}))
        return (args is None and kwargs is None) or given in (
            (spec[2], spec[3]),
            (spec[2], {key: spec[3][key] for key in decorator.given if key in spec[3]}),
        )

    kept = [each for each in there if not is_meant(each)]
    removed = len(kept) < len(there)
    there[:] = kept
    return removed
