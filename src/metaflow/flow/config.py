"""`Config`: what a flow is given before anything else of it is known, as a class attribute.

A config is a file or a text, read and parsed once when a run starts (`metaflow.app.configs`); its values may stand in
decorators and in defaults of parameters. From then on it is an artifact, a plain dictionary, and a task sees a
`ConfigValue` of it. This module declares and checks declarations; it reads nothing.

In the body of the class, a config is the `Expression` that stands for its value, so all that `Config` knows about
itself is in one hidden `Declaration`: every other attribute is a key. Start reading at `Config`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from metaflow.exception import CannotAssign, InvalidFlow
from metaflow.flow.config_expression import Configs, Expression
from metaflow.flow.config_value import frozen
from metaflow.flow.parameter_checks import FLOW_ATTRIBUTES
from metaflow.flow.parameters import declared_in, place_of_definition

if TYPE_CHECKING:
    from metaflow.flow.parameters import ParameterContext

_ARGUMENTS = ("default", "default_value", "help", "required", "parser", "plain", "schema")


class Declaration(NamedTuple):
    """A config as the user declares it; see `Config`.

    Attributes
    ----------
    attribute : str
        The class attribute.
    unknown : tuple of str
        Arguments that there are none of.
    source_file, line : str and int
        Where it stands.
    """

    name: str
    attribute: str
    default: str | Callable[[ParameterContext], str] | None
    default_value: str | Mapping[str, Any] | Callable[[ParameterContext], str | Mapping[str, Any]] | None
    help: str | None
    required: bool | None
    parser: str | Callable[[str], Any] | None
    plain: bool
    schema: Any
    unknown: tuple[str, ...]
    source_file: str
    line: int

    def load(self, stored: Any) -> Any:
        """Return what a step sees, from the artifact that was stored."""
        return stored if self.plain else frozen(stored)

    def error(self, message: str, hint: str | None = None) -> InvalidFlow:
        """Return an error that points to the declaration."""
        return InvalidFlow(message, self.line, self.source_file, hint=hint)


class Config(Expression):
    """A configuration of the flow: ``--config NAME FILE`` or ``--config-value NAME JSON``, before the command.

    It is read when a run starts, before the decorators are made, so that they can use it:
    ``@resources(cpu=config.cpu)`` in the body of the class, `config_expr` above it. In the steps, ``self.config`` is a
    `ConfigValue`.

    Parameters
    ----------
    name : str
        Name for the command line.
    default : str or callable, optional
        The file that is read if nothing else is given; or a function of a `ParameterContext` that returns it. A
        relative path starts at the current directory or, if there is no such file, at that of the flow file.
    default_value : str or dict or callable, optional
        The value if nothing else is given, as a text for the parser or as a dictionary; or a function that returns it.
    help : str, optional
        A text for ``--help``.
    required : bool, optional
        Refuse to start without a value. Means nothing if there is a default.
    parser : callable or str, optional
        Turns the text into a dictionary; JSON by default. A string is the dotted name of a function, such as
        ``"tomllib.loads"``, which is imported only where a run starts.
    plain : bool
        The value is whatever the parser returns, and steps see it as it is.
    schema : type, optional
        A dataclass or a pydantic model that the value is checked against, and filled up with its defaults.
    **kwargs
        Accepted by no config: an error points to the declaration.
    """

    __slots__ = ("_declared",)

    def __init__(
        self,
        name: str,
        default: str | Callable[[ParameterContext], str] | None = None,
        default_value: str | Mapping[str, Any] | Callable[[ParameterContext], str | Mapping[str, Any]] | None = None,
        help: str | None = None,
        required: bool | None = None,
        parser: str | Callable[[str], Any] | None = None,
        plain: bool = False,
        schema: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(str(name), self._value)
        place = place_of_definition()
        self._declared = Declaration(
            name, "", default, default_value, help, required, parser, plain, schema, tuple(kwargs), *place
        )

    def _value(self, configs: Configs) -> Any:
        return configs.values[self._declared.attribute]

    def __set_name__(self, owner: type, attribute: str) -> None:
        if not self._declared.attribute:
            self._declared = self._declared._replace(attribute=attribute)
            self._text = attribute

    def __get__(self, instance: Any, owner: object) -> Any:
        return self if instance is None else instance._parameter(self._declared, self)

    def __set__(self, instance: object, value: object) -> NoReturn:
        raise CannotAssign(
            f"self.{self._declared.attribute} is a config, the same in all steps.",
            hint="assign to an artifact of another name",
        )

    def __delete__(self, instance: object) -> NoReturn:
        raise CannotAssign(f"self.{self._declared.attribute} is a config and cannot be deleted.")


def configs_of(flow_class: type) -> dict[str, Declaration]:
    """Return the configs of a flow by attribute name: base classes first, in order of definition."""
    declared = declared_in(flow_class, Config)
    return {attribute: each._declared._replace(attribute=attribute) for attribute, each in declared.items()}


def check_configs(configs: Mapping[str, Declaration]) -> None:
    """Check the declarations of a flow's configs.

    Raises
    ------
    InvalidFlow
        At the first offence, with the user's line.
    """
    attributes: dict[str, str] = {}
    for attribute, config in configs.items():
        problem = _problem(config)
        if problem is not None:
            raise config.error(*problem)
        other = attributes.setdefault(config.name.lower(), attribute)
        if other != attribute:
            raise config.error(
                f"Two configs are called '{config.name}': the attributes '{other}' and '{attribute}'.",
                "upper and lower case make no difference",
            )


def _problem(config: Declaration) -> tuple[str, str | None] | None:
    """Return what is wrong with a declaration and what to do, if anything is."""
    name, attribute = config.name, config.attribute
    the_config = f"the config '{name}'"
    if not isinstance(name, str) or not name.replace("-", "_").isidentifier():
        return f"{name!r} cannot be the name of a config.", "a name has letters, digits, '_' and '-'"
    if attribute in FLOW_ATTRIBUTES or attribute.startswith("_"):
        return f"The attribute '{attribute}' cannot be a config.", "the option may keep this name"
    if config.unknown:
        return f"T{the_config[1:]} has an unknown argument '{config.unknown[0]}'.", f"known: {', '.join(_ARGUMENTS)}"
    if isinstance(config.default, Expression) or isinstance(config.default_value, Expression):
        return f"The default of {the_config} cannot come from another config.", None
    if config.default is not None and config.default_value is not None:
        return f"T{the_config[1:]} has both a default and a default_value.", "keep one of them"
    if not (config.default is None or isinstance(config.default, str) or callable(config.default)):
        return f"The default of {the_config} is {config.default!r}, not a path.", "default_value= takes a value"
    if not (config.parser is None or isinstance(config.parser, str) or callable(config.parser)):
        return f"The parser of {the_config} is {config.parser!r}, not a function or its dotted name.", None
    if isinstance(config.parser, str) and "." not in config.parser:
        return f"The parser of {the_config}, '{config.parser}', names no module.", "for example, 'tomllib.loads'"
    if config.schema is not None and config.plain:
        return f"T{the_config[1:]} is plain, and a schema is for dictionaries.", "leave out plain=True"
    return None
