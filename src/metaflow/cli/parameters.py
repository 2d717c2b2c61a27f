"""The parameters of a flow on the command line of `run`: one option each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from metaflow.app.workspace import Workspace
from metaflow.flow.parameters import Parameter, check_parameters


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
