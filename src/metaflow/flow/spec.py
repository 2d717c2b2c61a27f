"""`FlowSpec`: the class that users derive their flows from.

In a task, one instance is *bound*: it then has the artifacts of earlier steps, loaded when they are first touched, and
notes what the step assigns and where it goes (`next`). The inputs of a join are bound instances too, one for each
incoming task. An instance never reads or writes storage itself: it sees a mapping. `metaflow.runtime.task` binds it
before the step and takes its artifacts afterwards.

Start reading at `metaflow.flow.binding`, then `FlowSpec.__getattr__` and `FlowSpec.next`.
"""

from __future__ import annotations

import atexit
import difflib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from metaflow import registry
from metaflow.exception import CannotAssign, InvalidNextException, repr_of
from metaflow.flow.binding import INTERNAL, Binding, Transition, is_immutable, is_indexable
from metaflow.flow.merge import merge
from metaflow.flow.step import steps_of

if TYPE_CHECKING:
    from metaflow.flow.config import Declaration
    from metaflow.flow.parameters import Parameter

_OTHER_NAME = "assign to an artifact of another name"
_ONE_WAY: tuple[type, ...] = (type({}.keys()), type({}.values()), type({}.items()))

_INITIAL = "_is_initial"
"""Set on an instance that is made for what its class's own ``__init__`` assigns."""

_SHAPES = (
    "the forms are self.next(self.a), self.next(self.a, self.b), self.next(self.a, foreach='items') "
    "and self.next({'x': self.a, 'y': [self.b, self.c]}, condition='choice')"
)


