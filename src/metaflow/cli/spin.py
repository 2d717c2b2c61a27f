"""``spin``: run one step with the inputs that it had in an earlier run, and tell how it went."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from metaflow.app.options import SpinOptions
from metaflow.app.run import RunCallbacks
from metaflow.app.spin import spin as spin_task
from metaflow.cli.option_parser import options_of, values_of
from metaflow.cli.parameters import refused_parameters
from metaflow.cli.run import greet, reason_lines
from metaflow.cli.session import Session
from metaflow.exception import RunFailed, RunInterrupted
from metaflow.runtime.console import PlainConsole
from metaflow.settings.table import SPIN_PERSIST


def spin(session: Session) -> click.Command:
    """Make the command."""
    options = options_of(SpinOptions)
    (persist,) = (option for option in options if option.name == "persist")
    persist.default = session.workspace.settings.values[SPIN_PERSIST]
    return click.Command(
        "spin",
        callback=_spin,
        help="Run one step on this machine with the inputs that it had in an earlier run, by default your newest one. "
        "That run stays as it is, and nothing is kept of this one without --persist. STEP may also be RUN/STEP or "
        "RUN/STEP/TASK.",
        params=[
            click.Argument(["pathspec"], metavar="STEP"),
            *options,
            *refused_parameters(
                session.workspace,
                "cannot be given to spin: its parameters are those of the past run.",
                "--artifacts-module FILE gives other values: ARTIFACTS = {'NAME': …}",
            ),
        ],
    )


@click.pass_obj
def _spin(session: Session, /, pathspec: str, **read: Any) -> None:
    greet(session, "spins")
    callbacks = RunCallbacks(
        remark=session.say,
        warning=session.warn,
        started=session.driver.tell_started,
        console=lambda loop: PlainConsole(sys.stdout, loop.call_soon),
    )
    finished = spin_task(
        session.workspace,
        pathspec,
        values_of(SpinOptions, read),
        callbacks,
        zygote=session.zygote,
        handle_signals=True,
    )
    if finished.root is not None:
        directory = os.path.relpath(os.path.dirname(finished.root))
        session.say(f"Results: inspect_spin('{directory}'), then Task('{finished.pathspec}').")
    if not finished.ok:
        text = "\n".join(reason_lines(finished.finish, finished.cause))
        raise RunInterrupted(text, finished.signal) if finished.signal is not None else RunFailed(text)
