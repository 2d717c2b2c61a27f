"""``dump`` and ``logs``: what the tasks of a run have stored and printed.

Paths are ``run/step`` or ``run/step/task``, with or without the flow's name before them. Results go to stdout, so that
they can be piped; headings and remarks to stderr.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

from metaflow.cli.session import Session, look_at
from metaflow.client import Step, Task
from metaflow.exception import CommandException, MetaflowNotFound
from metaflow.flow.failure import failure_of_error
from metaflow.store.layout import STREAMS
from metaflow.store.logs import stored as stored_logs
from metaflow.store.logs.lines import Line

_PATH = "RUN/STEP[/TASK]"


@click.command()
@click.argument("path", metavar=_PATH)
@click.option("--private/--no-private", default=False, show_default=True, help="Include names that begin with '_'.")
@click.option(
    "--max-value-size",
    type=click.IntRange(min=0),
    default=1000,
    show_default=True,
    metavar="BYTES",
    help="Omit values whose pickle is larger; 0 prints names only.",
)
@click.option("--include", default="", metavar="NAME,…", help="Only these artifacts.")
@click.option("--file", "target", metavar="FILE", help="Pickle the values to this file instead of printing them.")
@click.pass_obj
def dump(session: Session, path: str, private: bool, max_value_size: int, include: str, target: str | None) -> None:
    """Print the artifacts of a task, or of all tasks of a step."""
    wanted = {name.strip() for name in include.split(",") if name.strip()}
    collected: dict[str, dict[str, Any]] = {}
    all_read = True
    for task in tasks_at(session, path):
        names = [name for name in _names(task) if (not wanted or name in wanted) and (private or name[0] != "_")]
        session.say(f"Artifacts of {_short(task)}:")
        for name in names:
            try:
                if target is not None:
                    collected.setdefault(_short(task), {})[name] = task[name].data
                else:
                    session.echo(_described(task, name, max_value_size))
            except Exception as error:  # noqa: BLE001 - of what is stored, and of the user's classes
                all_read = False
                tell = session.echo if target is None else session.warn
                tell(f"{name} = (cannot be read: {_reason(error)})")
    if target is not None:
        _pickle(collected, target)
        session.say(f"The artifacts of {len(collected)} tasks are in {target}.")
    if not all_read:
        click.get_current_context().exit(1)


def _names(task: Task) -> list[str]:
    stored = task._site.index(task._components, None)
    return sorted(stored[0].objects) if stored is not None else []


def _described(task: Task, name: str, limit: int) -> str:
    artifact = task[name]
    index, _ = artifact._index()
    size, type_name = artifact.size, index.info.get(name, {}).get("type", "unknown")
    shown = artifact.data if limit and size <= limit else "(left out: --max-value-size)"
    return f"{name} [size: {size} type: {type_name}] = {shown}"


def _reason(error: Exception) -> str:
    """Say why an artifact cannot be read, with the line of the user's code that raised."""
    failure = failure_of_error(error, "")
    return f"{failure.message}, {failure.values['where']}" if "where" in failure.values else failure.message


def _pickle(values: dict[str, dict[str, Any]], path: str) -> None:
    import pickle

    try:
        with open(path, "wb") as file:
            pickle.dump(values, file)
    except OSError as error:
        raise CommandException(f"--file: {path} cannot be written: {error.strerror}.") from error
    except Exception as error:
        raise CommandException(f"--file: the artifacts cannot be pickled: {_reason(error)}") from error


