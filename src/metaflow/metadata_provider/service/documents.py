"""What is in the calls of the metadata service: addresses, and documents to send. Pure.

The tables of `docs/decisions/0039` in code.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote

from metaflow.metadata_provider.protocol import ArtifactFact, Document, Fact, TaskPath

_LEVELS = ("flows", "runs", "steps", "tasks", "artifacts")


def address(path: Sequence[str]) -> str:
    """Return the address of a flow, run, step or task (1 to 4 names)."""
    return "".join(f"/{level}/{quote(name, safe='')}" for level, name in zip(_LEVELS, path, strict=False))


def listing(path: Sequence[str]) -> str:
    """Return the address of what is one level below `path` (0 to 4 names)."""
    return f"{address(path)}/{_LEVELS[len(path)]}"


def creation(path: Sequence[str]) -> str:
    """Return where a flow, run, step or task is registered."""
    flow, run, step, *_ = (*path, "", "", "")
    return (
        address((flow,)),
        f"{address((flow,))}/run",
        f"{address((flow, run, step))}/step",
        f"{address((flow, run, step))}/task",
    )[len(path) - 1]


def name_of(document: Document, depth: int) -> str:
    """Return the name of an object of `depth` names; runs and tasks that were given a name have it beside a number."""
    if depth == 2:
        return str(document.get("run_id") or document["run_number"])
    if depth == 4:
        return str(document.get("task_name") or document["task_id"])
    return str(document[("flow_id", "", "step_name", "", "name")[depth - 1]])


def registration(path: Sequence[str], user: str, tags: Iterable[str], system_tags: Iterable[str], now: int) -> Document:
    """Return what registers a run, step or task."""
    names = dict(zip(("flow_id", "run_number", "step_name", "task_id"), path, strict=False))
    return names | {"user_name": user, "tags": list(tags), "system_tags": list(system_tags), "ts_epoch": now}


def fact_documents(task: TaskPath, attempt: int | None, facts: Iterable[Fact], user: str, now: int) -> list[Document]:
    """Return what records facts."""
    label = [] if attempt is None else [f"attempt_id:{attempt}"]
    head = _names(task)
    return [
        {**head, "field_name": fact.name, "type": fact.type, "value": fact.value, "tags": label, "user_name": user}
        | {"ts_epoch": now}
        for fact in facts
    ]


def artifact_documents(
    task: TaskPath,
    attempt: int,
    artifacts: Iterable[ArtifactFact],
    storage: tuple[str, str],
    user: str,
    tags: Iterable[str],
    system_tags: Iterable[str],
    now: int,
) -> list[Document]:
    """Return what records artifacts."""
    kind, root = storage
    common = {"ds_type": kind, "location": f":root:{root}", "user_name": user, "ts_epoch": now}
    common |= {"tags": list(tags), "system_tags": list(system_tags), "attempt_id": attempt}
    return [
        {
            **_names(task),
            "name": each.name,
            "content_type": each.content_type,
            "type": each.type,
            "sha": each.sha,
            **common,
        }
        for each in artifacts
    ]


def _names(task: TaskPath) -> dict[str, Any]:
    return {"flow_id": task.flow, "run_number": task.run, "step_name": task.step, "task_id": task.task}
