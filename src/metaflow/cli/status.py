"""``status``: how a run stands, and why: the first question about a run that somebody else, or a crash, has left."""

from __future__ import annotations

from collections import Counter

import click

from metaflow.cli.session import Session, look_at
from metaflow.client import Flow, Run, Step
from metaflow.exception import CommandException, MetaflowInvalidPathspec, MetaflowNotFound
from metaflow.runtime.run_status import culprit_line

_STATES = ("successful", "caught", "running", "failed", "lost")


@click.command(help="Print the status of a run and why it failed; by default of the latest run.")
@click.argument("run_id", required=False, metavar="[RUN]")
@click.pass_obj
def status(session: Session, run_id: str | None) -> None:
    run = _find(session, run_id)
    session.echo(f"Run {run.id} of {session.workspace.name}: {run.status}.")
    failure = run.failure
    if failure is not None:
        session.echo(f"    {failure.message}")
        if "where" in failure.values:
            session.echo(f"    {failure.values['where']}")
        culprit = culprit_line(failure)
        if culprit is not None:
            session.echo(f"    {culprit}")
        if failure.hint:
            session.echo(f"    hint: {failure.hint}")
    steps = sorted(run, key=lambda step: step.created_at)
    width = max((len(step.id) for step in steps), default=0)
    for step in steps:
        session.echo(f"    {step.id:{width}}  {_counts(step)}")
    if run.status not in ("running", "successful"):
        session.echo(f"To resume it: {session.workspace.invocation} resume --origin-run-id {run.id}")


def _find(session: Session, run_id: str | None) -> Run:

    look_at(session.workspace)
    name = session.workspace.name
    if run_id is None:
        latest = Flow(name).latest_run if name in session.workspace.metadata.names(()) else None
        if latest is None:
            raise CommandException(
                f"The flow {name} has no runs here.", hint=f"`{session.workspace.invocation} run` starts one"
            )
        return latest
    run_id = run_id.removeprefix(f"{name}/")
    try:
        return Run(f"{name}/{run_id}")
    except (MetaflowNotFound, MetaflowInvalidPathspec) as error:
        raise CommandException(f"There is no run {run_id} of the flow {name} here.", hint=error.hint) from error


def _counts(step: Step) -> str:
    count = Counter(task.status for task in step)
    return ", ".join(f"{count[state]} {state}" for state in _STATES if count[state])