class _Logs(click.Group):
    """``logs PATH`` is short for ``logs show PATH``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or args[0] not in (*self.commands, *ctx.help_option_names):
            args = ["show", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Logs)
def logs() -> None:
    """Print or scrub what tasks printed; `logs PATH` is short for `logs show PATH`."""


def _streams_options(verb: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        for name in ("both", "stderr", "stdout"):
            what = "both streams, the default" if name == "both" else f"{name} only, or with the other"
            option = click.option(f"--{name}/--no-{name}", default=name == "both", help=f"{verb} {what}.")
            function = option(function)
        return function

    return decorate


@logs.command()
@click.argument("path", metavar=_PATH)
@_streams_options("Print")
@click.option("--timestamps/--no-timestamps", default=False, help="Print a timestamp before each line.")
@click.option("--attempt", type=click.IntRange(min=0), metavar="N", help="The attempt, from 0; by default the latest.")
@click.pass_obj
def show(
    session: Session, path: str, stdout: bool, stderr: bool, both: bool, timestamps: bool, attempt: int | None
) -> None:
    """Print what a task, or all tasks of a step, have printed."""
    streams = _streams(stdout, stderr, both)
    begun = {task: task._attempts().begun or [0] for task in tasks_at(session, path)}
    for task, number in _chosen(path, begun, attempt):
        for stream in streams:
            session.say(f"{stream} of {_short(task)}, attempt {number}:")
            for line in stored_logs.read(task._attempts().storage, task.pathspec, number, stream):
                text = line.text.decode(errors="replace")
                session.echo(f"{_local(line)} {text}" if timestamps else text)


@logs.command()
@click.argument("path", metavar=_PATH)
@_streams_options("Scrub")
@click.option("--attempt", type=click.IntRange(min=0), metavar="N", help="The attempt, from 0; by default the latest.")
@click.option("--latest/--all", "latest", default=True, help="The latest attempt only, or all of them.")
@click.option("--include-not-done", is_flag=True, help="Include attempts that have not ended.")
@click.pass_obj
def scrub(
    session: Session,
    path: str,
    stdout: bool,
    stderr: bool,
    both: bool,
    attempt: int | None,
    latest: bool,
    include_not_done: bool,
) -> None:
    """Replace what a task, or all tasks of a step, have printed by a line that says so."""
    if attempt is not None and not latest:
        raise CommandException("--attempt and --all cannot be given together.")
    streams, ended = _streams(stdout, stderr, both), {}
    for task in tasks_at(session, path):
        attempts = task._attempts()
        numbers = attempts.begun if include_not_done else attempts.done
        if numbers:
            ended[task] = numbers
        else:
            session.warn(f"{_short(task)} has not ended and was not changed.")
    if not ended:
        raise CommandException(
            f"Nothing at {path} was scrubbed.", hint="use --include-not-done to include tasks that have not ended"
        )
    every = [(task, number) for task, numbers in ended.items() for number in numbers]
    for task, number in _chosen(path, ended, attempt) if latest else every:
        for stream in streams:
            stored_logs.scrub(task._attempts().storage, task.pathspec, number, stream)
        session.warn(f"Scrubbed {' and '.join(streams)} of {_short(task)}, attempt {number}.")


def _streams(stdout: bool, stderr: bool, both: bool) -> list[str]:
    chosen = [name for name, given in (("stdout", stdout), ("stderr", stderr)) if given]
    if not chosen and not both:
        raise CommandException("--no-both leaves no stream.", hint="give --stdout or --stderr")
    return chosen or list(STREAMS)


def tasks_at(session: Session, path: str) -> list[Task]:
    """Return the task or tasks at a path of the command line, by id.

    Raises
    ------
    CommandException
        The path has another depth, or nothing is there.
    """
    look_at(session.workspace)
    names = path.split("/")
    if names[0] == session.workspace.name:
        del names[0]
    if len(names) not in (2, 3) or not all(names):
        raise CommandException(f"'{path}' is not the path of a step or a task.", hint=f"the form is {_PATH}")
    try:
        if len(names) == 3:
            return [Task("/".join((session.workspace.name, *names)))]
        tasks = list(Step("/".join((session.workspace.name, *names))))
    except MetaflowNotFound as error:
        raise CommandException(f"There is nothing at '{path}'. {error.message}", hint=error.hint) from error
    if not tasks:
        raise CommandException(f"No task of '{path}' has started.")
    return sorted(tasks, key=lambda task: (len(task.id), task.id))


def _chosen(path: str, known: Mapping[Task, list[int]], wanted: int | None) -> list[tuple[Task, int]]:
    """Return the tasks that have the attempt `wanted`, with it, or all with their latest."""
    if wanted is None:
        return [(task, max(numbers)) for task, numbers in known.items()]
    chosen = [(task, wanted) for task, numbers in known.items() if wanted in numbers]
    if not chosen:
        numbers = sorted({number for each in known.values() for number in each})
        raise CommandException(
            f"There is no attempt {wanted} of {path}.", hint=f"attempts: {', '.join(map(str, numbers))}"
        )
    return chosen


def _short(task: Task) -> str:
    return task.pathspec.partition("/")[2]


def _local(line: Line) -> str:
    """Return when a line was printed, in local time, with milliseconds."""
    from datetime import UTC

    if line.time is None:
        return "?"
    return line.time.replace(tzinfo=UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
