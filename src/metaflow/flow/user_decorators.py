"""Decorators that users write: wrappers of a step's code, and mutators that change a flow before it runs.

`user_step_decorator` and `UserStepDecorator` wrap a step's code, inside of all built-in decorators; `StepMutator` and
`FlowMutator` get the flow as it is planned (`metaflow.flow.mutable`). Like built-in decorators they leave notes while
the user's class is read; what is made of a note when the flow is planned is a `UserStep` or a `UserFlow`.

Start reading at `UserStepDecorator`, then `UserStep.around`.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Generator, Iterable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar, cast, overload

from metaflow import registry
from metaflow.exception import CommandException, InvalidFlow, MetaflowException
from metaflow.flow.decorator import Decorator, StepContext, StepDecorator
from metaflow.flow.flow_decorator import FlowDecorator
from metaflow.flow.notes import note_on_flow, note_on_step
from metaflow.flow.package_content import Addition, addition_of

if TYPE_CHECKING:
    from metaflow.flow.mutable import MutableFlow, MutableStep

Function = TypeVar("Function", bound=Callable[..., Any])

POSITIONAL = "_args"
"""Under which attribute a user's decorator keeps what was given without a name, as the original records it."""

USER_SKIP_STEP: dict[str, Any] = {}
"""To be yielded, or assigned to `skip_step`, to leave out a step's code."""

_KNOWN: dict[str, list[type[_UserClass]]] = {}
"""The classes that have been defined, by their short names."""


