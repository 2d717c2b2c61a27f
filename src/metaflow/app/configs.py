"""The values of a flow's configs: found, read and parsed once when a run starts, and read back by its tasks.

A value comes from the command line, else from METAFLOW_FLOW_CONFIG and METAFLOW_FLOW_CONFIG_VALUE, else from the
declaration. A text goes through the parser, JSON by default; the result is checked against
the schema, if there is one. Whatever is wrong is one error that names config, file, line, column and key.

Start reading at `read_configs`; tasks and resumed runs begin at `stored_configs`.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, NamedTuple

from metaflow.app.config_places import place_in_json, place_of_error
from metaflow.app.config_schema import SchemaMismatch, conform, is_schema
from metaflow.exception import CommandException, InvalidConfig
from metaflow.flow.config import Declaration, check_configs
from metaflow.flow.config_expression import NO_CONFIGS, Configs
from metaflow.flow.config_value import frozen
from metaflow.flow.parameters import ParameterContext


class Source(NamedTuple):
    """Where the value of a config comes from.

    Attributes
    ----------
    content : str or mapping
        A text for the parser, or the value itself.
    origin : str
        For people: ``config.json (--config)``.
    file : str or None
        The file that the text was read from.
    """

    content: str | Mapping[Any, Any]
    origin: str
    file: str | None = None


class Given(NamedTuple):
    """What is given from outside of the flow, by name of the config; what comes later in a list takes precedence.

    Attributes
    ----------
    origin : str
        For people: ``--config``.
    files : mapping of str to object
        Paths.
    values : mapping of str to object
        Texts for the parser, or dictionaries.
    """

    origin: str
    files: Mapping[str, Any] = {}
    values: Mapping[str, Any] = {}


class LoadedConfigs(NamedTuple):
    """Configs of a flow, and where each comes from.

    Attributes
    ----------
    configs : Configs
        For the plan.
    origins : dict of str to str
        By attribute, for people.
    """

    configs: Configs = NO_CONFIGS
    origins: Mapping[str, str] = {}

    def __or__(self, other: LoadedConfigs) -> LoadedConfigs:
        """Return these and others."""
        configs = Configs(
            {**self.configs.values, **other.configs.values}, {**self.configs.names, **other.configs.names}
        )
        return LoadedConfigs(configs, {**self.origins, **other.origins})


def read_configs(
    declared: Mapping[str, Declaration], given: Sequence[Given], context: ParameterContext, directory: str
) -> LoadedConfigs:
    """Read and parse all configs of a flow.

    Parameters
    ----------
    declared : mapping of str to Declaration
        By attribute.
    given : sequence of Given
        From settings and the command line.
    context : ParameterContext
        For defaults that are functions.
    directory : str
        Of the flow file.

    Raises
    ------
    InvalidConfig
        A config is missing, cannot be read or parsed, or does not fit its schema.
    InvalidFlow
        A declaration cannot be.
    CommandException
        There is no config of a name that was given, or one is given both as a file and as a value.
    """
    check_configs(declared)
    for config in declared.values():
        if config.schema is not None and not is_schema(config.schema):
            raise config.error(f"The schema of the config '{config.name}' is no dataclass and no pydantic model.")
    sources = _sources(declared, given)
    loaded: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for attribute, config in declared.items():
        source = sources.get(config.name.lower()) or _default(config, context, directory)
        if source is None:
            if config.required:
                raise InvalidConfig(
                    f"The config '{config.name}' is required, and nothing gives it a value.",
                    hint=f"add --config {config.name} FILE or --config-value {config.name} JSON before the command",
                )
            loaded[attribute], origins[attribute] = None, "not given"
            continue
        loaded[attribute] = _parsed(config, source)
        origins[attribute] = source.origin
    return LoadedConfigs(Configs(loaded, names_of(declared)), origins)


def stored_configs(declared: Mapping[str, Declaration], stored: Mapping[str, Any], run: str) -> LoadedConfigs:
    """Return the configs that a run has stored.

    Parameters
    ----------
    declared : mapping of str to Declaration
        By attribute.
    stored : mapping of str to object
        The artifacts of the run's parameters; those of configs that were added since are not there.
    run : str
        Its id.
    """
    there = {attribute: config for attribute, config in declared.items() if attribute in stored}
    values = {attribute: config.load(stored[attribute]) for attribute, config in there.items()}
    return LoadedConfigs(Configs(values, names_of(there)), dict.fromkeys(there, f"run {run}"))


def names_of(declared: Mapping[str, Declaration]) -> dict[str, str]:
    """Return the name of each config and its attribute."""
    return {config.name: attribute for attribute, config in declared.items()}


def _sources(declared: Mapping[str, Declaration], given: Sequence[Given]) -> dict[str, Source]:
    """Return what is given from outside, by the name of the config in lower case."""
    known = {config.name.lower(): config.name for config in declared.values()}
    files: dict[str, tuple[Any, str]] = {}
    values: dict[str, tuple[Any, str]] = {}
    for source in given:
        for found, contents in ((files, source.files), (values, source.values)):
            for name, content in contents.items():
                if name.lower() not in known:
                    raise _no_such_config(name, source.origin, list(known.values()))
                found[name.lower()] = (content, source.origin)
    for name in files.keys() & values.keys():
        raise CommandException(
            f"The config '{known[name]}' is given twice: as a file by {files[name][1]}, and as a value by "
            f"{values[name][1]}.",
            hint="give one of them",
        )
    texts = {name: _read_file(known[name], path, origin) for name, (path, origin) in files.items()}
    return {**texts, **{name: _value(known[name], *value) for name, value in values.items()}}


def _value(config: str, content: Any, origin: str) -> Source:
    if not isinstance(content, (str, Mapping)):
        raise InvalidConfig(f"The config '{config}' is given {content!r} by {origin}, not a text or a dictionary.")
    return Source(content, origin)


def _no_such_config(name: str, origin: str, known: list[str]) -> CommandException:
    near = difflib.get_close_matches(name, known, n=1)
    return CommandException(
        f"{origin} {name}: the flow has no such config.",
        hint=f"did you mean '{near[0]}'?" if near else f"its configs: {', '.join(known) or 'none'}",
    )


def _read_file(config: str, path: Any, origin: str, directory: str | None = None) -> Source:
    if not isinstance(path, str):
        raise InvalidConfig(f"The config '{config}' is given the file {path!r} by {origin}, which is no path.")
    beside = os.path.join(directory, path) if directory is not None else path
    used = path if os.path.exists(path) or not os.path.exists(beside) else beside
    try:
        with open(used, encoding="utf-8-sig") as file:
            return Source(file.read(), f"{used} ({origin})", used)
    except OSError as error:
        hint = None
        if isinstance(error, FileNotFoundError) and not os.path.isabs(path):
            where = os.getcwd() if directory is None else f"{os.getcwd()} or {directory}"
            hint = f"looked for in {where}"
        reason = error.strerror or str(error)
        raise InvalidConfig(
            f"The config '{config}' cannot be read from {path} ({origin}): {reason}.", hint=hint
        ) from None
    except ValueError as error:
        raise InvalidConfig(f"The config '{config}' cannot be read from {path} ({origin}): {error}.") from None


def _default(config: Declaration, context: ParameterContext, directory: str) -> Source | None:
    context = context._replace(parameter_name=config.name)
    if config.default is not None:
        path = _called(config, "default", context) if callable(config.default) else config.default
        return _read_file(config.name, path, "its default", directory)
    if config.default_value is not None:
        value = _called(config, "default_value", context) if callable(config.default_value) else config.default_value
        if not isinstance(value, (str, Mapping)):
            raise config.error(
                f"The default_value of the config '{config.name}' is a {type(value).__name__}, not a text or a "
                "dictionary."
            )
        return Source(value, "its default_value")
    return None


def _called(config: Declaration, field: str, context: ParameterContext) -> Any:
    try:
        return getattr(config, field)(context)
    except (Exception, SystemExit) as error:
        said = f"{type(error).__name__}: {error}"
        raise config.error(
            f"The function that gives the {field} of the config '{config.name}' failed: {said}."
        ) from error


def _parsed(config: Declaration, source: Source) -> Any:
    """Return the value that a step sees."""
    value: Any = source.content
    if isinstance(value, Mapping) and (config.parser is not None or config.plain):
        value = json.dumps(value)  # parsers take texts
    if isinstance(value, str) and (config.parser is not None or not config.plain):
        value = _parse(config, source, value)
    if config.plain or value is None:
        return value
    if not isinstance(value, Mapping):
        hint = "plain=True takes what the parser returns as it is" if config.parser is not None else None
        raise _invalid(config, source, f"is a {type(value).__name__}, not a dictionary", hint=hint)
    return frozen(value if config.schema is None else _conforming(config, source, value))


def _conforming(config: Declaration, source: Source, value: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        return conform(value, config.schema)
    except SchemaMismatch as mismatch:
        place = place_in_json(source.content, mismatch.path) if isinstance(source.content, str) else None
        key = ".".join(str(part) for part in mismatch.path)
        raise _invalid(
            config, source, f"does not fit its schema: {key}: {mismatch}" if key else str(mismatch), place
        ) from None


def _parse(config: Declaration, source: Source, text: str) -> Any:
    parser = _parser(config)
    try:
        return parser(text)
    except (Exception, SystemExit) as error:
        reason = str(error).strip() or "no reason given"
        if config.parser is None:
            said = f"is not JSON: {getattr(error, 'msg', reason)}"
        else:
            said = f"is refused by its parser: {type(error).__name__}: {reason}"
        raise _invalid(config, source, said, place_of_error(error)) from error


def _parser(config: Declaration) -> Callable[[str], Any]:
    if config.parser is None:
        return json.loads
    if not isinstance(config.parser, str):
        return config.parser
    module, _, function = config.parser.rpartition(".")
    try:
        found = getattr(import_module(module), function)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - importing runs the user's code
        reason = str(error) or type(error).__name__
        raise config.error(
            f"The parser '{config.parser}' of the config '{config.name}' is not there: {reason}."
        ) from None
    if not callable(found):
        raise config.error(f"The parser '{config.parser}' of the config '{config.name}' is no function.")
    return found  # type: ignore[no-any-return]


def _invalid(
    config: Declaration, source: Source, said: str, place: tuple[int, int] | None = None, hint: str | None = None
) -> InvalidConfig:
    line, column = place or (None, None)
    at = f" at line {line}, column {column}" if place is not None and source.file is None else ""
    at = f" at column {column}" if place is not None and source.file is not None else at
    message = f"The config '{config.name}' ({source.origin}) {said}{at}."
    return InvalidConfig(message, line, source.file, hint=hint)
