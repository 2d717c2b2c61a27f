"""What is recorded of every run and task: versions, user, script, and what the flow's decorators add."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from metaflow.compute.command import FlowOptions
from metaflow.flow.flow_decorator import Contribution, RunContext
from metaflow.metadata_provider.protocol import Fact
from metaflow.options import rows
from metaflow.version import __version__

if TYPE_CHECKING:
    from metaflow.app.workspace import Workspace
    from metaflow.settings import Settings

_PYTHON = ".".join(str(part) for part in sys.version_info[:3])


def run_context(workspace: Workspace) -> RunContext:
    """Return what the flow's decorators are told of a run."""
    options = {row.name: getattr(workspace.options, row.name) for row in rows(FlowOptions) if row.option.needs}
    return RunContext(workspace.name, workspace.settings.user, options)


def contributions(workspace: Workspace) -> list[Contribution]:
    """Return what the flow's decorators add to a run.

    Raises
    ------
    MetaflowException
        An option does not go together with what a decorator says.
    """
    context = run_context(workspace)
    return [decorator.contribute(context) for decorator in workspace.plan.decorators]


def system_tags(settings: Settings, added: Iterable[Contribution] = ()) -> tuple[str, ...]:
    """Return the immutable tags of a run."""
    own = ("runtime:dev", f"user:{settings.user}", f"metaflow_version:{__version__}", f"python_version:{_PYTHON}")
    return (*own, *(tag for each in added for tag in each.system_tags))


def system_facts(settings: Settings, script: str, code_package: str | None = None) -> tuple[Fact, ...]:
    """Return the facts that every task records, `code_package` among them if its run has one."""
    values = {
        "metaflow_version": __version__,
        "python_version": _PYTHON,
        "runtime": "dev",
        "script-name": script.rpartition("/")[2],
        "user": settings.user,
    }
    if code_package is not None:
        values["code-package"] = code_package
    return tuple(Fact(name, value, name) for name, value in values.items())