class _UserClass:
    """What users' decorators have in common: ``@Name`` and ``@Name(…)`` leave a note."""

    decorator_name: ClassVar[str] = ""
    _made: ClassVar[type[Decorator] | None] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.decorator_name = f"{cls.__module__}.{cls.__name__}"
        cls._made = None
        if cls.__module__ != __name__:
            _KNOWN.setdefault(cls.__name__, []).append(cls)

    @classmethod
    def _adapter(cls) -> type[Decorator]:
        """Return what notes hold of it."""
        if cls._made is None:
            cls._made = cls._make()
        return cls._made

    @classmethod
    def _make(cls) -> type[Decorator]:
        raise NotImplementedError

    def init(self, *args: Any, **kwargs: Any) -> None:
        """Take what the decorator was given; called once for each step or flow that has it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass


class _OfStep(_UserClass):
    _wraps: ClassVar[bool] = False

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        function = args[0] if len(args) == 1 and not kwargs and _can_be_decorated(args[0]) else None
        attributes = {} if function is not None else _attributes(args, kwargs)
        return note_on_step(cls._adapter(), function, attributes)

    @classmethod
    def _make(cls) -> type[Decorator]:
        body = {"name": cls.decorator_name, "user_class": cls, "rank": -1 if cls._wraps else -2}
        return type(cls.__name__, (UserStep,), body)


class UserStepDecorator(_OfStep):
    """Base class of decorators that wrap a step's code.

    A subclass defines `pre_step` and `post_step`, and may define `init` for what it is given:
    ``@Name(key=value)``, or ``--with module.Name:key=value``.

    Attributes
    ----------
    skip_step : bool or dict
        Set by `pre_step`: whether the step's code is left out. A dictionary has arguments for `self.next`.
    """

    skip_step: bool | dict[str, Any] = False
    _wraps = True

    def pre_step(self, step_name: str, flow: Any, inputs: Any = None) -> Callable[[Any], Any] | None:
        """Act before the step's code.

        Parameters
        ----------
        step_name : str
            The step.
        flow : FlowSpec
            The ``self`` of the step.
        inputs : sequence of FlowSpec, optional
            Of a join.

        Returns
        -------
        callable, optional
            Called with `flow` in place of the step's code.
        """
        return None

    def post_step(self, step_name: str, flow: Any, exception: BaseException | None = None) -> Any:
        """Act after the step's code.

        Parameters
        ----------
        step_name, flow
            As for `pre_step`.
        exception : Exception, optional
            What the step's code has raised. It is over if this method returns; to let the step fail, raise it.

        Returns
        -------
        Exception, or tuple of (Exception or None, dict), optional
            An exception to be raised, and arguments for `self.next`.
        """
        if exception is not None:
            raise exception
        return None

    def _steps(self, context: StepContext) -> Generator[Any, None, Any]:
        """Do what a generator of `user_step_decorator` does."""
        replacement = self.pre_step(context.step, context.flow, context.inputs())
        instead: Any = replacement
        if self.skip_step is not False:
            instead = self.skip_step if isinstance(self.skip_step, dict) else {}
        raised: Exception | None = None
        try:
            yield instead
        except Exception as error:  # noqa: BLE001 - the user's decorator decides what becomes of it
            raised = error
        result = self.post_step(context.step, context.flow, raised)
        return result


class _Attaches(Protocol):
    """What checkers of types know of a decorator: ``@name`` and ``@name(key=value)``."""

    @overload
    def __call__(self, function: Function, /) -> Function: ...

    @overload
    def __call__(self, **attributes: Any) -> Callable[[Function], Function]: ...


def user_step_decorator(function: Callable[..., Generator[Any, Any, Any]]) -> _Attaches:
    """Make a decorator of a generator that wraps a step's code.

    Parameters
    ----------
    function : callable
        Called with the step's name, the flow (the ``self`` of the step), the inputs of a join or None, and, if it
        takes a fourth argument, a dictionary of what the decorator was given. It yields once: nothing to have the
        step's code run, a function to have that called with the flow instead, or a dictionary, with arguments for
        `self.next`, to leave it out. What the code raises is raised by ``yield``.

    Returns
    -------
    type of UserStepDecorator
        The decorator: ``@name``, ``@name(key=value)``, ``--with module.name:key=value``.

    Examples
    --------
    >>> @user_step_decorator
    ... def timed(step_name, flow, inputs=None, attributes=None):
    ...     began = time.time()
    ...     yield
    ...     flow.seconds = time.time() - began
    """
    if not inspect.isgeneratorfunction(function):
        name = getattr(function, "__name__", function)
        file, line = _place_of(function)
        message = f"@user_step_decorator stands on {name!r}, which is not a generator function."
        raise InvalidFlow(message, line, file, hint="write `yield` where the step's code shall run")
    takes = _arguments_of(function)
    if takes is None:
        file, line = _place_of(function)
        message = f"@user_step_decorator: {function.__name__} does not take three or four arguments."
        raise InvalidFlow(
            message, line, file, hint="the first line is `def name(step_name, flow, inputs, attributes):`"
        )
    body = {
        "_takes": takes,
        "_function": staticmethod(function),
        "__module__": function.__module__,
        "__doc__": function.__doc__,
    }
    return cast(_Attaches, type(function.__name__, (_GeneratorDecorator,), body))


class _GeneratorDecorator(UserStepDecorator):
    _function: ClassVar[Callable[..., Generator[Any, Any, Any]]]
    _takes: ClassVar[int] = 4

    def init(self, *args: Any, **kwargs: Any) -> None:
        if args:
            raise TypeError("it takes no arguments without a name")
        self._attributes = kwargs

    def _steps(self, context: StepContext) -> Generator[Any, None, Any]:
        arguments = (context.step, context.flow, context.inputs(), self._attributes)
        return self._function(*arguments[: self._takes])


class _AddsToPackage:
    def add_to_package(self) -> Iterable[Any]:
        """Return what goes into the code package beside the flow's files.

        Returns
        -------
        iterable of tuple
            ``(path, name)`` for a file that tasks have on their path for modules, or ``(path, name, type)`` with a
            `metaflow.packaging_sys.ContentType`; the working directory is that of the launcher.
        """
        return ()


class StepMutator(_AddsToPackage, _OfStep):
    """Base class of decorators that change the step on which they stand, before it runs; see `MutableStep`."""

    def pre_mutate(self, mutable_step: MutableStep) -> None:
        """Change the step before the command line's ``--with`` is seen."""

    def mutate(self, mutable_step: MutableStep) -> None:
        """Change the step."""


class FlowMutator(_AddsToPackage, _UserClass):
    """Base class of decorators that change the flow on which they stand, before it runs; see `MutableFlow`."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        flow_class = args[0] if len(args) == 1 and not kwargs and _can_be_decorated(args[0]) else None
        return note_on_flow(cls._adapter(), flow_class, {} if flow_class is not None else _attributes(args, kwargs))

    @classmethod
    def _make(cls) -> type[Decorator]:
        return type(cls.__name__, (UserFlow,), {"name": cls.__name__, "user_class": cls})

    def pre_mutate(self, mutable_flow: MutableFlow) -> None:
        """Change the flow before the command line's ``--with`` is seen: here parameters are added and removed."""

    def mutate(self, mutable_flow: MutableFlow) -> None:
        """Change the flow's steps."""


