"""Which tasks a task's data came from, and where it went.

Nothing records this link by link. It follows from the graph of the run, which says which steps follow one another, and
from where in which foreach a task is: of two tasks in neighbouring steps one is the other's parent if the place of one
is the beginning of the place of the other. Within a recursion every round of the step counts as a parent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from metaflow.metadata_provider.task_ids import parse
from metaflow.store.artifacts import load_artifact
from metaflow.store.internals import BRANCHES

if TYPE_CHECKING:
    from metaflow.client.runs import Run
    from metaflow.client.tasks import Step, Task

_PLACE = "foreach-execution-path"


def parent_steps(step: Step) -> Iterator[Step]:
    """Yield the steps whose transition names `step`, in the order of the graph."""
    for name, node in graph_of(step.parent).items():
        if step.id in node["next"] and name in step.parent:
            yield step.parent[name]


def child_steps(step: Step) -> Iterator[Step]:
    """Yield the steps that the transition of `step` names."""
    for name in graph_of(step.parent).get(step.id, {"next": ()})["next"]:
        if name in step.parent:
            yield step.parent[name]


def parent_tasks(task: Task) -> Iterator[Task]:
    """Yield the tasks of the parent steps that are in the same place, and in the same branch, as `task`."""
    branches, graph = branches_of(task), graph_of(task.parent.parent)
    for other in _neighbours(task, parent_steps(task.parent)):
        if not branches or _in_one_branch(graph, other.parent.id, branches_of(other), task.parent.id, branches):
            yield other


def child_tasks(task: Task) -> Iterator[Task]:
    """Yield the tasks of the child steps that are in the same place, and in the same branch, as `task`."""
    branches, graph = branches_of(task), graph_of(task.parent.parent)
    for step in child_steps(task.parent):
        several = bool(branches) or len(list(parent_steps(step))) > 1
        for other in _neighbours(task, iter((step,))):
            if not several or _in_one_branch(graph, task.parent.id, branches, step.id, branches_of(other)):
                yield other


def inputs_at(
    run: Run,
    step: str,
    graph: Mapping[str, Any],
    place: Sequence[str] = (),
    before: Task | None = None,
    branches: Sequence[str] = (),
) -> list[Task]:
    """Return the tasks whose artifacts come into a task, those of a join in the order of its split.

    Other than `parent_tasks`, of a step that comes back to itself only the round before, and of a switch only the step
    that led here.

    Parameters
    ----------
    run : Run
        Where they are.
    step : str
        The step of the task.
    graph : mapping of str to mapping
        The steps of the flow, as ``_graph_info`` describes them.
    place : sequence of str
        Where the task is: ``step:index`` of each foreach around it.
    before : Task, optional
        The task itself, if it has begun: its inputs began before it.
    branches : sequence of str
        Its branches, if its step does not tell them.
    """
    place = list(place)
    position = _branches(graph, step)
    found: dict[int, Task] = {}
    for name, node in graph.items():
        if step not in node["next"] or name not in run:
            continue
        for task in run[name]:
            theirs, own_branches = place_of(task), branches_of(task)
            if theirs == place or [*theirs, f"{step}:{place[-1].rpartition(':')[2]}" if place else ""] == place:
                if not _in_one_branch(graph, name, own_branches, step, branches):
                    continue
                key = position.get(own_branches[-1] if own_branches else name, 0)
            elif theirs[:-1] == place and len(theirs) > len(place):  # it closes a foreach
                key = int(theirs[-1].rpartition(":")[2])
            else:
                continue
            if key in found and turn_of(task) < turn_of(found[key]):
                continue
            if (before is None or turn_of(task) < turn_of(before)) and _leads_to(task, node, step):
                found[key] = task
    return [found[key] for key in sorted(found)]


def turn_of(task: Task) -> int:
    """Return what orders the tasks of a run by their beginnings."""
    id = parse(task.id)
    return id if id is not None else round(task.created_at.timestamp() * 1000)


def branches_of(task: Task) -> tuple[str, ...]:
    """Return the branches of splits that a task is in, where its step does not tell them."""
    return tuple(task._internal(BRANCHES) or ())


def _in_one_branch(
    graph: Mapping[str, Any], parent: str, theirs: Sequence[str], step: str, branches: Sequence[str]
) -> bool:
    """Return whether a task of `parent`, in the branches `theirs`, can lead to one of `step`, in `branches`.

    Branches are as `branches_of` tells them: none where the step says enough.
    """
    if theirs or not branches:
        return all(ours == other for ours, other in zip(branches, theirs, strict=False))
    if branches[-1] == step:
        return step in _openings(graph[parent])
    return parent in _reached(graph, branches[-1], step)


def _openings(node: Mapping[str, Any]) -> list[str]:
    """Return the steps with which branches of a split begin that a step opens."""
    if node["type"] == "split-static":
        return list(node["next"])
    return [name for case in node.get("switch_cases", {}).values() if isinstance(case, list) for name in case]


def _branches(graph: Mapping[str, Any], join: str) -> dict[str, int]:
    """Return of each step between a split and its join in which branch it is."""
    static = [
        each["next"] for each in graph.values() if each["type"] == "split-static" and each.get("matching_join") == join
    ]
    cases = [case for each in graph.values() for case in each.get("switch_cases", {}).values()]
    branches: dict[str, int] = {}
    for targets in static or [case for case in cases if isinstance(case, list)]:
        for position, target in enumerate(targets):
            for name in _reached(graph, target, join):
                branches.setdefault(name, position)
    return branches


def _reached(graph: Mapping[str, Any], begin: str, end: str) -> list[str]:
    """Return the steps from `begin` on, before `end`."""
    reached = [begin]
    for name in reached:
        reached += [target for target in graph[name]["next"] if target != end and target not in reached]
    return reached


def _leads_to(task: Task, node: Mapping[str, Any], step: str) -> bool:
    transition = task._internal("_transition") if node["type"] == "split-switch" else None
    return transition is None or step in transition[0]


def graph_of(run: Run) -> dict[str, Any]:
    """Return the steps of a run's flow, as ``_graph_info`` describes them; none if it has none."""
    flow, name = run._components
    stored = run._site.parameters(flow, name)
    if stored is None or "_graph_info" not in stored[0].objects:
        return {}
    graph = load_artifact(stored[1], stored[0].objects["_graph_info"], "_graph_info")
    steps: dict[str, Any] = graph["steps"]
    return steps


def _neighbours(task: Task, steps: Iterator[Step]) -> Iterator[Task]:
    place = place_of(task)
    for step in steps:
        for other in step:
            theirs = place_of(other)
            shared = min(len(place), len(theirs))
            if place[:shared] == theirs[:shared]:
                yield other


def place_of(task: Task) -> list[str]:
    """Return where the task is, as ``step:index`` of each foreach around it, the outermost first."""
    facts = task._facts(_PLACE)
    if facts:
        return str(facts[-1]["value"]).split(",")
    return [f"{frame.step}:{frame.index}" for frame in task._internal("_foreach_stack") or ()]
