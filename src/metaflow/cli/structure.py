"""Commands about the flow itself, which run nothing: `check`, `show`, `output-dot`, `output-raw`, `version`, `help`."""

from __future__ import annotations

import json

import click

from metaflow.app.check import check_flow
from metaflow.app.workspace import Workspace
from metaflow.cli.session import Session
from metaflow.flow import picture
from metaflow.flow.description import describe
from metaflow.version import __version__


def planned(session: Session, decospecs: tuple[str, ...] = (), without: tuple[str, ...] = ()) -> Workspace:
    """Return the workspace as a run would have it, its flow checked."""
    workspace = session.workspace.planned_with(decospecs, without)
    check_flow(workspace, session.say)
    return workspace


@click.command(help="Check the flow's graph and parameters.")
@click.option("--warnings/--no-warnings", default=False, help="Has no effect.")
@click.pass_obj
def check(session: Session, warnings: bool) -> None:
    check_and_say(session)


def check_and_say(session: Session) -> None:
    """Check the flow, and say so if nothing is wrong with it."""
    workspace = planned(session)
    session.say(f"The flow {workspace.name} is valid: {len(workspace.plan.graph)} steps.")


@click.command(help="Print the steps of the flow and their order.")
@click.pass_obj
def show(session: Session) -> None:
    workspace = planned(session)
    session.echo(picture.show(workspace.plan.graph))
    origins = workspace.configs.origins
    if origins:
        names = {attribute: name for name, attribute in workspace.configs.configs.names.items()}
        width = max(map(len, names.values()))
        session.echo("\nConfigs:")
        for attribute, origin in origins.items():
            session.echo(f"  {names[attribute]:{width}}  {origin}")


@click.command(help="Print the graph in Graphviz format.")
@click.pass_obj
def output_dot(session: Session) -> None:
    session.echo(picture.dot(planned(session).plan.graph))


@click.command(help="Print the graph as read from the source, including its errors.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def output_raw(session: Session, as_json: bool) -> None:
    if as_json:
        session.echo(json.dumps(describe(session.workspace.plan.graph), indent=2, default=repr))
        return
    for node in session.workspace.plan.graph.nodes.values():
        session.echo(f"[{node.name}]  {node.source_file}:{node.line}")
        for field in node._fields[1:]:
            if field not in ("source_file", "line", "definition"):
                session.echo(f"    {field} = {getattr(node, field)!r}")


@click.command(help="Print the version.")
@click.pass_obj
def version(session: Session) -> None:
    session.echo(__version__)


@click.command("help", help="Print the commands and the options before them.")
@click.pass_context
def help_(context: click.Context) -> None:
    assert context.parent is not None
    context.obj.echo(context.parent.get_help())