class _Adapter(Decorator):
    """A user's decorator in the form of a built-in one."""

    user_class: ClassVar[type[_UserClass]]

    def __init__(self, attributes: Mapping[str, Any], origin: tuple[str, int] | None = None) -> None:
        self.origin = origin
        self.given = frozenset(attributes)
        self.attributes = {POSITIONAL: [], **attributes}
        keywords = {name: value for name, value in self.attributes.items() if name != POSITIONAL}
        self.user = object.__new__(self.user_class)
        self._check_class()
        try:
            self.user.init(*self.attributes[POSITIONAL], **keywords)
        except TypeError as error:
            raise self.error(f"@{self.user_class.__name__} does not accept what it is given: {error}.") from error
        except MetaflowException as error:
            raise self._placed(error) from None

    def _check_class(self) -> None:
        """Refuse a class that would not get what its decorator is given, or whose methods would never be called."""
        cls, name = self.user_class, self.user_class.__name__
        if cls.__init__ is not _UserClass.__init__:
            file, line = _place_of(cls.__init__)
            message = f"{name} defines __init__, which is not called where it is a decorator."
            raise InvalidFlow(message, line, file, hint="rename it to init, with the same arguments")
        if len(self.attributes) > bool(not self.attributes[POSITIONAL]) and cls.init is _UserClass.init:
            raise self.error(f"@{name} is given arguments, and {name} has no init that takes them.")
        if isinstance(self.user, StepMutator | FlowMutator):
            self._check_methods(StepMutator if isinstance(self.user, StepMutator) else FlowMutator)

    def _check_methods(self, base: type[_UserClass]) -> None:
        cls, name, methods = self.user_class, self.user_class.__name__, ("mutate", "pre_mutate")
        has_one = any(getattr(cls, method) is not getattr(base, method) for method in methods)
        for method, member in vars(cls).items():
            if not inspect.isfunction(member):
                continue
            near = [] if has_one else difflib.get_close_matches(method, methods, n=1, cutoff=0.8)
            file, line = _place_of(member)
            if near:
                message = f"{name} defines {method}, which is not called."
                raise InvalidFlow(message, line, file, hint=f"did you mean {near[0]}?")
            if method in methods and (inspect.isgeneratorfunction(member) or inspect.iscoroutinefunction(member)):
                what = "has a yield" if inspect.isgeneratorfunction(member) else "is async"
                message = f"{method} of {name} {what}, so that its code would never run."
                raise InvalidFlow(message, line, file, hint=f"write it as a plain function, `def {method}(self, …):`")

    def add_to_package(self) -> list[Addition]:
        """Return what the user's class adds to the code package.

        Raises
        ------
        MetaflowException
            It fails, or adds what cannot be.
        """
        if not isinstance(self.user, _AddsToPackage):
            return []
        try:
            return [addition_of(each) for each in self.user.add_to_package()]
        except MetaflowException as error:
            raise self._placed(error) from None
        except Exception as error:
            said = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            file, line = _place_of(type(self.user).add_to_package)
            raise InvalidFlow(f"add_to_package of {self.user_name}: {said}.", line, file) from error

    def _placed(self, error: MetaflowException) -> MetaflowException:
        """Let an error point to the user's ``@name`` if it points nowhere."""
        if error.source_file is None and self.origin is not None:
            error.source_file, error.line_no = self.origin
        return error

    @property
    def user_name(self) -> str:
        """The name of the user's class."""
        return self.user_class.__name__

    def arguments(self) -> tuple[list[Any], dict[str, Any]]:
        """Return what it was given, without and with names."""
        return (
            list(self.attributes[POSITIONAL]),
            {name: value for name, value in self.attributes.items() if name != POSITIONAL},
        )


