"""``step``: run one task. The engine writes this command line (`metaflow.compute.command`); a person may repeat it.

As the engine writes it, it does not come here: `metaflow.cli.main` reads it without click, which a task then does not
even import. Anything else goes through this command, which has the same options.
"""

from __future__ import annotations

from typing import Any

import click

from metaflow.app.task import run_task
from metaflow.cli.option_parser import options_of, values_of
from metaflow.cli.session import Session
from metaflow.compute.command import TaskOptions


@click.pass_obj
def _step(session: Session, /, step_name: str, **options: Any) -> int:
    task = values_of(TaskOptions, options)
    return run_task(session.workspace, step_name, task, session.environ, session.code_package)


step = click.Command(
    "step",
    callback=_step,
    hidden=True,
    help="Run one task of a run.",
    add_help_option=False,
    params=[click.Argument(["step_name"]), *options_of(TaskOptions)],
)
