"""``card``: look at the cards of tasks, save them, make one anew, or show those of a run as they change."""

from __future__ import annotations

import json
import sys
import webbrowser
from collections.abc import Callable
from typing import Any

import click

from metaflow.app.run import write_documents
from metaflow.cards.kinds import is_ours
from metaflow.cards.process import CardProcess, make_card
from metaflow.cards.server import CardServer, serve
from metaflow.cards.stored import Card, get_cards
from metaflow.cards.time_limit import time_limit
from metaflow.cli.browser import open_if_watched
from metaflow.cli.inspection import tasks_at
from metaflow.cli.session import Session, look_at
from metaflow.client import Flow, Run, Task
from metaflow.exception import CommandException, MetaflowNotFound

_PATH = "[RUN/]STEP[/TASK]"
_Command = Callable[..., None]


@click.group()
def card() -> None:
    """Look at the cards of tasks."""


def _selection(function: _Command) -> _Command:
    for option in (
        click.option("--follow-resumed/--no-follow-resumed", default=True, help="Cards of tasks taken over, too."),
        click.option("--id", "card_id", metavar="ID", help="The card that the step calls so."),
        click.option("--type", "kind", metavar="TYPE", help="The card of this type."),
        click.option("--hash", "digest", metavar="PREFIX", help="The card whose hash begins so."),
    ):
        function = option(function)
    return function


@card.command("list")
@click.argument("path", metavar=_PATH, required=False)
@_selection
@click.option("--as-json", is_flag=True, help="Print JSON.")
@click.option("--file", "target", metavar="FILE", help="Write the JSON to a file.")
@click.pass_obj
def list_(session: Session, /, path: str | None, as_json: bool, target: str | None, **selection: Any) -> None:
    """List the cards of a step or task, by default those of the latest run."""
    found = _found(session, path, **selection)
    rows = [
        {
            "pathspec": task.pathspec,
            "cards": [
                {"id": each.id, "hash": each.hash, "type": each.type, "filename": each.path.rpartition("/")[2]}
                for each in cards
            ],
        }
        for task, cards in found
    ]
    document = json.dumps(rows[0] if path is not None and len(rows) == 1 else rows, indent=4)
    if target is not None:
        write_documents({target: document})
        session.say(f"The list is in {target}.")
    if as_json:
        session.echo(document)
    elif target is None:
        for task, cards in found:
            session.echo(task.pathspec.partition("/")[2])
            for each in cards:
                session.echo(f"    {each.type:<10} {each.id or '-':<16} {each.hash[:8]}")


@card.command()
@click.argument("path", metavar=_PATH)
@_selection
@click.pass_obj
def view(session: Session, /, path: str, **selection: Any) -> None:
    """Open a card in the browser."""
    file = _only(session, path, **selection).saved()
    if not webbrowser.open(f"file://{file}"):
        session.say(f"There is no browser here. The card is in {file}.")


@card.command()
@click.argument("path", metavar=_PATH)
@click.argument("target", metavar="[FILE]", required=False)
@_selection
@click.pass_obj
def get(session: Session, /, path: str, target: str | None, **selection: Any) -> None:
    """Print the HTML of a card, or save it to a file."""
    html = _only(session, path, **selection).shown()
    if target is None:
        session.echo(html)
    else:
        write_documents({target: html})
        session.say(f"The card is in {target}.")


@card.command()
@click.argument("path", metavar=_PATH)
@click.argument("target", metavar="[FILE]", required=False)
@click.option("--type", "kind", default="default", show_default=True, metavar="TYPE", help="Type of the card.")
@click.option("--options", default="{}", metavar="JSON", help="What its class takes.")
@click.option("--timeout", type=click.FloatRange(min=0), default=45, show_default=True, help="Seconds it may take.")
@click.pass_obj
def create(session: Session, path: str, target: str | None, kind: str, options: str, timeout: float) -> None:
    """Make a card of a task that has ended, and print its HTML or save it to a file."""
    tasks = tasks_at(session, _with_run(session, path))
    if len(tasks) > 1:
        raise CommandException(f"The step at '{path}' has {len(tasks)} tasks.", hint="name one: RUN/STEP/TASK")
    try:
        given = json.loads(options)
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise CommandException(f"--options {options}: this is no JSON object.", hint="write --options '{\"key\": 1}'")
    html = _made(session, tasks[0], kind, given, timeout)
    if target is None:
        session.echo(html)
    else:
        write_documents({target: html})
        session.say(f"The card is in {target}.")