class FlowSpec:
    """Base class of all flows: derive from it, decorate methods with `@step`, connect them with `self.next`.

    Calling the subclass under ``if __name__ == '__main__'`` makes the file a command-line program.

    Parameters
    ----------
    use_cli : bool, default True
        Whether to run the command line that the process was started with.

    Attributes
    ----------
    index : int or None
        Position of this task in the innermost foreach, from 0; None outside a foreach.
    input : object
        The element that this task handles; None outside a foreach.

    Examples
    --------
    >>> class Hello(FlowSpec):
    ...     @step
    ...     def start(self):
    ...         self.greeting = "hello"
    ...         self.next(self.end)
    ...
    ...     @step
    ...     def end(self):
    ...         print(self.greeting)
    """

    _steps: ClassVar[Mapping[str, Callable[..., Any]]] = MappingProxyType({})
    _constants: ClassVar[frozenset[str]] = frozenset()
    _binding: Binding

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._steps = MappingProxyType(steps_of(cls))
        cls._constants = frozenset(constants_of(cls))

    def __init__(self, use_cli: bool = True) -> None:
        if use_cli:
            if self.__dict__.pop(_INITIAL, False):
                raise _Initialised  # as the command line, this does not come back
            try:
                from metaflow.cli.main import main
            except KeyboardInterrupt:  # later it is told in words
                sys.exit(130)
            main(type(self), initial=_initial_attributes(self))

    # --- where the task stands --------------------------------------------------------------------------------------

    @property
    def index(self) -> int | None:
        frames = self._bound("index").frames
        return frames[-1].index if frames else None

    @property
    def input(self) -> Any:
        binding = self._bound("input")
        return binding.element(len(binding.frames) - 1) if binding.frames else None

    @property
    def script_name(self) -> str:
        """File name of the flow."""
        return sys.argv[0].rpartition("/")[2]

    def foreach_stack(self) -> list[tuple[int, int, Any]]:
        """Return ``(index, number of splits, element)`` of each foreach around this task, outermost first."""
        binding = self._bound("foreach_stack()")
        return [(frame.index, frame.num_splits, binding.element(n)) for n, frame in enumerate(binding.frames)]

    # --- where it goes ----------------------------------------------------------------------------------------------

    def next(
        self,
        *dsts: Callable[..., Any] | dict[Any, Callable[..., Any] | Sequence[Callable[..., Any]]],
        foreach: str | None = None,
        condition: str | None = None,
        num_parallel: int | None = None,
    ) -> None:
        """Say which step comes after this one; the last statement of every step but ``end``.

        Parameters
        ----------
        *dsts : step or dict of object to step or list of steps
            One step, several steps for parallel branches, or one dictionary from values to steps with `condition`. In
            it a list of steps is parallel branches, which a join ends.
        foreach : str, optional
            Name of an artifact: the one successor runs once for each of its elements.
        condition : str, optional
            Name of an artifact: its value chooses the successor from the dictionary.
        num_parallel : int, optional
            Number of tasks that run together as a gang.

        Raises
        ------
        InvalidNextException
            The arguments fit none of these forms, or `next` was called before in this step.
        RuntimeError
            The value of the condition is not a key of the dictionary.
        """
        binding = self._bound("next()")
        if binding.transition is not None:
            raise InvalidNextException(f"The step '{binding.step}' calls self.next() twice.", hint="call it once, last")
        if num_parallel is not None:
            raise InvalidNextException("num_parallel is not available in this version of Millrace.")
        if condition is not None:
            binding.transition = self._switch(dsts, foreach, condition)
            return
        if not dsts:
            raise InvalidNextException(f"self.next() in the step '{binding.step}' names no step.", hint=_SHAPES)
        names = tuple(self._destination(step) for step in dsts)
        if foreach is None:
            if len(set(names)) != len(names):
                raise InvalidNextException(f"self.next() in '{binding.step}' names a step twice.", hint=_SHAPES)
            binding.transition = Transition(names)
        elif len(names) != 1:
            raise InvalidNextException(
                f"foreach in the step '{binding.step}' leads to {len(names)} steps.", hint=_SHAPES
            )
        else:
            binding.transition = Transition(names, foreach, self._elements(foreach))

    def _switch(self, dsts: tuple[Any, ...], foreach: str | None, condition: str) -> Transition:
        step = self._binding.step
        if foreach is not None or len(dsts) != 1 or not isinstance(dsts[0], dict) or not dsts[0]:
            raise InvalidNextException(
                f"self.next() in the step '{step}' with condition= takes one dictionary of steps.", hint=_SHAPES
            )
        if not isinstance(condition, str):
            raise InvalidNextException(f"condition= in the step '{step}' is not the name of an artifact.", hint=_SHAPES)
        cases = {key: self._case(target) for key, target in dsts[0].items()}
        try:
            value = getattr(self, condition)
        except AttributeError:
            raise InvalidNextException(
                f"The step '{step}' switches on self.{condition}, which does not exist.",
                hint=f"assign self.{condition} before self.next()",
            ) from None
        try:
            return Transition(cases[value], recursive=(step,) in cases.values(), condition=condition)
        except (KeyError, TypeError):
            keys = ", ".join(map(repr_of, cases))
            raise RuntimeError(
                f"self.{condition} is {repr_of(value)} in the step '{step}', and no case of the switch has this key\n"
                f"    hint: its keys are {keys}"
            ) from None

    def _case(self, case: Any) -> tuple[str, ...]:
        return tuple(map(self._destination, case if isinstance(case, list | tuple) else [case]))

    def _destination(self, target: Any) -> str:
        name = getattr(target, "__name__", None)
        if getattr(target, "__self__", None) is self and name in self._steps:
            return str(name)
        shown = f"self.{name}" if name else repr(target)
        near = difflib.get_close_matches(str(name or target), self._steps, n=1)
        raise InvalidNextException(
            f"self.next() in the step '{self._binding.step}' leads to {shown}, which is not a step.",
            hint=f"did you mean self.{near[0]}?" if near else _SHAPES,
        )

    def _elements(self, foreach: Any) -> Sequence[Any]:
        step = self._binding.step
        if not isinstance(foreach, str):
            raise InvalidNextException(
                f"foreach= in the step '{step}' is a {type(foreach).__name__}, not the name of an artifact.",
                hint="write foreach='items' for self.items",
            )
        try:
            value = getattr(self, foreach)
        except AttributeError:
            raise InvalidNextException(
                f"The step '{step}' has a foreach over self.{foreach}, which does not exist.",
                hint=f"assign self.{foreach} before self.next()",
            ) from None
        elements = value if is_indexable(value) else None
        if elements is None:
            try:
                iterator = iter(value)
            except TypeError:
                raise InvalidNextException(
                    f"The step '{step}' has a foreach over self.{foreach}, a {type(value).__name__}, "
                    "which cannot be iterated over.",
                    hint="give it a list, a range, or anything else that a for loop takes",
                ) from None
            elements = list(iterator)
            if hasattr(value, "__next__") or isinstance(value, _ONE_WAY):
                setattr(self, foreach, elements)  # an iterator or a view is no artifact; its elements are
        if len(elements) == 0:
            raise InvalidNextException(
                f"The step '{step}' has a foreach over self.{foreach}, which is empty.",
                hint="a foreach needs at least one element; a switch can skip it when there is nothing to do",
            )
        return elements

    # --- artifacts --------------------------------------------------------------------------------------------------

    def merge_artifacts(
        self, inputs: Iterable[FlowSpec], exclude: Iterable[str] | None = None, include: Iterable[str] | None = None
    ) -> None:
        """In a join, take over the artifacts on which the inputs agree.

        Values are compared by the hash of what is stored and are not loaded. Names that are already set on self are
        left alone; a name that only some inputs have is taken over.

        Parameters
        ----------
        inputs : iterable of FlowSpec
            The join's inputs.
        exclude : iterable of str, optional
            Names to leave out.
        include : iterable of str, optional
            The only names to take over; each must be there.

        Raises
        ------
        UnhandledInMergeArtifactsException
            Some names have different values; nothing is taken over.
        MissingInMergeArtifactsException
            A name of `include` is on no input.
        MergeArtifactsException
            Not called in a join, or with both `include` and `exclude`.
        """
        merge(self, self._bound("merge_artifacts()"), inputs, exclude, include)

    def __getattr__(self, name: str) -> Any:
        binding = self.__dict__.get("_binding")
        if name == "_graph":
            return registry.load("language", "FlowGraph")(type(self))
        if name == "_current_step" and binding is not None:
            return binding.step
        if name == "name" and (binding is None or name not in binding.artifacts):
            return type(self).__name__
        if binding is None or name in binding.deleted:
            self._absent(name, binding)
        if name in binding.unchanging:
            return binding.unchanging[name]
        source = binding.merged[name]._binding if name in binding.merged else binding
        if name not in source.artifacts:
            self._absent(name, binding)
        value = source.artifacts[name]
        if is_immutable(value):
            binding.unchanging[name] = value
        else:
            self.__dict__[name] = value  # the step may change it in place, so it is saved again
        return value

    def _absent(self, name: str, binding: Binding | None) -> NoReturn:
        if hasattr(type(self), name):
            object.__getattribute__(self, name)  # a property raised AttributeError: its own error says more
        raise AttributeError(_missing(self, name, binding), name=name, obj=self)

    def __setattr__(self, name: str, value: Any) -> None:
        cls = type(self)
        if "_binding" not in self.__dict__:
            object.__setattr__(self, name, value)
            return
        if name in cls._steps:
            raise CannotAssign(f"self.{name} is a step of this flow.", hint=_OTHER_NAME)
        if name in cls._constants:
            raise CannotAssign(
                f"self.{name} is an attribute of the flow's class, the same in all steps.", hint=_OTHER_NAME
            )
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        binding = self.__dict__.get("_binding")
        incoming = (
            binding is not None
            and name not in binding.deleted
            and (name in binding.merged or name in binding.artifacts)
        )
        if name in self.__dict__ or not incoming or hasattr(type(self), name):
            object.__delattr__(self, name)
        if incoming and binding is not None:
            binding.deleted.add(name)
            binding.merged.pop(name, None)

    # --- what the class says of itself ------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Callable[..., Any]]:
        """Iterate over the steps, in order of definition."""
        return (getattr(self, name) for name in self._steps)

    def __getitem__(self, name: str) -> Callable[..., Any]:
        if name not in self._steps:
            raise KeyError(f"{type(self).__name__} has no step '{name}'")
        step: Callable[..., Any] = getattr(self, name)
        return step

    def __str__(self) -> str:
        binding = self.__dict__.get("_binding")
        if binding is None:
            return f"<flow {type(self).__name__}>"
        index = "".join(f"[{frame.index}]" for frame in binding.frames)
        return f"<flow {type(self).__name__} step {binding.step}{index}>"

    def __getstate__(self) -> Any:
        raise TypeError("a flow cannot be pickled; keep what you need of self in a local variable")

    @classmethod
    def _parameter_names(cls) -> list[str]:
        from metaflow.flow.config import configs_of
        from metaflow.flow.parameters import parameters_of

        return [*parameters_of(cls), *configs_of(cls)]

    def _parameter(self, parameter: Parameter | Declaration, unbound: object) -> Any:
        binding = self.__dict__.get("_binding")
        if binding is None:
            return unbound
        if parameter.attribute not in binding.parameters:
            if parameter.attribute not in binding.artifacts:
                raise AttributeError(_missing(self, parameter.attribute, binding))
            binding.parameters[parameter.attribute] = parameter.load(binding.artifacts[parameter.attribute])
        return binding.parameters[parameter.attribute]

    def _bound(self, what: str) -> Binding:
        binding = self.__dict__.get("_binding")
        if binding is None:
            raise AttributeError(f"self.{what} exists only while a step runs")
        return binding  # type: ignore[no-any-return]


