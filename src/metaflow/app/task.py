"""Running one task, in its own process: what a task's command line asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping

from metaflow.app.facts import contributions, system_facts, system_tags
from metaflow.app.workspace import Workspace
from metaflow.client.scope import scope
from metaflow.client.site import Site
from metaflow.compute.command import SPOT_NOTICE, TERMINATION, TaskOptions
from metaflow.compute.report import CONTAINER, TaskReport, enter_container, open_channel
from metaflow.exception import CommandException, MetaflowException, TaskFailed
from metaflow.flow.current import current
from metaflow.metadata_provider.deferred import DeferredMetadata
from metaflow.metadata_provider.protocol import Fact, Metadata
from metaflow.runtime.task import Task, TaskPlan


def run_task(
    workspace: Workspace, step: str, options: TaskOptions, environ: MutableMapping[str, str], code_package: str | None
) -> int:
    """Run a task; return the exit status of the process.

    Parameters
    ----------
    workspace : Workspace
        The flow, with the options of its run.
    step : str
        The task's step.
    options : TaskOptions
        Which attempt of which task, and what comes in.
    environ : mutable mapping
        The environment; what is meant for this process alone is taken out of it.
    code_package : str or None
        The fact about the code that the task runs.

    Raises
    ------
    MetaflowException
        The task could not begin or end; whoever started it has been told.
    """
    if step not in workspace.flow_class._steps:
        raise CommandException(f"The flow {workspace.name} has no step '{step}'.")
    spins = options.spin_root is not None
    workspace = workspace.with_configs_of(options.input_paths.partition("/")[0] if spins else options.run_id)
    if spins:
        from metaflow.app import spun  # which other tasks need not load

        workspace, _ = spun.applied(workspace, step, skip_decorators=options.skip_decorators)
    settings, namespace = workspace.settings, options.namespace or None
    # The client of the step looks where the run is, wherever the step changes directory to.
    scope.adopt(Site(workspace.metadata, workspace.storage), namespace)
    added = contributions(workspace)
    task = TaskPlan(
        run=options.run_id,
        step=step,
        task=options.task_id,
        attempt=options.retry_count,
        last_code_attempt=options.max_user_code_retries,
        input_paths=options.input_paths,
        split_index=options.split_index,
        max_splits=options.max_num_splits,
        namespace=namespace,
        origin_run=options.clone_run_id,
        tags=options.tags,
        system_tags=system_tags(settings, added),
        user=settings.user,
        tempdir=settings.tempdir or ".",
        facts=(*system_facts(settings, workspace.script, code_package), *_facts_of_place(workspace, step, environ)),
        termination=environ.pop(TERMINATION, None),
        branches=options.branches,
    )
    for each in added:
        current._set(each.current)
    notice = environ.pop(SPOT_NOTICE, None)
    if notice is not None:
        current._set({"spot_termination_notice": notice})
    enter_container(environ)
    report = _with_entries(workspace.metadata, open_channel(environ))
    try:
        if spins:
            return spun.run_spun_task(workspace, task, options, report)
        return Task(workspace.plan, task, workspace.storage, workspace.metadata, report).run()
    except MetaflowException as error:
        where = {"where": error.where} if error.where else {}
        report(TaskReport(failure=TaskFailed(error.message, hint=error.hint, **where)))
        raise


def _facts_of_place(workspace: Workspace, step: str, environ: Mapping[str, str]) -> list[Fact]:
    sender = workspace.plan.steps[step].sender
    found = sender.facts_of_place(environ) if sender is not None else {}
    if CONTAINER in environ:
        found = {"container": environ[CONTAINER], **found}
    return [Fact(name, value, name) for name, value in found.items()]


def _with_entries(metadata: Metadata, report: Callable[[TaskReport], None]) -> Callable[[TaskReport], None]:
    """Let what the metadata have collected go home with the report, where they cannot be reached."""
    if not isinstance(metadata, DeferredMetadata):
        return report
    return lambda ended: report(ended._replace(entries=tuple(metadata.entries)))