def _made(session: Session, task: Task, kind: str, options: dict[str, Any], timeout: float) -> str:
    flow = session.workspace.flow_class
    data: dict[str, Any] = {"user": None, "components": {}, "mode": "render"}
    if is_ours(kind):
        with time_limit(timeout):
            return make_card(kind, options, data, flow, task).render(task)
    process = CardProcess(lambda: task, kind, options, flow)
    try:
        page: str = process.ask(data, timeout)
    finally:
        process.close()
    return page


@card.command()
@click.option("--run-id", metavar="RUN", help="The run; by default always the latest one.")
@click.option("--port", type=click.IntRange(0, 65535), default=8324, show_default=True, help="On 127.0.0.1; 0 for any.")
@click.option("--namespace", "user_namespace", metavar="NAME", help="Only runs of this namespace.")
@click.option(
    "--poll-interval", type=click.FloatRange(min=0.1), default=1, show_default=True, help="Seconds between two looks."
)
@click.option("--max-cards", type=click.IntRange(min=1), default=30, show_default=True, help="Most cards in the list.")
@click.pass_obj
def server(
    session: Session, run_id: str | None, port: int, user_namespace: str | None, poll_interval: float, max_cards: int
) -> None:
    """Show the cards of a run in the browser, as they change, until Ctrl-C."""
    look_at(session.workspace)
    if run_id is not None:
        _run(session, run_id)

    def latest() -> Run | None:
        if run_id is not None:
            return _run(session, run_id)
        try:
            runs = Flow(session.workspace.name, _namespace_check=False).runs()
            tags = {user_namespace} if user_namespace else set()
            return next((run for run in runs if tags <= run.tags), None)
        except MetaflowNotFound:
            return None

    def started(address: str) -> None:
        session.echo(f"Cards of {session.workspace.name}: {address}")
        sys.stdout.flush()  # into a pipe or a file, too
        session.say("Ctrl-C ends the server.")
        open_if_watched(address)

    serve(CardServer(latest, poll_interval, max_cards), port, started)


def _run(session: Session, run_id: str) -> Run:
    try:
        return Run(f"{session.workspace.name}/{run_id.rpartition('/')[2]}", _namespace_check=False)
    except MetaflowNotFound as error:
        raise CommandException(f"--run-id {run_id}: there is no such run.", hint=error.hint) from None


def _found(
    session: Session, path: str | None, digest: str | None, kind: str | None, card_id: str | None, follow_resumed: bool
) -> list[tuple[Task, list[Card]]]:
    """Return the tasks with the cards that are meant.

    Raises
    ------
    CommandException
        There is no such card.
    """
    if path is None:
        look_at(session.workspace)
        tasks = [task for step in _run(session, _latest(session)) for task in step]
    else:
        tasks = tasks_at(session, _with_run(session, path))
    found = []
    for task in sorted(tasks, key=lambda task: task.created_at):
        cards = [
            each
            for each in get_cards(task, id=card_id, type=kind, follow_resumed=follow_resumed)
            if digest is None or each.hash.startswith(digest)
        ]
        if cards:
            found.append((task, cards))
    if not found:
        chosen = "such card" if digest or kind or card_id else "card"
        raise CommandException(
            f"There is no {chosen} {'in the latest run' if path is None else f'at {path}'}.",
            hint="a step has a card if @card stands above it, or the run has --with card",
        )
    return found


def _only(session: Session, path: str, **selection: Any) -> Card:
    found = _found(session, path, **selection)
    cards = [(task, each) for task, cards in found for each in cards]
    if len(cards) > 1:
        lines = "".join(
            f"\n{task.pathspec.partition('/')[2]}  {each.type}  {each.id or '-'}  {each.hash[:8]}"
            for task, each in cards
        )
        raise CommandException(
            f"There are {len(cards)} cards at {path}:{lines}",
            hint="choose one by --id, --type or --hash, or by its task",
        )
    return cards[0][1]


def _with_run(session: Session, path: str) -> str:
    """Return a path with its run: a step alone is one of the latest run."""
    return path if "/" in path else f"{_latest(session)}/{path}"


def _latest(session: Session) -> str:
    workspace = session.workspace
    run = workspace.metadata.latest_run(workspace.name)
    if run is None:
        raise CommandException(
            f"The flow {workspace.name} has no run here.", hint=f"`{workspace.invocation} run` starts one"
        )
    return run
