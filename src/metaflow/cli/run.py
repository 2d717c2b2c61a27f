"""``run``: run the flow, and tell how it goes and how it ended."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

import click

from metaflow.app.options import RunOptions
from metaflow.app.parameters import parameters_by_keyword
from metaflow.app.run import FinishedRun, RunCallbacks
from metaflow.app.run import run as run_flow
from metaflow.cli.option_parser import options_of, values_of
from metaflow.cli.parameters import configured_parameters, given_parameters, parameter_options
from metaflow.cli.session import Session
from metaflow.exception import MetaflowException, RunFailed, RunInterrupted, TaskFailed
from metaflow.runtime.console import Console, PlainConsole
from metaflow.runtime.events import Finish
from metaflow.runtime.run_status import culprit_line
from metaflow.version import MILLRACE


def run(session: Session) -> click.Command:
    """Make the command, with an option for each parameter of the flow."""
    return click.Command(
        "run",
        callback=_run,
        help="Run the flow: on this machine, or where the decorators of its steps send them.",
        params=[*parameter_options(configured_parameters(session.workspace)), *options_of(RunOptions)],
    )


@click.pass_obj
def _run(session: Session, /, **read: Any) -> None:
    options = values_of(RunOptions, read)
    greet(session, "runs")
    workspace, by_program = session.workspace, session.driver.parameters
    finished = run_flow(
        workspace,
        {**given_parameters(workspace, read), **parameters_by_keyword(workspace, by_program)},
        options,
        callbacks(session),
        zygote=session.zygote,
        handle_signals=True,
    )
    conclude(session, finished)


def greet(session: Session, verb: str) -> None:
    """Say what is about to happen."""
    workspace = session.workspace
    session.say(f"Millrace {MILLRACE} {verb} {workspace.name} for {workspace.settings.user}.")


def callbacks(session: Session) -> RunCallbacks:
    """Return callbacks that print."""
    return RunCallbacks(
        remark=session.say,
        warning=session.warn,
        started=session.driver.tell_started,
        console=lambda loop: _console(session, loop),
    )


def conclude(session: Session, finished: FinishedRun) -> None:
    """Raise, with what a person should know, if the run was not successful.

    Raises
    ------
    RunFailed
        A task failed.
    RunInterrupted
        A signal ended the run.
    """
    if not finished.ok:
        raise _failure(session, finished)


def _failure(session: Session, finished: FinishedRun) -> MetaflowException:
    resume = session.driver.resume_call or f"{session.workspace.invocation} resume --origin-run-id {{}}"
    lines = [
        *reason_lines(finished.finish, finished.cause),
        f"    Finished tasks are kept. To resume: {resume.replace('{}', finished.id)}",
    ]
    if finished.signal is not None:
        return RunInterrupted("\n".join(lines), finished.signal)
    culprit = culprit_line(finished.status.failure) if finished.status.failure is not None else None
    if culprit is not None:
        lines += ["    Step failure:", f"    {culprit}"]
    return RunFailed("\n".join(lines))


def reason_lines(finish: Finish, cause: TaskFailed | None) -> list[str]:
    """Say why a task failed: what happened, where, hint."""
    return [
        f"    {finish.reason}",
        *([f"    {cause.values['where']}"] if cause is not None and "where" in cause.values else []),
        *([f"    hint: {cause.hint}"] if cause is not None and cause.hint else []),
    ]


def _console(session: Session, loop: asyncio.AbstractEventLoop) -> Console:
    if sys.stdout.isatty() and not session.workspace.options.quiet and os.environ.get("TERM", "dumb") != "dumb":
        from metaflow.runtime.live import LiveConsole  # rich, which takes its time

        return LiveConsole(sys.stdout, loop.call_soon, loop.call_later)
    return PlainConsole(sys.stdout, loop.call_soon)