class UserStep(_Adapter, StepDecorator):
    """A user's decorator on a step: a wrapper, a mutator, or both."""

    is_repeatable = True

    @property
    def mutator(self) -> StepMutator | None:
        """What changes the step before it runs, if it does."""
        return self.user if isinstance(self.user, StepMutator) else None

    def around(self, context: StepContext, run: Callable[[], None]) -> None:
        if not isinstance(self.user, UserStepDecorator):
            run()
            return
        steps = self.user._steps(context)
        try:
            instead = next(steps)
        except StopIteration:
            raise self._misuse("has ended without `yield`", "yield {} leaves out the step's code") from None
        arguments = self._run(steps, context, run, instead)
        if context.flow._binding.transition is None:
            context.go_on(**(arguments or {}))

    def _run(
        self, steps: Generator[Any, None, Any], context: StepContext, run: Callable[[], None], instead: Any
    ) -> dict[str, Any] | None:
        """Run what is wrapped, or what takes its place, and the rest of the wrapper; return arguments for `next`."""
        arguments: dict[str, Any] | None = None
        try:
            if isinstance(instead, dict):
                arguments = instead
            elif instead is None:
                run()
            elif callable(instead):
                instead(context.flow)
            else:
                raise self._misuse(f"yields {instead!r}", "yield nothing, a function, or a dictionary")
        except Exception as error:  # noqa: BLE001 - the user's decorator decides what becomes of it
            raised = error
            return self._rest(lambda: steps.throw(raised)) or arguments
        return self._rest(lambda: next(steps)) or arguments

    def _rest(self, go_on: Callable[[], Any]) -> dict[str, Any] | None:
        try:
            go_on()
        except StopIteration as end:
            result = end.value
        else:
            raise self._misuse("yields twice", "yield once: where the step's code shall run")
        error, arguments = result if isinstance(result, tuple) and len(result) == 2 else (result, None)
        if error is not None and not isinstance(error, BaseException):
            raise self._misuse(f"returns {result!r}", "return nothing, an exception, or (exception, arguments of next)")
        if error is not None:
            raise error
        return arguments

    def _misuse(self, what: str, hint: str) -> InvalidFlow:
        file, line = _place_of(getattr(self.user_class, "_function", self.user_class))
        return InvalidFlow(f"The decorator @{self.user_name} {what}.", line, file, hint=hint)


class UserFlow(_Adapter, FlowDecorator):
    """A user's mutator on a flow."""

    is_repeatable = True

    @property
    def mutator(self) -> FlowMutator:
        """What changes the flow before it runs."""
        return cast(FlowMutator, self.user)

    def recorded(self) -> dict[str, Any]:
        return {}  # as the original


def _can_be_decorated(target: Any) -> bool:
    """Tell whether this is a step or a flow, or meant for one: else it is what a decorator is given."""
    return inspect.isroutine(target) or (inspect.isclass(target) and hasattr(target, "_steps"))


def _attributes(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    return {POSITIONAL: list(args), **kwargs} if args else kwargs


def _arguments_of(function: Callable[..., Any]) -> int | None:
    """Return how many of the four arguments a generator takes, if that is three or four."""
    signature = inspect.signature(function)
    for count in (4, 3):
        try:
            signature.bind(*range(count))
        except TypeError:
            continue
        return count
    return None


def _place_of(target: Any) -> tuple[str | None, int | None]:
    try:
        return inspect.getsourcefile(target), inspect.getsourcelines(target)[1]
    except (OSError, TypeError):
        return None, None


def step_decorator(name: str) -> type[StepDecorator]:
    """Return the decorator of steps of a name: a built-in one, or a user's.

    Parameters
    ----------
    name : str
        As for ``--with``: of one of the user's, ``module.name``, or the short name once it is defined.

    Raises
    ------
    CommandException
        There is none, its module cannot be imported, or several have this short name.
    """
    if name in registry.names("step decorator"):
        return cast("type[StepDecorator]", registry.load("step decorator", name))
    module, dot, attribute = name.rpartition(".")
    if not dot:
        found = [each for each in _KNOWN.get(name, ()) if issubclass(each, _OfStep)]
        if len(found) > 1:
            names = ", ".join(each.decorator_name for each in found)
            raise CommandException(f"Several decorators are called '{name}'.", hint=f"name its module: {names}")
        kind = found[0] if found else registry.load("step decorator", name)
        return cast("type[StepDecorator]", kind._adapter() if issubclass(kind, _OfStep) else kind)
    try:
        target = getattr(import_module(module), attribute)
    except (Exception, SystemExit) as error:
        said = f"{type(error).__name__}: {error}"
        raise CommandException(f"The decorator '{name}' cannot be imported: {said}.") from error
    if not (isinstance(target, type) and issubclass(target, _OfStep)):
        raise CommandException(
            f"'{name}' is not a decorator of steps.",
            hint="@user_step_decorator makes one, and UserStepDecorator and StepMutator are base classes of such",
        )
    return cast("type[StepDecorator]", target._adapter())