class _Initialised(BaseException):
    """Ends the making of an instance where the command line would begin."""


def initial_of(flow_class: type[FlowSpec]) -> dict[str, Any]:
    """Return what a flow's own ``__init__`` assigns on self before the command line begins, without beginning it."""
    if flow_class.__init__ is FlowSpec.__init__:
        return {}
    flow = flow_class.__new__(flow_class)
    flow.__dict__[_INITIAL] = True
    try:
        flow_class.__init__(flow)
    except _Initialised:
        pass
    flow.__dict__.pop(_INITIAL, None)
    return _initial_attributes(flow)


def _initial_attributes(flow: FlowSpec) -> dict[str, Any]:
    fixed = flow._constants | flow._steps.keys()
    return {name: value for name, value in attributes_of(flow).items() if name not in fixed}


def attributes_of(flow: FlowSpec) -> dict[str, Any]:
    """Return what was assigned on self."""
    return {name: value for name, value in flow.__dict__.items() if name not in INTERNAL}


def constants_of(flow_class: type) -> dict[str, Any]:
    """Return the plain values in the bodies of a flow's classes, which every step sees and none may change."""
    from metaflow.flow.parameters import Parameter

    constants: dict[str, Any] = {}
    for owner in reversed(flow_class.__mro__):
        if owner is object or owner.__module__ == __name__:
            continue
        for name, value in vars(owner).items():
            constants.pop(name, None)
            plain = not isinstance(value, (property, classmethod, staticmethod, type, Parameter))
            if not name.startswith("_") and plain and not hasattr(type(value), "__get__"):
                constants[name] = value
    return constants


