"""Metadata of a task that cannot reach those of its run: it collects what it would record.

Local metadata are files of the machine that carries out the run. A task in a container collects entries, which go home
with its report and are written there. Of the run, the task finds itself only, by what it has recorded; nothing else can
be looked up. Start reading at `DeferredMetadata.entries`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NoReturn

from metaflow.exception import MetaflowNotFound
from metaflow.metadata_provider.entries import ArtifactsEntry, Entry, FactsEntry, TaskEntry
from metaflow.metadata_provider.protocol import (
    ArtifactFact,
    Document,
    Fact,
    ListedRun,
    TaskPath,
    WholeAttempt,
    WritesAtOnce,
    unclaimed,
)


class DeferredMetadata(WritesAtOnce):
    """Collects what is recorded (`metaflow.metadata_provider.protocol.Metadata`); of a run it knows only that.

    Parameters
    ----------
    root, user : str
        As for all metadata; not used.

    Attributes
    ----------
    entries : list of Entry
        What has been recorded, in order.
    """

    kind = "deferred"

    def __init__(self, root: str = "", user: str = "") -> None:
        self.root = root
        self.entries: list[Entry] = []
        self._since = time.time_ns() // 1_000_000

    def register_task(
        self, task: TaskPath, *, tags: Iterable[str], system_tags: Iterable[str], whole: WholeAttempt | None = None
    ) -> None:
        self.entries.append(TaskEntry(task, list(tags), list(system_tags), whole))

    def record(self, task: TaskPath, attempt: int | None, facts: Sequence[Fact]) -> None:
        self.entries.append(FactsEntry(task, attempt, list(facts)))

    def record_artifacts(
        self,
        task: TaskPath,
        attempt: int,
        artifacts: Sequence[ArtifactFact],
        *,
        storage: tuple[str, str],
        tags: Iterable[str],
        system_tags: Iterable[str],
    ) -> None:
        self.entries.append(ArtifactsEntry(task, attempt, list(artifacts), storage, list(tags), list(system_tags)))

    def new_run(
        self,
        flow: str,
        *,
        tags: Iterable[str],
        system_tags: Iterable[str],
        claim: Callable[[str], None] = unclaimed,
    ) -> str:
        _refuse(flow)

    def latest_run(self, flow: str) -> str | None:
        _refuse(flow)

    def get(self, path: Sequence[str], attempt: int = 0) -> Document | None:
        own = next((entry for entry in self.entries if isinstance(entry, TaskEntry) and _is_on_way(path, entry)), None)
        if own is None:
            _refuse("/".join(path))
        if len(path) > len(own.task) and path[-1] not in self._artifacts(attempt):
            return None
        return {"ts_epoch": self._since, "tags": list(own.tags), "system_tags": list(own.system_tags)}

    def _artifacts(self, attempt: int) -> set[str]:
        stored = [entry for entry in self.entries if isinstance(entry, ArtifactsEntry) and entry.attempt == attempt]
        return {artifact.name for entry in stored for artifact in entry.artifacts}

    def names(self, path: Sequence[str]) -> list[str]:
        _refuse("/".join(path))

    def children(self, path: Sequence[str]) -> Iterable[Document]:
        _refuse("/".join(path))

    def facts(self, path: Sequence[str], field: str | None = None) -> list[Document]:
        self.get(path)
        return [
            {
                "field_name": fact.name,
                "value": fact.value,
                "type": fact.type,
                "tags": [f"attempt_id:{entry.attempt}"] if entry.attempt is not None else [],
                "ts_epoch": self._since,
            }
            for entry in self.entries
            if isinstance(entry, FactsEntry)
            for fact in entry.facts
            if field in (None, fact.name)
        ]

    def newest(
        self,
        flow: str,
        before: int | None = None,
        filters: Mapping[str, str] | None = None,
        page_size: int | None = None,
    ) -> Iterable[ListedRun]:
        _refuse(flow)

    def facts_below(self, path: Sequence[str], fields: Collection[str]) -> Iterable[Document]:
        _refuse("/".join(path))

    def change_tags(self, flow: str, run: str, *, add: Iterable[str], remove: Iterable[str]) -> list[str]:
        _refuse(f"{flow}/{run}")


def _is_on_way(path: Sequence[str], entry: TaskEntry) -> bool:
    """Tell whether a path is that of a task, of what it is in, or of an artifact of it."""
    return bool(path) and tuple(path[:4]) == tuple(entry.task[: len(path)])


def _refuse(path: str) -> NoReturn:
    raise MetaflowNotFound(
        f"'{path or 'Metaflow'}' cannot be looked up here: the metadata of this run are files of the machine that "
        "launched it, and this task runs elsewhere.",
        hint="pass what the step needs as an artifact, or use a metadata service",
    )
