"""``resume``: a new run that goes on from what an earlier one had finished."""

from __future__ import annotations

from typing import Any

import click

from metaflow.app.options import ResumeOptions, RunOptions
from metaflow.app.run import resume as resume_flow
from metaflow.cli.option_parser import options_of, values_of
from metaflow.cli.parameters import refused_parameters
from metaflow.cli.run import callbacks, conclude, greet
from metaflow.cli.session import Session


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
            *refused_parameters(
                session.workspace,
                "cannot be given to resume: its parameters are those of the run that it resumes.",
                f"`{session.workspace.invocation} run` starts a run with other values",
            ),
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
