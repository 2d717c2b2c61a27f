"""The parameters of a flow on the command line: one option each of `run`; other commands say that they take none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click
from click.core import ParameterSource

from metaflow.app.workspace import Workspace
from metaflow.exception import CommandException
from metaflow.flow.parameters import Parameter, check_parameters, parameters_of


def parameter_options(parameters: Mapping[str, Parameter]) -> list[click.Option]:
    """Return an option for each parameter, in order of definition."""
    options = []
    for parameter in parameters.values():
        described = parameter.option()
        text = described["help"]
        if described["default_text"] is not None:
            text = f"{text}  [default: {described['default_text']}]".strip()
        options.append(
            click.Option(
                [described["flag"], described["destination"]],
                type=None if described["is_flag"] else click.UNPROCESSED,
                metavar=None if described["is_flag"] else described["metavar"],
                help=text + ("  [required]" if described["required"] else ""),
                multiple=described["multiple"],
                is_flag=described["is_flag"] or None,  # False would make its value optional
                nargs=described["nargs"],
                hidden=described["hidden"],
                envvar=described["envvar"],
            )
        )
    return options


def refused_parameters(workspace: Workspace, why: str, hint: str) -> list[click.Option]:
    """Return an option for each parameter that is known only to be refused.

    Parameters
    ----------
    workspace : Workspace
        Whose parameters.
    why : str
        The rest of the sentence that begins with the option.
    hint : str
        What to do instead.
    """

    def refuse(context: click.Context, option: click.Parameter, value: Any) -> None:
        if context.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE:
            raise CommandException(f"{option.opts[0]} {why}", hint=hint)

    options = parameter_options(parameters_of(workspace.flow_class))
    for option in options:
        option.hidden, option.expose_value, option.callback = True, False, refuse
        option.envvar, option.allow_from_autoenv = None, False
    return options


def given_parameters(workspace: Workspace, read: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the command line gives to parameters, by their names, from the dictionary that click has read."""
    given = {}
    for parameter in configured_parameters(workspace).values():
        value = read[parameter.option()["destination"]]
        if value is not None and value is not False and value != ():
            given[parameter.name] = parameter.flag_value if parameter.is_flag else value
    return given


def configured_parameters(workspace: Workspace) -> dict[str, Parameter]:
    """Return the parameters by attribute name, with what they take from configs, and those of mutators.

    Raises
    ------
    MetaflowException
        A config cannot be read, or a parameter cannot be as it is declared.
    """
    parameters = workspace.parameters
    check_parameters(parameters)
    return parameters
