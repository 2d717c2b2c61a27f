"""Checking a flow as a run does, before anything is written."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable

from metaflow import registry
from metaflow.app.facts import contributions, run_context
from metaflow.app.workspace import Workspace
from metaflow.compute.command import FlowOptions
from metaflow.exception import CommandException, InvalidFlow
from metaflow.flow import lint
from metaflow.flow.spec import FlowSpec
from metaflow.options import rows
from metaflow.settings.table import DEFAULT_ENVIRONMENT, ENVIRONMENT


def check_flow(workspace: Workspace, remark: Callable[[str], None]) -> None:
    """Check parameters, decorators, graph and options of a flow; say what decorators and ``--without`` change.

    Raises
    ------
    MetaflowException
        At the first thing that is wrong, with the user's file and line.
    """
    _check_environment(workspace)
    _check_one_flow(workspace.path)
    for name, steps in workspace.plan.removed.items():
        remark(f"Without @{name}: {', '.join(steps) or 'no step has it'}.")
    _check_options(workspace)
    for each in contributions(workspace):
        if each.remark:
            remark(each.remark)
    lint.check(workspace.plan)
    for doubt in lint.doubts(workspace.plan):
        remark(f"Warning: {doubt.message} It fails if it is reached.\n    {doubt.where}")


def _check_options(workspace: Workspace) -> None:
    """Refuse options of decorators that the flow has not, and let those that it has check theirs."""
    decorators = workspace.plan.decorators
    names = {decorator.name for decorator in decorators}
    for row, value in zip(rows(FlowOptions), workspace.options, strict=True):
        if row.option.needs and row.option.needs not in names and value != row.default:
            raise CommandException(
                f"{row.word} is for flows with @{row.option.needs}, and {workspace.name} has none.",
                hint=f"leave it out, or write @{row.option.needs}(…) above the class",
            )
    context = run_context(workspace)
    for decorator in decorators:
        decorator.check_run(context, lambda flow, run: workspace.metadata.get((flow, run)) is not None)


def _check_environment(workspace: Workspace) -> None:
    try:
        registry.load("environment", workspace.environment)
    except CommandException as error:
        values = workspace.settings.values
        name = next(
            (
                row.name
                for row in (ENVIRONMENT, DEFAULT_ENVIRONMENT)
                if values.string(row.name) == workspace.environment
            ),
            None,
        )
        where = f"{name} in {values.origin(name)}" if name is not None else f"--environment {workspace.environment}"
        hint = error.hint or "to use what is installed where the tasks run, add --environment local before the command"
        raise CommandException(f"{where}: {error.message}", hint=hint) from None


def _check_one_flow(path: str) -> None:
    """Refuse a main program that starts two flows one after the other: the first one ends the process.

    Raises
    ------
    InvalidFlow
        It does.
    """
    names = {
        name
        for name, value in vars(sys.modules["__main__"]).items()
        if isinstance(value, type) and issubclass(value, FlowSpec) and value is not FlowSpec
    }
    if len(names) < 2:
        return
    try:
        with open(path, "rb") as file:
            tree = ast.parse(file.read())
    except (OSError, SyntaxError):
        return  # the graph says what is wrong with the source
    blocks = [tree.body, *(inner.body for inner in ast.walk(tree) if isinstance(inner, ast.If))]
    for block in blocks:
        started = [
            (statement.value.func.id, statement.lineno)
            for statement in block
            if isinstance(statement, ast.Expr)
            and isinstance(statement.value, ast.Call)
            and isinstance(statement.value.func, ast.Name)
            and statement.value.func.id in names
        ]
        if len(started) > 1:
            (first, _), (second, line) = started[:2]
            raise InvalidFlow(
                f"The file starts two flows, {first} and {second}, and the second would never run.",
                line,
                path,
                hint="put each flow in its own file",
            )
