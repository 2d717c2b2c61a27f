"""How a run begins: an id, and the parameters stored as the artifacts of a pseudo-task.

Every later task gets these artifacts by reference: configs, parameters, the plain values of the flow's class, the
graph, and the flow's name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from metaflow.flow.config_value import plain
from metaflow.flow.plan import FlowPlan
from metaflow.flow.spec import constants_of
from metaflow.metadata_provider.protocol import Fact, Recorder, TaskPath, unclaimed
from metaflow.metadata_provider.task_ids import NUMBERS
from metaflow.runtime.record import AttemptRecord
from metaflow.store.artifacts import TaskIndex, save_artifacts
from metaflow.store.blobs import Blobs
from metaflow.store.layout import PARAMETERS
from metaflow.store.protocol import Storage


def first_artifacts(plan: FlowPlan, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return what every step finds on self, whatever the steps before it have done."""
    return {
        **constants_of(plan.flow_class),
        "name": plan.name,
        **plan.initial,
        **{name: plain(value) for name, value in plan.configs.values.items()},
        **parameters,
    }


def begin_run(
    plan: FlowPlan,
    parameters: Mapping[str, Any],
    storage: Storage,
    metadata: Recorder,
    *,
    tags: Iterable[str],
    system_tags: Iterable[str],
    facts: Iterable[Fact],
    origin: TaskIndex | None = None,
    claim: Callable[[str], None] = unclaimed,
) -> str:
    """Register a run, store its parameters, and return its id.

    Parameters
    ----------
    plan : FlowPlan
        The flow; it must have passed lint.
    parameters : mapping of str to object
        Attribute name to value.
    storage, metadata
        Where the run is kept.
    tags, system_tags : iterable of str
        The run's tags.
    facts : iterable of Fact
        What is recorded of the pseudo-task.
    origin : TaskIndex, optional
        Of a run that goes on from another: the other's parameters, taken over unread; `parameters` are those that it
        did not have.
    claim : callable, optional
        Called with the id, before anybody can see the run.

    Raises
    ------
    UnpicklableArtifact
        A parameter or a plain value of the flow's class cannot be stored; no run is registered.
    """
    flow = plan.name
    tags, system_tags = list(tags), list(system_tags)
    index = TaskIndex({}, {}) if origin is None else TaskIndex(dict(origin.objects), dict(origin.info))
    values = {
        **first_artifacts(plan, parameters),
        "_configs_processed": True,
        "_foreach_stack": [],
        "_graph_info": plan.description(),
        "_success": True,
        "_task_ok": True,
        "_transition": None,
    }
    save_artifacts(Blobs(storage, flow), values.items(), index)
    run = metadata.new_run(flow, tags=tags, system_tags=system_tags, claim=claim)
    task = TaskPath(flow, run, PARAMETERS, str(metadata.numbering(flow, run).parameters))
    record = AttemptRecord(task, 0, storage, metadata, tags=tags, system_tags=system_tags)
    record.begin()
    limits = {"start_step": plan.graph.start, "end_step": plan.graph.end}
    record.add_facts([*facts, *(Fact(name, step, "graph_structure") for name, step in limits.items())])
    record.close(index, ok=True)
    usual = task._replace(task=str(NUMBERS.parameters))
    if usual != task:  # whoever looks into the storage only, as tasks do, looks there
        storage.copy([(f"{task}/{name}", f"{usual}/{name}") for name in record.store.names()])
    return run
