"""Commands about the flow itself, which run nothing: `check`, `show`, `output-dot`, `output-raw`, `version`."""

from __future__ import annotations

import click

from metaflow.cli.session import Session
from metaflow.exception import InvalidFlow


def check_flow(session: Session) -> None:
    """Check the flow as `run` does: parameters, decorators, graph.

    Raises
    ------
    MetaflowException
        At the first thing that is wrong, with the user's file and line.
    """
    from metaflow.flow import lint

    check_one_flow(session)
    for name, steps in session.plan.removed.items():
        session.say(f"Without @{name}: {', '.join(steps) or 'no step has it'}.")
    lint.check(session.plan)


def check_one_flow(session: Session) -> None:
    """Refuse a file that starts two flows one after the other: the first one ends the process.

    Raises
    ------
    InvalidFlow
        It does.
    """
    import ast
    import sys

    from metaflow.flow.spec import FlowSpec

    names = {
        name
        for name, value in vars(sys.modules["__main__"]).items()
        if isinstance(value, type) and issubclass(value, FlowSpec) and value is not FlowSpec
    }
    if len(names) < 2:
        return
    try:
        with open(session.path, "rb") as file:
            tree = ast.parse(file.read())
    except (OSError, SyntaxError):
        return  # the graph says what is wrong with the source
    blocks = [tree.body, *(inner.body for inner in ast.walk(tree) if isinstance(inner, ast.If))]
    for block in blocks:
        called = [
            (statement.value.func.id, statement.lineno)
            for statement in block
            if isinstance(statement, ast.Expr)
            and isinstance(statement.value, ast.Call)
            and isinstance(statement.value.func, ast.Name)
            and statement.value.func.id in names
        ]
        if len(called) > 1:
            (first, _), (second, line) = called[:2]
            raise InvalidFlow(
                f"The file starts two flows, {first} and {second}, and the second would never run.",
                line,
                session.path,
                hint="put each flow into a file of its own",
            )


@click.command(help="Check the flow's graph and parameters.")
@click.option("--warnings/--no-warnings", default=False, help="Accepted; there is one kind of remark.")
@click.pass_obj
def check(session: Session, warnings: bool) -> None:
    check_and_say(session)


def check_and_say(session: Session) -> None:
    """Check the flow, and say so if nothing is wrong with it."""
    check_flow(session)
    session.say(f"The flow {session.flow_name} is valid: {len(session.plan.graph)} steps.")


@click.command(help="Print the steps and how they follow one another.")
@click.pass_obj
def show(session: Session) -> None:
    check_flow(session)
    session.echo(session.plan.graph.show())


@click.command(help="Print the graph in the language of Graphviz.")
@click.pass_obj
def output_dot(session: Session) -> None:
    check_flow(session)
    session.echo(session.plan.graph.dot())


@click.command(help="Print the graph as it was read from the source, faults included.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_obj
def output_raw(session: Session, as_json: bool) -> None:
    if as_json:
        import json

        session.echo(json.dumps(session.plan.graph.info(), indent=2, default=repr))
        return
    for node in session.plan.graph.nodes.values():
        session.echo(f"[{node.name}]  {node.source_file}:{node.line}")
        for field in node._fields[1:]:
            if field not in ("source_file", "line", "definition"):
                session.echo(f"    {field} = {getattr(node, field)!r}")


@click.command(help="Print the version.")
@click.pass_obj
def version(session: Session) -> None:
    from metaflow.version import __version__

    session.echo(__version__)
