"""``run``: check the flow, begin a run, and let the engine carry it out."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import TYPE_CHECKING, Any

import click

from metaflow.cli import early
from metaflow.cli.facts import system_facts, system_tags
from metaflow.cli.parameters import parameter_options, parameter_values
from metaflow.cli.session import LOCAL_ROOT, Session
from metaflow.cli.structure import check_flow
from metaflow.exception import CommandException, MetaflowException, RunFailed, RunInterrupted
from metaflow.version import MILLRACE

if TYPE_CHECKING:
    from metaflow.runtime.engine import Engine
    from metaflow.runtime.events import Finish

OPTIONS_THAT_TASKS_GET = ("metadata", "environment", "datastore")


def run(session: Session) -> click.Command:
    """Make the command, with an option for each parameter of the flow."""
    option = click.Option
    return click.Command(
        "run",
        callback=_run,
        help="Run the flow on this machine.",
        params=[
            *parameter_options(session),
            option(["--tag", "tags"], multiple=True, metavar="TAG", help="A tag for this run; may be repeated."),
            option(
                ["--max-workers"],
                type=click.IntRange(min=1),
                default=16,
                show_default=True,
                help="Most tasks at a time.",
            ),
            option(
                ["--max-num-splits"],
                type=click.IntRange(min=1),
                default=100,
                show_default=True,
                help="Widest foreach allowed: a wider one is taken for a mistake.",
            ),
            option(
                ["--max-log-size"],
                type=click.IntRange(min=1),
                default=10,
                show_default=True,
                metavar="MB",
                help="What is kept of each output stream of a task.",
            ),
            option(
                ["--with", "run_decospecs"], multiple=True, metavar="DECORATOR", help="Attach a decorator to all steps."
            ),
            option(["--run-id-file"], metavar="FILE", help="Write the id of the run to this file."),
            option(
                ["--runner-attribute-file"], metavar="FILE", help="Write the run's id, flow and metadata to this file."
            ),
            option(["--namespace"], metavar="NAME", help="Namespace for the client in the steps; empty: global."),
        ],
    )


@click.pass_obj
def _run(session: Session, /, **options: Any) -> None:
    from metaflow.provider.tags import check_tags

    tags = check_tags(options["tags"])
    specs = (*session.options["decospecs"], *options["run_decospecs"])
    session.options["decospecs"] = specs
    session.say(f"Millrace {MILLRACE} runs {session.flow_name} for {session.settings.user}.")
    check_flow(session)
    values = parameter_values(session, options)
    namespace = _namespace(session, options["namespace"])
    run_id = _begin(session, values, tags)
    _announce(session, run_id, options)
    engine = _engine(session, run_id, namespace, tags, specs, options)
    finish = asyncio.run(engine.run(lambda loop: _console(session, loop)))
    if not finish.ok:
        raise _failure(session, run_id, finish, engine.interrupted)


def _namespace(session: Session, given: str | None) -> str | None:
    if given is not None:
        return given or None
    return f"user:{session.settings.user}"


def _begin(session: Session, values: dict[str, Any], tags: list[str]) -> str:
    from metaflow.flow.parameters import parameters_of
    from metaflow.runtime.begin import begin_run

    parameters = parameters_of(session.flow_class)
    document = session.graph.info((name, type(parameter).__name__) for name, parameter in parameters.items())
    return begin_run(
        session.flow_class,
        values,
        document,
        session.storage,
        session.metadata,
        tags=tags,
        system_tags=system_tags(session.settings),
        facts=system_facts(session.settings, session.script),
    )


def _announce(session: Session, run_id: str, options: dict[str, Any]) -> None:
    documents = {
        options["run_id_file"]: run_id,
        options["runner_attribute_file"]: json.dumps(
            {
                "run_id": run_id,
                "flow_name": session.flow_name,
                "metadata": f"{session.metadata.kind}@{os.path.dirname(session.local_root)}",
            }
        ),
    }
    for path, text in documents.items():
        if path is None:
            continue
        try:
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise CommandException(f"The file {path} cannot be written: {error.strerror}.") from error


def _engine(
    session: Session,
    run_id: str,
    namespace: str | None,
    tags: list[str],
    specs: tuple[str, ...],
    options: dict[str, Any],
) -> Engine:
    from metaflow import registry
    from metaflow.compute.command import FlowCommand
    from metaflow.runtime.engine import Engine, RunOptions

    top_level = ["--quiet", f"--datastore-root={session.root}"]
    for name in OPTIONS_THAT_TASKS_GET:
        if session.options[name] is not None:
            top_level.append(f"--{name}={session.options[name]}")
    top_level += [f"--with={spec}" for spec in specs]
    command = FlowCommand(
        session.script,
        session.path,
        tuple(top_level),
        session.flow_name,
        run_id,
        namespace,
        tuple(tags),
        ((LOCAL_ROOT, session.local_root),),
    )
    launcher = registry.load("launcher", "local")(early.take(session))
    limits = RunOptions(options["max_workers"], options["max_num_splits"], options["max_log_size"] * 1_000_000)
    return Engine(command, session.graph, launcher, session.storage, session.metadata, limits)


def _console(session: Session, loop: asyncio.AbstractEventLoop) -> Any:
    if sys.stdout.isatty() and not session.quiet and os.environ.get("TERM", "dumb") != "dumb":
        from metaflow.runtime.live import LiveConsole

        return LiveConsole(sys.stdout, loop.call_soon, loop.call_later)
    from metaflow.runtime.console import PlainConsole

    return PlainConsole(sys.stdout, loop.call_soon)


def _failure(session: Session, run_id: str, finish: Finish, interrupted: int | None) -> MetaflowException:
    lines = [
        f"    {finish.reason}",
        f"    Finished tasks are kept; to go on from them: python {session.script} resume --origin-run-id {run_id}",
    ]
    if interrupted is not None:
        return RunInterrupted("\n".join(lines), interrupted)
    if finish.culprit is not None:
        step = finish.culprit.step
        lines += ["    Step failure:", f"    Step {step} (task-id {finish.culprit.id}) failed."]
    return RunFailed("\n".join(lines))
