"""``step``: run one task. The engine writes this command line (`metaflow.compute.command`); a person may repeat it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

import click

from metaflow.cli.session import Session
from metaflow.exception import CommandException, MetaflowException


def step(session: Session) -> click.Command:
    """Make the command."""
    option = click.Option
    return click.Command(
        "step",
        callback=_step,
        hidden=True,
        help="Run one task of a run.",
        params=[
            click.Argument(["step_name"]),
            option(["--run-id"], required=True, help="The run."),
            option(["--task-id"], required=True, help="The task."),
            option(["--input-paths"], required=True, help="Where its artifacts come from: run/step/task[-last],…"),
            option(["--split-index"], type=int, help="Position in the foreach that it opens."),
            option(["--retry-count"], type=int, default=0, help="The attempt, from 0."),
            option(["--max-user-code-retries"], type=int, default=0, help="Attempts after the first."),
            option(["--namespace"], help="Namespace for the client; empty for the global one."),
            option(["--tag", "tags"], multiple=True, help="A tag of the run."),
            option(["--clone-run-id"], help="The run that is resumed."),
        ],
    )


@click.pass_obj
def _step(session: Session, **options: Any) -> int:
    from metaflow.cli.facts import system_facts, system_tags
    from metaflow.flow.decorator import attach_specs
    from metaflow.runtime.task import Task, TaskPlan

    name = options["step_name"]
    if name not in session.flow_class._steps:
        raise CommandException(f"The flow {session.flow_name} has no step '{name}'.")
    attach_specs(session.flow_class, session.options["decospecs"])
    settings = session.settings
    namespace = options["namespace"] or None
    if options["namespace"] is not None:
        from metaflow.cli.facts import set_namespace

        set_namespace(namespace)
    plan = TaskPlan(
        run=options["run_id"],
        step=name,
        task=options["task_id"],
        attempt=options["retry_count"],
        input_paths=options["input_paths"],
        split_index=options["split_index"],
        namespace=namespace,
        origin_run=options["clone_run_id"],
        tags=options["tags"],
        system_tags=system_tags(settings),
        user=settings.user,
        tempdir=settings.tempdir or ".",
        facts=system_facts(settings, session.script),
    )
    report = _outcome_channel(os.environ)
    try:
        return Task(
            session.flow_class, lambda: session.graph, plan, session.storage, session.metadata, report
        ).run()
    except MetaflowException as error:
        report({"ok": False, "reason": error.message})
        raise


def _outcome_channel(environ: Any) -> Callable[[dict[str, Any]], None]:
    """Return what tells the engine how the task ended; where nobody listens, it does nothing."""
    channel = environ.pop("MILLRACE_OUTCOME", "")
    descriptor, _, id = channel.partition(":")
    if not id:
        return lambda outcome: None
    os.set_inheritable(int(descriptor), False)

    def tell(outcome: dict[str, Any]) -> None:
        try:
            os.write(int(descriptor), json.dumps({"outcome": int(id), **outcome}).encode())
        except OSError as error:
            print(f"The engine could not be told the outcome: {error}", file=sys.stderr)

    return tell
