"""``list`` and ``kill`` of a backend that runs jobs: what is left of this flow's runs there, and an end to it.

Only jobs of the flow in the given file are touched. Without an option they are those of the latest run.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from metaflow import registry
from metaflow.cli.session import Session
from metaflow.exception import CommandException

if TYPE_CHECKING:
    from metaflow.compute.jobs.protocol import RunningJob


def job_commands(backend: str) -> click.Group:
    """Return the commands of a backend.

    Parameters
    ----------
    backend : str
        Its name in the registry.
    """
    title = registry.load("job backend", backend).title
    group = click.Group(backend, help=f"List and kill the jobs of this flow on {title}.", no_args_is_help=False)

    def listed(session: Session, **options: Any) -> None:
        jobs = _on_backend(session, backend, _chosen(session, **options), is_end=False)
        now = time.time()
        for job in jobs:
            session.echo(_line(job, now))
        session.say(f"{_count(jobs)} of {_words(session, **options)} on {title}.")

    def killed(session: Session, **options: Any) -> None:
        jobs = _on_backend(session, backend, _chosen(session, **options), is_end=True)
        for job in jobs:
            session.echo(_path(job))
        ended = "nothing to kill" if not jobs else "being ended"
        session.say(f"{_count(jobs)} of {_words(session, **options)} on {title}: {ended}.")

    group.add_command(_command("list", listed, f"List the unfinished jobs of this flow on {title}."))
    group.add_command(_command("kill", killed, f"Kill the unfinished jobs of this flow on {title}."))
    return group


def _command(name: str, callback: Callable[..., None], help: str) -> click.Command:
    return click.Command(
        name,
        callback=click.pass_obj(callback),
        help=f"{help} By default those of the latest run.",
        params=[
            click.Option(["--my-runs"], is_flag=True, help="Jobs of all runs that you started."),
            click.Option(["--user", "-u"], metavar="NAME", help="Jobs of all runs that this user started."),
            click.Option(["--run-id", "-r"], metavar="RUN", help="Jobs of this run."),
        ],
    )


def _chosen(session: Session, my_runs: bool, user: str | None, run_id: str | None) -> dict[str, str]:
    """Return the labels of the jobs that are meant."""
    if my_runs and user is not None:
        raise CommandException("--my-runs and --user cannot be given together.")
    labels = {"flow": session.workspace.name}
    if my_runs or user is not None:
        labels["user"] = session.workspace.settings.user if user is None else user
    if run_id is not None:
        labels["run"] = run_id.removeprefix(f"{session.workspace.name}/")
    elif "user" not in labels:
        labels["run"] = _latest(session)
    if "" in labels.values() or "/" in labels.get("run", ""):
        raise CommandException(f"'{run_id if run_id is not None else user}' is not a name.")
    return labels


def _latest(session: Session) -> str:
    run = session.workspace.metadata.latest_run(session.workspace.name)
    if run is None:
        raise CommandException(
            f"The flow {session.workspace.name} has no runs here.",
            hint="use --run-id, --user or --my-runs to look for other runs",
        )
    return run


def _on_backend(session: Session, backend: str, labels: dict[str, str], *, is_end: bool) -> list[RunningJob]:
    jobs = registry.load("job backend", backend)(session.workspace.settings.values)

    async def found() -> list[RunningJob]:
        await jobs.open(lambda report: None)
        try:
            unfinished: list[RunningJob] = await jobs.unfinished(labels)
            if is_end and unfinished:
                await jobs.end(unfinished)
            return unfinished
        finally:
            await jobs.close()

    return asyncio.run(found())


def _words(session: Session, my_runs: bool, user: str | None, run_id: str | None) -> str:
    labels = _chosen(session, my_runs, user, run_id)
    run = f"{session.workspace.name}/{labels['run']}" if "run" in labels else f"the flow {session.workspace.name}"
    return f"{run}, started by {labels['user']}" if "user" in labels else run


def _count(jobs: list[RunningJob]) -> str:
    number = len(jobs)
    return f"{number or 'No'} unfinished {'job' if number == 1 else 'jobs'}"


def _line(job: RunningJob, now: float) -> str:
    return f"{_path(job)}  {_age(now - job.created)}  {job.status}"


def _path(job: RunningJob) -> str:
    path = "/".join(job.labels.get(name, "?") for name in ("flow", "run", "step", "task"))
    return f"{path} (attempt {job.labels.get('attempt', '?')})  {job.id}"


def _age(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
