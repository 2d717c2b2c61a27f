"""The values of a flow's parameters for a run."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from difflib import get_close_matches
from typing import Any

from metaflow.app.workspace import Workspace
from metaflow.exception import CommandException
from metaflow.flow.includefile import LocalFile, store_included
from metaflow.flow.parameters import ParameterContext


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
