"""The values of a flow's parameters for a run."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from difflib import get_close_matches
from typing import Any

from metaflow.app.workspace import Workspace
from metaflow.exception import CommandException, KeywordTypeMismatch, UnknownKeyword
from metaflow.flow.includefile import LocalFile, store_included
from metaflow.flow.parameter_types import quoted
from metaflow.flow.parameters import ParameterContext, check_parameters


def parameter_values(
    workspace: Workspace, given: Mapping[str, Any], log: Callable[[str], None], *, only: Container[str] | None = None
) -> dict[str, Any]:
    """Return the value of each parameter by attribute name, included files stored.

    Parameters
    ----------
    workspace : Workspace
        The flow.
    given : mapping of str to object
        By name of the parameter: a string, as on a command line, or a value of the parameter's type.
    log : callable
        Takes what functions that compute defaults have to say.
    only : container of str, optional
        Attribute names of the parameters that are wanted; all by default.

    Raises
    ------
    MetaflowException
        There is no such parameter; a value is missing or of the wrong kind, a default cannot be computed, a file
        cannot be read.
    """
    parameters, configs = workspace.plan.parameters, workspace.plan.configs
    names = [parameter.name for parameter in parameters.values()]
    for name in given:
        if name not in names:
            near = get_close_matches(name, names, n=1)
            raise CommandException(
                f"The flow {workspace.name} has no parameter '{name}'.",
                hint=f"did you mean '{near[0]}'?" if near else f"its parameters: {', '.join(names) or 'none'}",
            )
    context = ParameterContext(
        flow_name=workspace.name,
        user_name=workspace.settings.user,
        parameter_name="",
        logger=lambda *words: log(" ".join(str(word) for word in words)),
        ds_type=workspace.storage.kind,
        configs=configs.by_any_name(),
    )
    values = {}
    for attribute, parameter in parameters.items():
        if only is not None and attribute not in only:
            continue
        try:
            if parameter.name in given:
                value = parameter.resolve(given[parameter.name])
            else:
                value = parameter.default_value(context)
        except CommandException as error:
            error.hint = error.hint or f"`{workspace.invocation} run --help` describes the parameters"
            raise
        if isinstance(value, LocalFile):
            value = store_included(value, workspace.files_storage, workspace.name)
        values[attribute] = value
    return values


def parameters_by_keyword(workspace: Workspace, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a Python program gives to parameters, by their names, as `parameter_values` takes it.

    Parameters
    ----------
    workspace : Workspace
        The flow.
    given : mapping of str to object
        Values by keyword: the name of a parameter with ``_`` for ``-``. A text is a text here, and never the number or
        the JSON that it could be read as.

    Raises
    ------
    UnknownKeyword
        There is no such parameter.
    KeywordTypeMismatch
        A value is not of the parameter's type.
    """
    if not given:
        return {}
    check_parameters(workspace.parameters)
    by_key = {parameter.key: parameter for parameter in workspace.parameters.values()}
    values = {}
    for keyword, value in given.items():
        parameter = by_key.get(keyword.replace("-", "_").lower())
        if parameter is None:
            near = get_close_matches(keyword, by_key, n=1)
            known = ", ".join(by_key) or "none"
            raise UnknownKeyword(
                f"The flow {workspace.name} has no parameter '{keyword}', and `run` no option of that name.",
                hint=f"did you mean '{near[0]}'?" if near else f"its parameters: {known}",
            )
        try:
            values[parameter.name] = parameter.from_program(value)
        except ValueError:
            expected = parameter.kind.expected if parameter.kind is not None else "a value"
            many = "a list, each item " if parameter.is_many and not isinstance(value, list) else ""
            raise KeywordTypeMismatch(
                f"{keyword} is {quoted(value)}, a {type(value).__name__}; the parameter is {many}{expected}.",
                parameter.line,
                parameter.source_file,
            ) from None
    return values
