"""Which tasks a task's data came from, and where it went.

Nothing records this link by link. It follows from the graph of the run, which says which steps follow one another, and
from where in which foreach a task is: of two tasks in neighbouring steps one is the other's parent if the place of one
is the beginning of the place of the other. Within a recursion every round of the step counts as a parent.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from metaflow.store.artifacts import load_artifact
from metaflow.store.layout import PARAMETERS

if TYPE_CHECKING:
    from metaflow.client.tasks import Step, Task

_PLACE = "foreach-execution-path"


def parent_steps(step: Step) -> Iterator[Step]:
    """Yield the steps whose transition names `step`, in the order of the graph."""
    for name, node in _graph(step).items():
        if step.id in node["next"] and name in step.parent:
            yield step.parent[name]


def child_steps(step: Step) -> Iterator[Step]:
    """Yield the steps that the transition of `step` names."""
    for name in _graph(step).get(step.id, {"next": ()})["next"]:
        if name in step.parent:
            yield step.parent[name]


def parent_tasks(task: Task) -> Iterator[Task]:
    """Yield the tasks of the parent steps that are in the same place as `task`."""
    return _neighbours(task, parent_steps(task.parent))


def child_tasks(task: Task) -> Iterator[Task]:
    """Yield the tasks of the child steps that are in the same place as `task`."""
    return _neighbours(task, child_steps(task.parent))


def _graph(step: Step) -> dict[str, Any]:
    flow, run, _ = step._components
    stored = step._site.index((flow, run, PARAMETERS, "0"), None)
    if stored is None or "_graph_info" not in stored[0].objects:
        return {}
    graph = load_artifact(stored[1], stored[0].objects["_graph_info"], "_graph_info")
    steps: dict[str, Any] = graph["steps"]
    return steps


def _neighbours(task: Task, steps: Iterator[Step]) -> Iterator[Task]:
    place = _place(task)
    for step in steps:
        for other in step:
            theirs = _place(other)
            shared = min(len(place), len(theirs))
            if place[:shared] == theirs[:shared]:
                yield other


def _place(task: Task) -> list[str]:
    """Return where the task is, as ``step:index`` of each foreach around it, the outermost first."""
    facts = task._facts(_PLACE)
    if facts:
        return str(facts[-1]["value"]).split(",")
    return [f"{frame.step}:{frame.index}" for frame in task._internal("_foreach_stack") or ()]
