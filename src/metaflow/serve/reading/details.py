"""What the pages of one run and of one task tell, from what was recorded and stored.

Start reading at `attempts_of`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from metaflow.metadata_provider.protocol import Document, TaskPath
from metaflow.serve.reading.folding import AttemptStory, TaskStory, shown_failure
from metaflow.serve.reading.previews import Artifact, stored_value
from metaflow.serve.reading.protocol import (
    ArtifactRow,
    AttemptDetail,
    CodeReference,
    Phase,
    RunRow,
    TaskRow,
)
from metaflow.store.artifacts import TaskIndex
from metaflow.store.blobs import Blobs

_PLACES = {
    "kubernetes-pod-name": "pod",
    "kubernetes-node-name": "node",
    "aws-batch-job-id": "Batch job",
    "container": "container",
}
_REQUESTS = ("resources", "kubernetes", "batch")
"""Decorators that say what a step asks for; what a later one says counts."""


def graph_of(stored: tuple[TaskIndex, Blobs] | None) -> Mapping[str, Any]:
    """Return the graph of a run's flow, from what its parameters' task has stored."""
    graph = stored_value(stored, "_graph_info")
    return graph if isinstance(graph, dict) and isinstance(graph.get("steps"), dict) else {}


def parameter_names(graph: Mapping[str, Any]) -> list[str]:
    """Return the names of a flow's parameters."""
    found = graph.get("parameters") or ()
    return sorted(str(each["name"]) for each in found if isinstance(each, dict) and "name" in each)


def request_of(graph: Mapping[str, Any], step: str) -> dict[str, str]:
    """Return what a step asks for, as its decorators in the source say."""
    node = graph.get("steps", {}).get(step)
    written = node.get("decorators") if isinstance(node, dict) else None
    found: dict[str, str] = {}
    for decorator in written if isinstance(written, (list, tuple)) else ():
        if isinstance(decorator, dict) and decorator.get("name") in _REQUESTS:
            attributes = decorator.get("attributes")
            if decorator["name"] != "resources":
                found["backend"] = str(decorator["name"])
            if isinstance(attributes, dict):
                said = {str(name): value for name, value in attributes.items() if value not in (None, "", [], {})}
                found |= {name: str(value) for name, value in said.items()}
    return found


def code_of(facts: Mapping[str, Document]) -> CodeReference:
    """Return what a run ran, from the facts of one of its tasks by name."""
    script = str(facts.get("script-name", {}).get("value", ""))
    try:
        package = json.loads(facts["code-package"]["value"])
        return CodeReference(script, str(package["sha"]), str(package["location"]))
    except (KeyError, ValueError, TypeError):
        return CodeReference(script)


def first_failure(run: RunRow, rows: Sequence[TaskRow]) -> TaskPath | None:
    """Return the task to look at first: the one that made the run fail, else the first that failed."""
    blamed = run.failure
    if blamed is not None and blamed.step is not None and blamed.task is not None:
        return TaskPath(run.flow, run.run, blamed.step, blamed.task)
    failed = [row for row in rows if row.state in ("failed", "lost")]
    first = min(failed, key=lambda row: (row.state == "lost", row.ended or row.started or 0), default=None)
    return None if first is None else TaskPath(run.flow, run.run, first.step, first.task)


def attempts_of(
    story: TaskStory, facts: Iterable[Document], registered: int, *, is_orphan: bool
) -> tuple[AttemptDetail, ...]:
    """Return the attempts of a task, the oldest first.

    Parameters
    ----------
    story : TaskStory
        What the facts tell.
    facts : iterable of dict
        The facts.
    registered : int
        When the task was registered.
    is_orphan : bool
        Whether its run has ended.
    """
    by_attempt: dict[int, dict[str, str]] = {}
    for fact in facts:
        value = fact["value"]
        text = value if isinstance(value, str) else json.dumps(value)
        for number in _attempts(fact, story):
            by_attempt.setdefault(number, {})[str(fact["field_name"])] = text
    return tuple(
        AttemptDetail(
            number=number,
            state=story.state(attempt, is_orphan=is_orphan),
            started=attempt.began,
            ended=attempt.ended,
            failure=shown_failure(attempt.failure),
            phases=_phases(attempt, by_attempt.get(number, {}), registered if number == 0 else None),
            facts=by_attempt.get(number, {}),
        )
        for number, attempt in sorted(story.attempts.items())
    )


def _attempts(fact: Document, story: TaskStory) -> list[int]:
    """Return of which attempts a fact is; one about the task is about all of them."""
    labels = [tag.removeprefix("attempt_id:") for tag in fact.get("tags") or () if tag.startswith("attempt_id:")]
    return [int(label) for label in labels if label.isdecimal()] or list(story.attempts)


def _phases(attempt: AttemptStory, facts: Mapping[str, str], registered: int | None) -> tuple[Phase, ...]:
    """Return what an attempt's time was spent on: what was measured, else what the times tell."""
    measured = []
    for name in ("queued", "pulled", "started", "code", "data"):
        try:
            measured.append(Phase(name, float(facts[f"startup-{name}-seconds"])))
        except (KeyError, ValueError):
            continue
    if not measured and registered is not None and attempt.began is not None and attempt.began > registered:
        measured.append(Phase("queued", (attempt.began - registered) / 1000))
    if attempt.began is not None and attempt.ended is not None:
        measured.append(Phase("ran", (attempt.ended - attempt.began) / 1000))
    return tuple(measured)


def place_of(facts: Iterable[Document]) -> str:
    """Return where a task's latest attempt ran, in a few words; empty if nothing tells."""
    values = {fact["field_name"]: str(fact["value"]) for fact in facts}
    return ", ".join(f"{word} {values[name]}" for name, word in _PLACES.items() if name in values)


def artifacts_of(stored: tuple[TaskIndex, Blobs] | None) -> tuple[ArtifactRow, ...]:
    """Return the user's artifacts, by name."""
    if stored is None:
        return ()
    index = stored[0]
    names = sorted(name for name in index.objects if not name.startswith("_") and name != "name")
    return tuple(ArtifactRow(*Artifact.of(index, name)) for name in names)