def _missing(flow: FlowSpec, name: str, binding: Binding | None) -> str:
    if binding is None or name.startswith("__"):
        return f"'{type(flow).__name__}' object has no attribute '{name}'"
    if name in binding.deleted:
        return f"the artifact '{name}' was deleted in this step"
    return f"the flow '{type(flow).__name__}' has no artifact '{name}' in the step '{binding.step}'"


def hint_for_missing(flow: FlowSpec, name: str) -> str | None:
    """Say what somebody may have meant who asked for an artifact that is not there."""
    binding = flow._binding
    known = {*binding.artifacts, *binding.merged, *(key for key in flow.__dict__ if key not in INTERNAL)}
    near = difflib.get_close_matches(name, [key for key in known if not key.startswith("_")], n=1)
    if near:
        return f"did you mean self.{near[0]}?"
    if binding.is_join:
        return "a join starts without artifacts: read them from inputs, or call self.merge_artifacts(inputs)"
    return None if name in binding.deleted else binding.remedy


def _at_exit() -> None:
    # An error in the class's body comes before any of our code that could tell about it. Unlike a hook for exceptions
    # of our own, this is in nobody's way.
    if isinstance(getattr(sys, "last_value", None), NameError):
        from metaflow.flow.undefined import tell_at_exit

        tell_at_exit()


atexit.register(_at_exit)
