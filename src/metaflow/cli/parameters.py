"""The parameters of a flow on the command line of `run`: one option each, and the values for a run."""

from __future__ import annotations

from typing import Any

import click

from metaflow.cli.session import Session
from metaflow.exception import CommandException
from metaflow.flow.includefile import LocalFile, store_included
from metaflow.flow.parameters import ParameterContext, check_parameters, parameters_of


def parameter_options(session: Session) -> list[click.Option]:
    """Return an option for each parameter, in order of definition."""
    parameters = parameters_of(session.flow_class)
    check_parameters(parameters)
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


def parameter_values(session: Session, options: dict[str, Any]) -> dict[str, Any]:
    """Return the value of each parameter by attribute name, included files stored.

    Raises
    ------
    MetaflowException
        A value is missing or of the wrong kind, a default cannot be computed, a file cannot be read.
    """
    context = ParameterContext(
        flow_name=session.flow_name,
        user_name=session.settings.user,
        parameter_name="",
        logger=lambda *words: session.say(" ".join(str(word) for word in words), always=True),
        ds_type=session.storage.kind,
        configs={},
    )
    values = {}
    for attribute, parameter in session.plan.parameters.items():
        try:
            value = parameter.resolve(options[parameter.option()["destination"]], context)
        except CommandException as error:
            error.hint = error.hint or f"`python {session.script} run --help` describes the parameters"
            raise
        if isinstance(value, LocalFile):
            value = store_included(value, session.files_storage, session.flow_name)
        values[attribute] = value
    return values
