"""What a default card tells of a task, read through the client: its index once, and large artifacts not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from metaflow.cards.time_limit import time_limit
from metaflow.exception import MetaflowException, TaskFailed
from metaflow.store.artifacts import load_artifact
from metaflow.store.internals import FAILURE

if TYPE_CHECKING:
    from metaflow.client import Task
    from metaflow.store.artifacts import TaskIndex
    from metaflow.store.blobs import Blobs

_LARGEST_LOADED = 1024 * 1024
"""Bytes of a pickle up to which an artifact is loaded to be shown."""

PATIENCE = 5.0
"""Seconds that one artifact gets to be loaded, and to be shown."""

_MOST_LOADED = 8 * 1024 * 1024
"""Bytes of all that are loaded."""


class ShownArtifact(NamedTuple):
    """An artifact, as far as a card shows it.

    Attributes
    ----------
    name, type : str
        As stored.
    size : int
        Bytes of its pickle.
    values : tuple
        The value, if it was loaded; else empty.
    trouble : str
        Why it was not.
    """

    name: str
    type: str
    size: int
    values: tuple[Any, ...] = ()
    trouble: str = ""


class TaskFacts(NamedTuple):
    """What a card tells of a task.

    Attributes
    ----------
    pathspec : str
        ``Flow/run/step/task``.
    status : str
        ``running``, ``successful``, ``caught`` or ``failed``.
    failure : TaskFailed or None
        Why it failed.
    times : tuple of datetime or None
        When it began and when it ended, in local time.
    tags : tuple of str
        Those of its run.
    recorded : mapping of str to object
        Its metadata.
    graph : mapping
        The artifact ``_graph_info``.
    parameters, artifacts : list of ShownArtifact
        Those of the run, and the others.
    """

    pathspec: str
    status: str
    failure: TaskFailed | None
    times: tuple[Any, Any]
    tags: tuple[str, ...]
    recorded: Mapping[str, Any]
    graph: Mapping[str, Any]
    parameters: Sequence[ShownArtifact]
    artifacts: Sequence[ShownArtifact]

    @property
    def step(self) -> str:
        """The step's name."""
        return self.pathspec.split("/")[2]


def facts_of(task: Task) -> TaskFacts:
    """Read what a card tells of a task, as far as it is stored by now."""
    stored = task._stored()
    verdicts: dict[str, Any] = {}
    graph: Mapping[str, Any] = {}
    shown: list[ShownArtifact] = []
    if stored is not None:
        verdicts = {name: _internal(stored, name) for name in ("_success", "_task_ok", FAILURE)}
        graph = _internal(stored, "_graph_info") or {}
        shown = _artifacts(stored)
    parameters = [str(each.get("name")) for each in graph.get("parameters") or ()]
    record = verdicts.get(FAILURE)
    return TaskFacts(
        pathspec=task.pathspec,
        status=_status(verdicts) if stored is not None else "running",
        failure=TaskFailed.from_record(record) if record is not None else None,
        times=(task.created_at, task.finished_at),
        tags=tuple(sorted(task.tags)),
        recorded=task.metadata_dict,
        graph=graph,
        parameters=[each for each in shown if each.name in parameters],
        artifacts=[each for each in shown if each.name not in parameters],
    )


def _status(verdicts: Mapping[str, Any]) -> str:
    if verdicts.get("_success"):
        return "successful"
    return "caught" if verdicts.get("_task_ok") else "failed"


def _internal(stored: tuple[TaskIndex, Blobs], name: str) -> Any:
    index, blobs = stored
    return load_artifact(blobs, index.objects[name], name) if name in index.objects else None


def _artifacts(stored: tuple[TaskIndex, Blobs]) -> list[ShownArtifact]:
    index, blobs = stored
    left = _MOST_LOADED
    shown = []
    for name in sorted(index.objects):
        if name.startswith("_") or name == "name":  # which every flow has
            continue
        known = index.info.get(name, {})
        kind = str(known.get("type", "")).removeprefix("<class '").removesuffix("'>")
        size = int(known.get("size", 0))
        artifact = ShownArtifact(name, kind, size)
        if size > min(_LARGEST_LOADED, left):
            shown.append(artifact._replace(trouble="Too large to be shown here."))
            continue
        left -= size
        try:
            with time_limit(PATIENCE, "It"):
                value = load_artifact(blobs, index.objects[name], name, size)
        except MetaflowException as error:
            shown.append(artifact._replace(trouble=error.message))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - code of users
            shown.append(artifact._replace(trouble=f"It cannot be loaded: {type(error).__name__}: {error}"))
        else:
            shown.append(artifact._replace(values=(value,)))
    return shown
