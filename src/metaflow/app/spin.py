"""Spinning: one step alone, on this machine, with the inputs that it had in a past run.

The past run is only read. What the step makes is kept in a directory of its own, or nowhere. Like `metaflow.app.run`,
it prints nothing. Start reading at `spin`.
"""

from __future__ import annotations

import json
import os
import time
from difflib import get_close_matches
from itertools import islice
from typing import NamedTuple

from metaflow.app.check import check_flow
from metaflow.app.driver import StartedRun
from metaflow.app.early import EarlyZygote
from metaflow.app.facts import contributions, system_tags
from metaflow.app.options import SpinOptions
from metaflow.app.run import RunCallbacks, check_signals, check_writable, to_its_end, write_documents
from metaflow.app.spun import applied
from metaflow.app.targets import RunFrame, local_target
from metaflow.app.workspace import Workspace
from metaflow.client.lineage import branches_of, graph_of, inputs_at, place_of, turn_of
from metaflow.client.runs import Flow, Run
from metaflow.client.site import Site
from metaflow.client.tasks import Task
from metaflow.compute.command import Spinning
from metaflow.exception import CommandException, TaskFailed
from metaflow.flow.graph import Graph
from metaflow.flow.node import steps_of_case
from metaflow.metadata_provider.deferred import DeferredMetadata
from metaflow.metadata_provider.local import SpinMetadata
from metaflow.metadata_provider.protocol import Recorder
from metaflow.metadata_provider.task_ids import parse
from metaflow.options import check
from metaflow.runtime.engine import Engine, EngineOptions
from metaflow.runtime.events import Finish, Launch, TaskRef
from metaflow.runtime.policy import policy_of
from metaflow.runtime.spin import OneTask, SpinMessages
from metaflow.store.artifacts import read_parameters
from metaflow.store.layout import PARAMETERS
from metaflow.store.protocol import Storage
from metaflow.store.spin import ScratchStorage, SpinStorage

_AS_BY_DEFAULT = SpinOptions()
_SILENT = RunCallbacks()
_LOOKED_AT = 20
"""How many runs are looked at to find one that has reached a step."""

_FORMS = "STEP, RUN/STEP or RUN/STEP/TASK, each also with the flow's name before it"


class FinishedSpin(NamedTuple):
    """How a spun task ended.

    Attributes
    ----------
    pathspec : str
        ``Flow/id/step/0``.
    finish : Finish
        Whether it was successful, and if not why.
    root : str or None
        The directory with its results; None if they were not kept.
    cause : TaskFailed or None
        Why it failed.
    signal : int or None
        Number of the signal that interrupted it.
    """

    pathspec: str
    finish: Finish
    root: str | None
    cause: TaskFailed | None = None
    signal: int | None = None

    @property
    def ok(self) -> bool:
        """Whether it was successful."""
        return self.finish.ok


class _Past(NamedTuple):
    """What comes in, and what it is, for people: the inputs of a task, or what others have left."""

    title: str
    inputs: tuple[TaskRef, ...]
    split_index: int | None = None
    branches: tuple[str, ...] = ()


