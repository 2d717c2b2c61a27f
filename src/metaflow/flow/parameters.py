"""Parameters: what a run can be given from outside, as class attributes of a flow.

Declares and converts; reads neither the command line nor the environment, and knows no option parser: `option` says
what one has to offer, `resolve` turns what it found into the value. Mistakes in a declaration are not raised while the
user's class body runs but by `check_parameters`, so that they come as one sentence with the user's file and line.
Start reading at `Parameter`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Self, TypedDict, TypeVar

from metaflow.exception import (
    CannotAssign,
    CommandException,
    InvalidFlow,
    ParameterFieldFailed,
    ParameterFieldTypeMismatch,
    text_of,
)
from metaflow.flow.config_expression import Configs, evaluate, has_expression
from metaflow.flow.parameter_types import JSONType, JSONTypeClass, kind_of, quoted

__all__ = [
    "JSONType", "JSONTypeClass", "Option", "Parameter", "ParameterContext", "check_parameters", "parameters_of",
]  # fmt: skip


Declared = TypeVar("Declared")

_OTHER_NAME = "assign to an artifact of another name"


class ParameterContext(NamedTuple):
    """What a function given as a default may look at.

    Attributes
    ----------
    flow_name : str
        Name of the flow.
    user_name : str
        Who starts the run or deployment.
    parameter_name : str
        Name of the parameter that needs the value.
    logger : callable
        Prints a line.
    ds_type : str
        Kind of the datastore, such as ``local``.
    configs : mapping
        The flow's configs.
    """

    flow_name: str
    user_name: str
    parameter_name: str
    logger: Callable[..., None]
    ds_type: str
    configs: Any


class Option(TypedDict):
    """The command-line option of a parameter.

    Attributes
    ----------
    flag : str
        ``--<name>``.
    destination : str
        A name under which no other option stores its value.
    metavar : str
        Placeholder of the value.
    help : str
        The user's text, or empty.
    required : bool
        There is no default and the parameter is required.
    default_text : str or None
        The default as help shows it; None shows nothing.
    multiple : bool
        It may be given many times.
    is_flag : bool
        It takes no value.
    nargs : int
        How many values follow it.
    hidden : bool
        Help leaves it out.
    envvar : list of str
        Environment variables that stand in for it.
    """

    flag: str
    destination: str
    metavar: str
    help: str
    required: bool
    default_text: str | None
    multiple: bool
    is_flag: bool
    nargs: int
    hidden: bool
    envvar: list[str]


class Parameter:
    """A value that a run is given when it starts: ``--<name> VALUE`` of ``run``.

    In the steps it is a read-only artifact with the name of the class attribute.

    Parameters
    ----------
    name : str
        Name of the option; may contain dashes.
    default : optional
        Value of runs that are not given one; or a function of a `ParameterContext` that returns it, called once when
        a run starts.
    type : type, optional
        ``str``, ``int``, ``float``, ``bool`` or `JSONType`; that of the default, else ``str``, if not given. Any other
        callable of one text, and click's types, work too.
    help : str or callable, optional
        A text for ``run --help``; of a function that is its docstring.
    required : bool, optional
        Refuse to start a run without a value. Means nothing if there is a default.
    show_default : bool or str, optional
        Whether ``run --help`` shows the default, or what it shows instead; True if not given.
    **kwargs
        ``is_flag=True`` makes an option without value (``flag_value`` is what it stands for); ``multiple=True`` one
        that may be repeated and ``nargs=n`` one with n values, which both give a tuple; ``separator=","`` splits a
        text into a list; ``metavar``, ``hidden`` and ``envvar`` are as in click.
    """

    arguments = frozenset(("envvar", "flag_value", "hidden", "is_flag", "metavar", "multiple", "nargs", "separator"))
    """What `kwargs` may hold."""

    _declared_with: tuple[tuple[Any, ...], dict[str, Any]]
    """The arguments as the user gave them."""

    def __new__(cls, *arguments: Any, **keywords: Any) -> Self:
        parameter = super().__new__(cls)
        parameter._declared_with = (arguments, keywords)
        return parameter

    def __init__(
        self,
        name: str,
        default: Any = None,
        type: Any = None,
        help: str | Callable[..., str] | None = None,
        required: bool | None = None,
        show_default: bool | str | None = None,
        **kwargs: Any,
    ) -> None:
        self.name = name
        self.default = default
        self.type = type
        self.help = help
        self.required = required
        self.show_default = show_default
        self.kwargs = kwargs
        self.separator: str | None = kwargs.get("separator")
        self.is_flag = bool(kwargs.get("is_flag"))
        self.multiple = bool(kwargs.get("multiple"))
        self.nargs: int = kwargs.get("nargs") or 1
        many = self.is_many and isinstance(default, (list, tuple)) and default
        self.kind = kind_of(type, default[0] if many else default)
        self.source_file, self.line = place_of_definition()
        self.attribute = ""

    def __set_name__(self, owner: type, attribute: str) -> None:
        self.attribute = attribute

    def __get__(self, instance: Any, owner: object) -> Any:
        return self if instance is None else instance._parameter(self, self)

    def __set__(self, instance: object, value: object) -> None:
        raise CannotAssign(f"self.{self.attribute} is a parameter, the same in all steps.", hint=_OTHER_NAME)

    def __delete__(self, instance: object) -> None:
        raise CannotAssign(f"self.{self.attribute} is a parameter and cannot be deleted.")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    @property
    def flag(self) -> str:
        """The option: ``--<name>``."""
        return f"--{self.name}"

    @property
    def key(self) -> str:
        """The name without what makes no difference between two parameters: case, and ``-`` or ``_``."""
        return self.name.replace("-", "_").lower()

    def problem(self) -> str | None:
        """Return what is wrong with the declaration, beyond what is the same for all parameters."""
        return None

    def with_configs(self, configs: Configs) -> Parameter:
        """Return the parameter with the parts of configs in its declaration replaced by their values.

        Raises
        ------
        metaflow.exception.InvalidFlow
            One of them has no value.
        """
        if not has_expression(self._declared_with):
            return self
        arguments, keywords = evaluate(self._declared_with, configs, (self.source_file, self.line))
        known = type(self)(*arguments, **keywords)
        known.source_file, known.line, known.attribute = self.source_file, self.line, self.attribute
        return known

    def parse(self, text: str) -> Any:
        """Convert one text of the command line.

        Raises
        ------
        metaflow.exception.CommandException
            The text is not a value of this parameter's type.
        """
        assert self.kind is not None
        try:
            value = self.kind.convert(text)
        except ValueError as error:
            reason = f": {error}" if str(error) else ""
            raise CommandException(f"{self.flag}: {quoted(text)} is not {self.kind.expected}{reason}.") from error
        return self._split(value)

    @property
    def flag_value(self) -> Any:
        """What the option of a flag stands for when it is there."""
        return self.kwargs.get("flag_value", callable(self.default) or not self.default)

    def resolve(self, given: Any) -> Any:
        """Return the value for a run that is given one.

        Parameters
        ----------
        given : object
            A string, as on the command line, or a value of the parameter's type; a sequence of them if the option can
            be repeated.

        Raises
        ------
        metaflow.exception.CommandException
            As in `parse`.
        """
        if self.is_many and isinstance(given, (tuple, list)):
            return tuple(self._resolve_one(each) for each in given)
        return self._resolve_one(given)

    @property
    def is_many(self) -> bool:
        """Whether its value is a sequence of what its type says."""
        return self.multiple or self.nargs != 1

    def from_program(self, value: Any) -> Any:
        """Return the value that a Python program gives, checked, in a form for `resolve`.

        Raises
        ------
        ValueError
            It is not of the parameter's type.
        """
        assert self.kind is not None
        if self.is_many:
            if not isinstance(value, (tuple, list)):
                raise ValueError
            return [self.kind.from_program(each) for each in value]
        if self.is_flag and value is True and self.kind.metavar != "BOOLEAN":
            return self.flag_value
        return self.kind.from_program(value)

    def _resolve_one(self, given: Any) -> Any:
        if isinstance(given, str) and not self.is_flag:
            return self.parse(given)
        assert self.kind is not None
        try:
            value = self.kind.adopt(given)
            if not (self.is_flag or self.kind.accepts(given) or value == given):
                raise ValueError
            return value
        except ValueError as error:
            reason = f": {error}" if str(error) else ""
            raise CommandException(
                f"Parameter '{self.name}': {quoted(given)} is not {self.kind.expected}{reason}."
            ) from error

    def default_value(self, context: ParameterContext) -> Any:
        """Return the default for a run; a function is called each time.

        Parameters
        ----------
        context : ParameterContext
            For a default that is a function; `parameter_name` is filled in here.

        Raises
        ------
        metaflow.exception.CommandException
            The parameter is required and has no default.
        metaflow.exception.InvalidFlow
            The default is not a value of the parameter's type.
        metaflow.exception.ParameterFieldFailed
            The function raised.
        metaflow.exception.ParameterFieldTypeMismatch
            The function returned something of another type.
        """
        default = self._call_default(context) if callable(self.default) else self.default
        return self._absent() if default is None else self._adopt_all(default)

    def load(self, stored: Any) -> Any:
        """Return what a step sees, from the artifact that was stored."""
        return stored

    def option(self) -> Option:
        """Describe the command-line option.

        METAFLOW_RUN_<NAME>, in upper case and with ``_`` for ``-``, stands in for an option that is not given.
        """
        assert self.kind is not None
        own = self.kwargs.get("envvar") or []
        return Option(
            flag=self.flag,
            destination=f"parameter_{self.key}",
            metavar=self.kwargs.get("metavar") or self.kind.metavar,
            help=self.help if isinstance(self.help, str) else (getattr(self.help, "__doc__", None) or "").strip(),
            required=bool(self.required) and self.default is None,
            default_text=self._default_text(),
            multiple=self.multiple,
            is_flag=self.is_flag,
            nargs=self.nargs,
            hidden=bool(self.kwargs.get("hidden")),
            envvar=[*([own] if isinstance(own, str) else own), f"METAFLOW_RUN_{self.key.upper()}"],
        )

    def _absent(self) -> Any:
        if self.required:
            raise CommandException(
                f"The option {self.flag} is missing: the parameter '{self.name}' is required and has no default.",
                hint=f"add {self.flag} {self.option()['metavar']}",
            )
        if self.multiple:
            return ()
        return False if self.is_flag and self.type is bool else None

    def _adopt_all(self, default: Any) -> Any:
        if self.is_many:
            values = default if isinstance(default, (list, tuple)) else [default]
            return tuple(self._adopt(value) for value in values)
        return self._split(self._adopt(default))

    def _adopt(self, default: Any) -> Any:
        assert self.kind is not None
        try:
            return self.kind.adopt(default)
        except ValueError as error:
            reason = f": {error}" if str(error) else ""
            raise InvalidFlow(
                f"The default of parameter '{self.name}', {quoted(default)}, is not {self.kind.expected}{reason}.",
                self.line,
                self.source_file,
                hint="give it a default of its type, or the type of its default",
            ) from error

    def _split(self, value: Any) -> Any:
        return value.split(self.separator) if self.separator and value and isinstance(value, str) else value

    def _call_default(self, context: ParameterContext) -> Any:
        assert self.kind is not None
        try:
            value = self.default(context._replace(parameter_name=self.name))
        except (Exception, SystemExit) as error:
            place = place_of_failure(error, self.default)
            source_file, line = place or (self.source_file, self.line)
            raise ParameterFieldFailed(
                f"The function that gives the default of parameter '{self.name}' raised "
                f"{type(error).__name__}: {text_of(error)}",
                line,
                source_file,
                hint=None if place else "it is called with one argument, a ParameterContext",
            ) from error
        many = self.multiple and isinstance(value, (list, tuple))
        if not all(map(self.kind.accepts, value if many else [value])):
            guess = type(value).__name__
            raise ParameterFieldTypeMismatch(
                f"The function that gives the default of parameter '{self.name}' returned {quoted(value)}, "
                f"which is not {self.kind.expected}.",
                self.line,
                self.source_file,
                hint=f"add type={guess} to the parameter"
                if self.type is None and type(value) in (int, float, bool, list, dict)
                else None,
            )
        return value

    def _default_text(self) -> str | None:
        if self.show_default is False or self.default is None:
            return self.show_default if isinstance(self.show_default, str) else None
        if isinstance(self.show_default, str):
            return self.show_default
        if callable(self.default) or has_expression(self.default):
            return "computed when a run starts"
        if isinstance(self.default, (list, tuple, dict)) and self.kind and self.kind.metavar == "JSON":
            import json

            return json.dumps(self.default)
        return str(self.default)


def parameters_of(flow_class: type) -> dict[str, Parameter]:
    """Return the parameters of a flow; see `declared_in`."""
    return declared_in(flow_class, Parameter)


def declared_in(flow_class: type, kind: type[Declared]) -> dict[str, Declared]:
    """Return what a flow's classes declare of a kind, by attribute: base classes first, in order of definition.

    An attribute that a subclass sets to something else is none of the subclass.
    """
    found: dict[str, Declared] = {}
    for cls in reversed(flow_class.__mro__):
        for attribute, value in vars(cls).items():
            if isinstance(value, kind):
                found[attribute] = value
            elif found:
                found.pop(attribute, None)
    return found


def check_parameters(parameters: Mapping[str, Parameter]) -> None:
    """Check every parameter of a flow, and that no two have the same name.

    Raises
    ------
    metaflow.exception.InvalidFlow
        At the first offence, with the place of the declaration.
    """
    if parameters:
        from metaflow.flow import parameter_checks  # tasks never need it

        parameter_checks.check(parameters)


def place_of_definition() -> tuple[str, int]:
    frame = sys._getframe(2)
    while frame.f_globals.get("__package__") == __package__ and frame.f_back:
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


def place_of_failure(error: BaseException, function: Any) -> tuple[str, int] | None:
    """Return file and line in the user's code: the deepest in the function's own file, else the deepest of all."""
    code = getattr(function, "__code__", None)
    places: list[tuple[str, int] | None] = []
    traceback = error.__traceback__
    while traceback is not None:
        places.append((traceback.tb_frame.f_code.co_filename, traceback.tb_lineno))
        traceback = traceback.tb_next
    places = places[1:]  # the first is our own call
    own = [place for place in places if code and place and place[0] == code.co_filename]
    return (own or places or [None])[-1]
