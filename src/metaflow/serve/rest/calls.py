"""The table of calls: method, path, what it does, what goes in and comes out. Routes and OpenAPI are made of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from metaflow.serve.rest.service import Answer, Call, MetadataService


class CallRow(NamedTuple):
    """A call.

    Attributes
    ----------
    method, path : str
        Of the request; ``{name}`` in the path stands for a name.
    does : function
        Method of `MetadataService`.
    summary : str
        What it does, in a few words.
    takes, gives : str or None
        Names of schemas in `metaflow.serve.rest.description`; a list of them with ``[]`` after the name.
    filters : str or None
        ``runs`` or ``tasks`` if the list has pages and filters.
    """

    method: str
    path: str
    does: Callable[[MetadataService, Call], Awaitable[Answer]]
    summary: str
    gives: str
    takes: str | None = None
    filters: str | None = None


_F = "/flows/{flow}"
_R = f"{_F}/runs/{{run}}"
_S = f"{_R}/steps/{{step}}"
_T = f"{_S}/tasks/{{task}}"
_M = MetadataService

CALLS = (  # the most frequent ones first: they are looked for in this order
    CallRow("POST", f"{_T}/heartbeat", _M.heartbeat, "Say that a task is alive", "Heartbeat"),
    CallRow("POST", f"{_T}/metadata", _M.add_facts, "Record facts about a task", "Received", "NewFact[]"),
    CallRow("POST", f"{_T}/artifact", _M.add_artifacts, "Record artifacts of a task", "Received", "NewArtifact[]"),
    CallRow("POST", f"{_S}/task", _M.register_task, "Register a task", "Task", "NewTask"),
    CallRow("POST", f"{_S}/step", _M.register_step, "Register a step", "Step", "NewStep"),
    CallRow("POST", f"{_R}/heartbeat", _M.heartbeat, "Say that a run is alive", "Heartbeat"),
    CallRow("PATCH", f"{_R}/tag/mutate", _M.change_tags, "Remove and add tags of a run", "Tags", "TagChange"),
    CallRow("POST", f"{_F}/run", _M.register_run, "Register a run", "Run", "NewRun"),
    CallRow("POST", _F, _M.register_flow, "Register a flow", "Flow", "NewFlow"),
    CallRow("GET", "/flows", _M.flows, "List the flows", "Flow[]"),
    CallRow("GET", _F, _M.flow, "Read a flow", "Flow"),
    CallRow("GET", f"{_F}/runs", _M.runs, "List the runs of a flow", "Run[]", filters="runs"),
    CallRow("GET", _R, _M.run, "Read a run", "Run"),
    CallRow("GET", f"{_R}/steps", _M.steps, "List the steps of a run", "Step[]"),
    CallRow("GET", f"{_R}/tasks", _M.tasks_of_run, "List the tasks of a run", "Task[]", filters="tasks"),
    CallRow("GET", f"{_R}/metadata", _M.facts_below, "List the facts of all tasks of a run", "Fact[]"),
    CallRow("GET", f"{_R}/artifacts", _M.artifacts_below, "List the artifacts of all tasks of a run", "Artifact[]"),
    CallRow("GET", _S, _M.step, "Read a step", "Step"),
    CallRow("GET", f"{_S}/tasks", _M.tasks, "List the tasks of a step", "Task[]", filters="tasks"),
    CallRow("GET", f"{_S}/filtered_tasks", _M.filtered_tasks, "List the paths of tasks with a fact", "Path[]"),
    CallRow("GET", f"{_S}/metadata", _M.facts_below, "List the facts of all tasks of a step", "Fact[]"),
    CallRow("GET", f"{_S}/artifacts", _M.artifacts_below, "List the artifacts of all tasks of a step", "Artifact[]"),
    CallRow("GET", _T, _M.task, "Read a task", "Task"),
    CallRow("GET", f"{_T}/metadata", _M.facts, "List the facts of a task", "Fact[]"),
    CallRow("GET", f"{_T}/artifacts", _M.artifacts, "List the artifacts of a task's latest attempt", "Artifact[]"),
    CallRow("GET", f"{_T}/artifacts/{{artifact}}", _M.artifact, "Read an artifact of the latest attempt", "Artifact"),
    CallRow("GET", f"{_T}/attempt/{{attempt}}/artifacts", _M.artifacts, "List an attempt's artifacts", "Artifact[]"),
    CallRow(
        "GET", f"{_T}/attempt/{{attempt}}/artifacts/{{artifact}}", _M.artifact, "Read an attempt's artifact", "Artifact"
    ),
    CallRow(
        "GET", f"{_T}/artifacts/{{artifact}}/attempt/{{attempt}}", _M.artifact, "Read an attempt's artifact", "Artifact"
    ),
)  # fmt: skip
"""Every call of the metadata service, but for ``/ping``."""
