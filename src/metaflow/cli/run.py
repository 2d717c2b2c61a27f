"""``run``: check the flow, begin a run, and let the engine carry it out. ``resume`` does the same from an origin."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import TYPE_CHECKING, Any

import click

from metaflow.cli.facts import system_facts, system_tags
from metaflow.cli.parameters import parameter_options, parameter_values
from metaflow.cli.places import RunFrame, choose_storage, make_places
from metaflow.cli.resources import decorator_options, resource_requests, take_decorators
from metaflow.cli.session import Session
from metaflow.cli.structure import check_flow
from metaflow.exception import CommandException, MetaflowException, RunFailed, RunInterrupted, TaskFailed
from metaflow.metadata_provider.lease import Lease, lease_of
from metaflow.version import MILLRACE

if TYPE_CHECKING:
    from metaflow.runtime.engine import Engine
    from metaflow.runtime.events import Finish
    from metaflow.runtime.resume import Origin, Resumption


def run(session: Session) -> click.Command:
    """Make the command, with an option for each parameter of the flow."""
    return click.Command(
        "run",
        callback=_run,
        help="Run the flow: its tasks here, or where their decorators say.",
        params=[*parameter_options(session), *run_options()],
    )


def run_options() -> list[click.Parameter]:
    """Return the options of the commands that carry out a run."""
    option = click.Option
    number = click.IntRange(min=1)
    return [
        option(["--tag", "tags"], multiple=True, metavar="TAG", help="A tag for this run; may be repeated."),
        option(["--max-workers"], type=number, default=16, show_default=True, help="Most tasks at a time."),
        option(
            ["--max-num-splits"],
            type=number,
            default=100,
            show_default=True,
            help="Widest foreach allowed: a wider one is taken for a mistake.",
        ),
        option(
            ["--max-log-size"],
            type=number,
            default=10,
            show_default=True,
            metavar="MB",
            help="What is kept of each output stream of a task.",
        ),
        *decorator_options(),
        option(["--run-id-file"], metavar="FILE", help="Write the id of the run to this file."),
        option(["--runner-attribute-file"], metavar="FILE", help="Write the run's names to this file, as JSON."),
        option(["--namespace"], metavar="NAME", help="Namespace for the client in the steps; empty: global."),
    ]


@click.pass_obj
def _run(session: Session, /, **options: Any) -> None:
    prepare(session, options, "runs")
    begin(session, options, parameter_values(session, options))


def prepare(session: Session, options: dict[str, Any], verb: str) -> None:
    """Check the options and the flow, before anything is written."""
    from metaflow.metadata_provider.tags import check_tags

    options["tags"] = check_tags(options["tags"])
    take_decorators(session, options)
    session.say(f"Millrace {MILLRACE} {verb} {session.flow_name} for {session.settings.user}.")
    check_flow(session)
    _check_attempts(session)
    choose_storage(session, resource_requests(session))


def _check_attempts(session: Session) -> None:
    from metaflow.runtime.policy import check_attempts

    most = session.settings.runs.max_attempts
    for step in session.plan.steps.values():
        check_attempts(step, most)


def begin(
    session: Session,
    options: dict[str, Any],
    values: dict[str, Any],
    origin: Origin | None = None,
    rerun: str | None = None,
) -> None:
    """Begin a run and carry it out.

    Parameters
    ----------
    session : Session
        The flow.
    options : dict
        As parsed by `run_options`.
    values : dict
        Attribute name to value of each parameter; empty for a run that has those of its origin.
    origin : Origin, optional
        The run to go on from.
    rerun : str, optional
        The step to run anew.

    Raises
    ------
    RunFailed
        It failed; or was interrupted.
    """
    from metaflow.runtime.ending import standing_after, standing_of

    run_id = _register(session, options["tags"], values, origin)
    lease = lease_of(session.metadata, session.flow_name, run_id)
    lease.take()
    try:
        _announce(session, run_id, options)
        resumption = _resumption(session, options["tags"], run_id, origin, rerun) if origin is not None else None
        engine = _engine(session, run_id, options, resumption, lease)
        finish = asyncio.run(engine.run(lambda loop: _console(session, loop)))
    except BaseException as error:  # the engine could not go on, with a full disk for instance
        lease.end(*standing_after(error))
        if isinstance(error, MetaflowException):
            _run_hooks(session, run_id, False)
        raise
    cause = engine.failures.get(finish.culprit.id) if finish.culprit is not None else None
    lease.end(*standing_of(finish, engine.interrupted, cause))
    _run_hooks(session, run_id, finish.ok)
    if not finish.ok:
        raise _failure(session, run_id, finish, engine.interrupted, cause)


def _run_hooks(session: Session, run_id: str, ok: bool) -> None:
    from metaflow import registry

    def open_run() -> Any:
        return registry.load("client object", "Run")(f"{session.flow_name}/{run_id}", _namespace_check=False)

    for decorator in session.plan.decorators:
        for name, error in decorator.after_run(ok, open_run):
            session.say(f"The exit hook {name} failed: {type(error).__name__}: {error}", always=True)


def _resumption(session: Session, tags: list[str], run_id: str, origin: Origin, rerun: str | None) -> Resumption:
    from metaflow.runtime.resume import Resumption

    return Resumption(
        origin,
        session.plan.graph,
        rerun,
        session.metadata,
        run_id,
        tags=tags,
        system_tags=system_tags(session.settings),
    )


def _namespace(session: Session, given: str | None) -> str | None:
    if given is not None:
        return given or None
    return f"user:{session.settings.user}"


def _register(session: Session, tags: list[str], values: dict[str, Any], origin: Origin | None) -> str:
    from metaflow.runtime.begin import begin_run

    return begin_run(
        session.plan,
        values,
        session.storage,
        session.metadata,
        tags=tags,
        system_tags=system_tags(session.settings),
        facts=system_facts(session.settings, session.script),
        origin=origin.parameters if origin is not None else None,
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
    session: Session, run_id: str, options: dict[str, Any], resumption: Resumption | None, lease: Lease
) -> Engine:
    from metaflow.runtime.engine import Engine, RunOptions
    from metaflow.runtime.policy import policy_of

    requests = resource_requests(session)
    log_bytes = options["max_log_size"] * 1_000_000
    frame = RunFrame(run_id, tuple(options["tags"]), _namespace(session, options["namespace"]), log_bytes)
    places = make_places(session, frame, requests)
    limits = RunOptions(
        options["max_workers"],
        options["max_num_splits"],
        log_bytes,
        system_tags(session.settings),
        session.settings.runs.preflight,
    )
    preemptions = session.settings.runs.preemption_retries
    policies = {
        name: policy_of(step, requests[name], preemption_retries=preemptions)
        for name, step in session.plan.steps.items()
    }
    return Engine(
        session.flow_name,
        run_id,
        session.plan.graph,
        places,
        session.storage,
        session.metadata,
        limits,
        policy=policies.__getitem__,
        resumption=resumption,
        lease=lease,
    )


def _console(session: Session, loop: asyncio.AbstractEventLoop) -> Any:
    if sys.stdout.isatty() and not session.quiet and os.environ.get("TERM", "dumb") != "dumb":
        from metaflow.runtime.live import LiveConsole

        return LiveConsole(sys.stdout, loop.call_soon, loop.call_later)
    from metaflow.runtime.console import PlainConsole

    return PlainConsole(sys.stdout, loop.call_soon)


def _failure(
    session: Session, run_id: str, finish: Finish, interrupted: int | None, cause: TaskFailed | None
) -> MetaflowException:
    lines = [
        f"    {finish.reason}",
        *([f"    {cause.values['where']}"] if cause is not None and "where" in cause.values else []),
        *([f"    hint: {cause.hint}"] if cause is not None and cause.hint else []),
        f"    Finished tasks are kept; to go on from them: python {session.script} resume --origin-run-id {run_id}",
    ]
    if interrupted is not None:
        return RunInterrupted("\n".join(lines), interrupted)
    if finish.culprit is not None:
        step = finish.culprit.step
        lines += ["    Step failure:", f"    Step {step} (task-id {finish.culprit.id}) failed."]
    return RunFailed("\n".join(lines))
