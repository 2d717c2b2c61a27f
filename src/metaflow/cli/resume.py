"""``resume``: a new run that goes on from what an earlier one had finished."""

from __future__ import annotations

from typing import Any

import click
from click.core import ParameterSource

from metaflow.app.options import ResumeOptions, RunOptions
from metaflow.app.run import resume as resume_flow
from metaflow.cli.option_parser import options_of, values_of
from metaflow.cli.parameters import parameter_options
from metaflow.cli.run import callbacks, conclude, greet
from metaflow.cli.session import Session
from metaflow.exception import CommandException
from metaflow.flow.parameters import parameters_of


def resume(session: Session) -> click.Command:
    """Make the command; it knows the options of the flow's parameters, only to say that they are not accepted."""
    return click.Command(
        "resume",
        callback=_resume,
        help="Resume an earlier run: finished tasks are reused, the others run. "
        "Parameters are those of the earlier run.",
        params=[
            click.Argument(["step_to_rerun"], required=False),
            *options_of(ResumeOptions),
            *options_of(RunOptions),
            *(_refused(option) for option in parameter_options(parameters_of(session.workspace.flow_class))),
        ],
    )


@click.pass_obj
def _resume(session: Session, /, step_to_rerun: str | None, **read: Any) -> None:
    options = values_of(RunOptions, read)
    greet(session, "resumes")
    finished = resume_flow(
        session.workspace,
        values_of(ResumeOptions, read).origin_run_id,
        step_to_rerun,
        options,
        callbacks(session),
        zygote=session.zygote,
        handle_signals=True,
    )
    conclude(session, finished)


def _refused(option: click.Option) -> click.Option:
    option.hidden = True
    option.expose_value = False
    option.envvar = None
    option.allow_from_autoenv = False
    option.callback = _refuse
    return option


def _refuse(context: click.Context, option: click.Parameter, value: Any) -> None:
    if context.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE:
        raise CommandException(
            f"{option.opts[0]} cannot be given to resume: its parameters are those of the run that it resumes.",
            hint=f"`{context.obj.workspace.invocation} run` starts a run with other values",
        )