def spin(
    workspace: Workspace,
    pathspec: str,
    options: SpinOptions = _AS_BY_DEFAULT,
    callbacks: RunCallbacks = _SILENT,
    *,
    zygote: EarlyZygote | None = None,
    handle_signals: bool = False,
) -> FinishedSpin:
    """Run one step with the inputs of a past task.

    Parameters
    ----------
    workspace, callbacks, zygote, handle_signals
        As for `metaflow.app.run.run`.
    pathspec : str
        ``STEP``: of the newest run in the namespace; ``RUN/STEP``; or ``RUN/STEP/TASK``. Where a step had several
        tasks and none is named, it is the one that failed, else the first.
    options : SpinOptions, optional
        How.

    Returns
    -------
    FinishedSpin
        Also if it failed.

    Raises
    ------
    MetaflowException
        It could not begin: the flow or an option is wrong, or there is no past task that it could be.
    ValueError
        Signals cannot be handled here.
    """
    zygote = zygote or EarlyZygote()
    _check_options(workspace, options, handle_signals)
    workspace = workspace.with_options(**_without_spin(workspace))
    run_id, step, task_id = _names(workspace, pathspec)
    run = _past_run(workspace, run_id, step, options)
    storage = _storage_of(run)
    workspace = workspace.with_options(datastore=storage.kind, datastore_root=storage.root).with_configs_of(run.id)
    check_flow(workspace, callbacks.remark)
    graph = workspace.plan.graph  # read from source once; which decorators are applied makes no difference to it
    workspace, left_out = applied(workspace, step, skip_decorators=options.skip_decorators)
    if left_out and not options.skip_decorators:
        callbacks.remark(f"Not applied by spin: {', '.join(f'@{name}' for name in left_out)}.")
    past = _past_task(graph, run, step, task_id)
    callbacks.remark(f"Spinning {step} with {past.title}.")
    return _carry_out(workspace, graph, run.id, step, past, options, callbacks, zygote, handle_signals)


def _check_options(workspace: Workspace, options: SpinOptions, handle_signals: bool) -> None:
    check_signals(handle_signals)
    check(options)
    check_writable("--run-id-file", options.run_id_file)
    check_writable("--runner-attribute-file", options.runner_attribute_file)
    if workspace.options.config or workspace.options.config_value:
        raise CommandException(
            "--config and --config-value cannot be given to spin: its configs are those of the past run.",
            hint="--artifacts-module FILE gives other ones: ARTIFACTS = {'NAME': {…}}",
        )
    module = options.artifacts_module
    if module is not None and not os.path.isfile(module):
        raise CommandException(f"--artifacts-module {module}: there is no such file.")


def _without_spin(workspace: Workspace) -> dict[str, None]:
    """Return what takes options away that name the place of spun tasks: inputs are those of runs."""
    options = workspace.options
    return {name: None for name in ("mode", "metadata", "datastore") if getattr(options, name) == "spin"}


# --- which task -----------------------------------------------------------------------------------------------------


def _names(workspace: Workspace, pathspec: str) -> tuple[str | None, str, str | None]:
    """Return run, step and task that a path names, the run and the task if it does."""
    names = pathspec.split("/")
    if len(names) == 4 or (len(names) == 3 and names[2] in workspace.flow_class._steps):
        flow = names.pop(0)
        if flow != workspace.name:
            raise CommandException(f"'{pathspec}' is a task of the flow {flow}, not of {workspace.name}.")
    if len(names) > 3 or not all(names):
        raise CommandException(f"'{pathspec}' is not the path of a step or a task.", hint=f"the form is {_FORMS}")
    run, step, task = (None, names[0], None) if len(names) == 1 else (*names, None)[:3]
    assert step is not None
    steps = list(workspace.flow_class._steps)
    if step not in steps:
        near = get_close_matches(step, steps, n=1)
        raise CommandException(
            f"The flow {workspace.name} has no step '{step}'.",
            hint=f"did you mean '{near[0]}'?" if near else f"its steps: {', '.join(steps)}; the form is {_FORMS}",
        )
    return run, step, task


def _past_run(workspace: Workspace, run_id: str | None, step: str, options: SpinOptions) -> Run:
    namespace = f"user:{workspace.settings.user}" if options.namespace is None else options.namespace or None
    site = Site(workspace.metadata, workspace.storage)
    flow = Flow._at((workspace.name,), site, namespace if run_id is None else None)
    if run_id is not None:
        if run_id not in flow:
            raise CommandException(f"The flow {workspace.name} has no run '{run_id}' here.")
        return flow[run_id]
    run = flow.latest_run
    if run is not None:
        return run
    other = Flow._at((workspace.name,), site).latest_run
    if other is not None:
        raise CommandException(
            f"The flow {workspace.name} has no run in the namespace '{namespace}'.",
            hint=f"name a run: `{workspace.invocation} spin {other.id}/{step}`",
        )
    raise CommandException(
        f"The flow {workspace.name} has no run here whose results '{step}' could start from.",
        hint=f"`{workspace.invocation} run` makes one",
    )


