"""``tag``: add, remove, replace and list the tags of runs.

Tags are printed one per line, so that they can be piped; headings go to stderr.
"""

from __future__ import annotations

from collections.abc import Iterable

import click

from metaflow.cli.session import Session, look_at
from metaflow.client import Flow, Run
from metaflow.exception import CommandException, MetaflowNotFound

_RUN = click.option("--run-id", metavar="RUN", help="The run.")
_NAMESPACE = click.option("--namespace", metavar="TAG", help="Namespace, instead of yours; empty: all namespaces.")


@click.group(no_args_is_help=False)
def tag() -> None:
    """Add, remove, replace and list the tags of runs. System tags stay as they are."""


@tag.command()
@click.argument("tags", nargs=-1, required=True)
@_RUN
@_NAMESPACE
@click.pass_obj
def add(session: Session, tags: tuple[str, ...], run_id: str | None, namespace: str | None) -> None:
    """Add tags to a run."""
    _change(session, run_id, namespace, (), tags)


@tag.command()
@click.argument("tags", nargs=-1, required=True)
@_RUN
@_NAMESPACE
@click.pass_obj
def remove(session: Session, tags: tuple[str, ...], run_id: str | None, namespace: str | None) -> None:
    """Remove tags from a run."""
    _change(session, run_id, namespace, tags, ())


@tag.command()
@_RUN
@_NAMESPACE
@click.option("--add", "added", multiple=True, metavar="TAG", help="A tag to add; can be repeated.")
@click.option("--remove", "removed", multiple=True, metavar="TAG", help="A tag to remove; can be repeated.")
@click.pass_obj
def replace(
    session: Session,
    run_id: str | None,
    namespace: str | None,
    added: tuple[str, ...],
    removed: tuple[str, ...],
) -> None:
    """Remove tags from a run and add others, in one step."""
    if not added or not removed:
        raise CommandException(
            "`tag replace` needs --add and --remove.", hint="use `tag add` or `tag remove` to do only one of them"
        )
    _change(session, run_id, namespace, removed, added)


@tag.command("list")
@click.argument("run", required=False)
@_RUN
@click.option("--all", "every", is_flag=True, help="Tags of all runs of the flow; the default if no run is given.")
@click.option("--my-runs", is_flag=True, help="Tags of your runs of the flow.")
@click.option("--hide-system-tags", is_flag=True, help="Omit system tags.")
@click.option("--group-by-tag", is_flag=True, help="Print each tag and the runs that have it.")
@click.option("--group-by-run", is_flag=True, help="Print each run and its tags.")
@click.option("--flat", is_flag=True, hidden=True, help="Print the tags without headings.")
@click.pass_obj
def list_tags(
    session: Session,
    run: str | None,
    run_id: str | None,
    every: bool,
    my_runs: bool,
    hide_system_tags: bool,
    group_by_tag: bool,
    group_by_run: bool,
    flat: bool,
) -> None:
    """List the tags of a run, or of all runs of the flow."""
    _exclude(("a run", run), ("--run-id", run_id), ("--all", every), ("--my-runs", my_runs))
    _exclude(("--group-by-tag", group_by_tag), ("--group-by-run", group_by_run), ("--flat", flat))
    chosen = run or run_id
    if chosen:
        runs = [_run(session, chosen, "")]
    else:
        runs = list(_runs(session, f"user:{session.workspace.settings.user}" if my_runs else ""))
    if group_by_run:
        for each in runs:
            session.echo(f"{each.pathspec}:")
            _print(session, _shown(each, hide_system_tags), "    ")
    elif group_by_tag:
        for name in sorted({name for each in runs for name in _shown(each, hide_system_tags)}):
            session.echo(f"{name}:")
            _print(session, [each.pathspec for each in runs if name in each.tags], "    ")
    else:
        _list(session, runs, hide_system_tags, flat)


def _list(session: Session, runs: list[Run], hide_system_tags: bool, flat: bool) -> None:
    for kind, hidden in (("user", False), ("system", hide_system_tags)):
        if hidden:
            continue
        names = {name for run in runs for name in (run.user_tags if kind == "user" else run.system_tags)}
        if not flat:
            session.say("Tags, which can be changed:" if kind == "user" else "System tags, which cannot:")
        _print(session, names)


def _shown(run: Run, hide_system_tags: bool) -> frozenset[str]:
    return run.user_tags if hide_system_tags else run.tags


def _print(session: Session, names: Iterable[str], indent: str = "") -> None:
    for name in sorted(names):
        session.echo(indent + name)


def _exclude(*options: tuple[str, object]) -> None:
    given = [name for name, value in options if value]
    if len(given) > 1:
        raise CommandException(f"{given[0]} and {given[1]} cannot be given together.")


def _change(
    session: Session, run_id: str | None, namespace: str | None, removed: tuple[str, ...], added: tuple[str, ...]
) -> None:
    if namespace is None:
        namespace = f"user:{session.workspace.settings.user}"
    if run_id is None:
        latest = next(iter(_runs(session, namespace)), None)
        raise CommandException(
            "--run-id is missing: whose tags?",
            hint="the flow has no runs yet" if latest is None else f"the latest run is --run-id={latest.id}",
        )
    run = _run(session, run_id, namespace)
    run.replace_tags(removed, added)
    session.say(f"Tags of {run.pathspec} now:")
    _print(session, run.user_tags)


def _run(session: Session, run_id: str, namespace: str) -> Run:
    """Return a run of the flow.

    Raises
    ------
    CommandException
        It does not exist, or it is not in `namespace`.
    """
    _look_here(session)
    name = run_id.removeprefix(f"{session.workspace.name}/")
    if "/" in name or not name:
        raise CommandException(f"'{run_id}' is not the id of a run.")
    try:
        run = Run(f"{session.workspace.name}/{name}")
    except MetaflowNotFound as error:
        raise CommandException(error.message, hint=error.hint) from error
    if namespace and namespace not in run.tags:
        owners = [tag for tag in sorted(run.system_tags) if tag.startswith("user:")]
        choice = f"--namespace={owners[0]}, or --namespace= for all" if owners else "--namespace= looks in all"
        raise CommandException(f"The run {run.pathspec} is not in the namespace '{namespace}'.", hint=choice)
    return run


def _runs(session: Session, namespace: str) -> Iterable[Run]:

    _look_here(session)
    try:
        return Flow(session.workspace.name).runs(*([namespace] if namespace else []))
    except MetaflowNotFound:
        return ()


def _look_here(session: Session) -> None:

    look_at(session.workspace)