def _storage_of(run: Run) -> Storage:
    """Return where a run's data is."""
    flow, id = run._components
    site = run._site
    if read_parameters(site.storage, flow, id) is not None:
        return site.storage
    return site.storage_of(site.parameters_task(flow, id))


def _past_task(graph: Graph, run: Run, step: str, task_id: str | None) -> _Past:
    """Return the past task and what came into it.

    Raises
    ------
    CommandException
        There is none, and the steps before it have not finished either.
    """
    task = _task(run, step, task_id)
    if task is None:
        return _as_next(graph, run, step)
    steps = graph_of(run)
    inputs = inputs_at(run, step, steps, place_of(task), task, branches_of(task))
    return _past(run, f"the inputs of {task.pathspec}", inputs, place_of(task))._replace(branches=branches_of(task))


def _task(run: Run, step: str, task_id: str | None) -> Task | None:
    if step not in run:
        if task_id is not None:
            raise CommandException(f"The run {run.id} has no step '{step}', and so no task '{task_id}' of it.")
        return None
    tasks = run[step]
    if task_id is not None:
        if task_id not in tasks:
            ids = [task.id for task in tasks][::-1]
            hint = f"its tasks: {', '.join(ids[:5])}{', …' if len(ids) > 5 else ''}"
            raise CommandException(f"The step '{step}' has no task '{task_id}' in the run {run.id}.", hint=hint)
        return tasks[task_id]
    failure = run.failure
    failed = str(failure.values.get("task")) if failure is not None and failure.values.get("step") == step else ""
    return tasks[failed] if failed in tasks else min(tasks, key=turn_of, default=None)


def _as_next(graph: Graph, run: Run, step: str) -> _Past:
    """Return what comes into a step that the run has not reached, or not had: what the steps before it have left there.

    Raises
    ------
    CommandException
        They have not finished there, or end in another way than the source has it now.
    """
    if step == graph.start:
        return _Past(f"the parameters of {run.pathspec}", (_parameters(run),))
    parents = [name for name in graph[step].parents if name in run]
    done = sorted((task for name in parents for task in run[name] if task.finished), key=turn_of)
    if not done:
        raise _not_reached(graph, run, step)
    first = done[0]
    place = place_of(first)
    if graph[first.parent.id].kind == "foreach":
        if first._internal("_foreach_num_splits") is None:
            raise _not_reached(graph, run, step, f"the step '{first.parent.id}' had no foreach there")
        place = [*place, f"{step}:0"]
    elif graph.closes_foreach(step):
        place = place[:-1]
    kinds = {"split": "split-static", "switch": "split-switch"}
    nodes = {
        name: {
            "next": [target for _, case in node.cases for target in steps_of_case(case)] or list(node.next),
            "type": kinds.get(node.kind, node.kind),
            "matching_join": node.matching_join,
        }
        for name, node in graph.nodes.items()
    }
    inputs = inputs_at(run, step, nodes, place)
    wanted = _width(graph, step, first) if graph[step].is_join else 1
    if len(inputs) < wanted or not set(inputs) <= set(done):
        finished = len(set(inputs) & set(done))
        raise _not_reached(graph, run, step, f"only {finished} of the {wanted} tasks before it finished there")
    return _past(run, f"what {_named(inputs)} left", inputs, place)


def _named(tasks: list[Task]) -> str:
    shown = ", ".join(task.pathspec for task in tasks[:3])
    return f"{shown}, …" if len(tasks) > 3 else shown


def _width(graph: Graph, join: str, task: Task) -> int:
    """Return how many tasks come into a join, one of which is `task`."""
    if graph.closes_foreach(join):
        return int(task._internal("_foreach_stack")[-1].num_splits)
    split = graph[graph[join].split_parents[-1]]
    return len(split.next) if split.kind == "split" else 1


def _not_reached(graph: Graph, run: Run, step: str, reason: str = "") -> CommandException:
    before = ", ".join(graph[step].parents)
    reason = reason or f"what comes before it ({before}) has not finished there"
    flow = run.parent
    other = next((each for each in islice(flow, _LOOKED_AT) if step in each), None)
    hint = f"another run has it: spin {other.id}/{step}" if other is not None else "`run` or `resume` the flow first"
    return CommandException(f"The run {run.id} has not reached the step '{step}', and {reason}.", hint=hint)


def _past(run: Run, title: str, inputs: list[Task], place: list[str]) -> _Past:
    if not inputs:
        return _Past(title, (_parameters(run),))
    opened = len(inputs) == 1 and len(place_of(inputs[0])) < len(place)
    index = int(place[-1].rpartition(":")[2]) if opened else None
    return _Past(title, tuple(_reference(each.parent.id, each.id) for each in inputs), index)


def _parameters(run: Run) -> TaskRef:
    flow, id = run._components
    return _reference(PARAMETERS, run._site.parameters_task(flow, id).task)


def _reference(step: str, name: str) -> TaskRef:
    id = parse(name)
    if id is None:
        raise CommandException(
            f"An orchestrator has made {step}/{name}, which is an input of this task: it cannot be spun.",
            hint="name a task of a run that was started from the command line",
        )
    return TaskRef(step, id)


# --- carrying it out ------------------------------------------------------------------------------------------------


def _carry_out(
    workspace: Workspace,
    graph: Graph,
    run_id: str,
    step: str,
    past: _Past,
    options: SpinOptions,
    callbacks: RunCallbacks,
    zygote: EarlyZygote,
    handle_signals: bool,
) -> FinishedSpin:
    root = workspace.settings.spin_root if options.persist else None
    recorder: Recorder = SpinMetadata(root, workspace.settings.user) if root is not None else DeferredMetadata()
    storage: Storage = SpinStorage(root) if root is not None else ScratchStorage()
    tags = system_tags(workspace.settings, contributions(workspace))
    spun = str(time.time_ns() // 1000)
    if root is not None:
        spun = recorder.new_run(workspace.name, tags=(), system_tags=tags)
    _write_files(workspace, spun, step, options)
    place = recorder.kind, recorder.root, storage.kind, storage.root
    callbacks.started(StartedRun(workspace.name, spun, *place, task=f"{step}/0"))
    namespace = f"user:{workspace.settings.user}" if options.namespace is None else options.namespace or None
    frame = RunFrame(spun, (), namespace, options.max_log_size * 1_000_000)
    module = os.path.abspath(options.artifacts_module) if options.artifacts_module is not None else None
    spinning = Spinning(run_id, root or "", module, options.skip_decorators, past.branches)
    policy = policy_of(workspace.plan.steps[step])
    target = local_target(workspace, frame, None, zygote, callbacks.remark)
    engine = Engine(
        workspace.name,
        spun,
        graph,
        {"local": target._replace(command=target.command._replace(spinning=spinning))},
        storage,
        recorder,
        EngineOptions(max_log_bytes=frame.log_bytes, system_tags=tags, preflight="off"),
        policy=lambda step: policy,
        scheduler=OneTask(Launch(0, step, 0, past.split_index, past.inputs)),
        messages=SpinMessages,
    )
    try:
        finish = to_its_end(lambda: engine.run(callbacks.console, handle_signals=handle_signals), engine.cancel)
    finally:
        zygote.stop()
    pathspec = f"{workspace.name}/{spun}/{step}/0"
    return FinishedSpin(pathspec, finish, root, engine.failures.get(0), engine.interrupted)


def _write_files(workspace: Workspace, spun: str, step: str, options: SpinOptions) -> None:
    attributes = {
        "task_id": "0",
        "step_name": step,
        "run_id": spun,
        "flow_name": workspace.name,
        "metadata": f"spin@{os.path.dirname(workspace.settings.spin_root)}",
    }
    write_documents({options.run_id_file: spun, options.runner_attribute_file: json.dumps(attributes)})
