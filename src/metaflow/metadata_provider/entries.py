"""What is recorded of a task, as values: for a recorder that writes later, or lets others write.

An entry is one call of a recorder's writing methods. `Entry.write` makes the call; `to_json` and `entry_from_json`
carry an entry from one process to another. Pure, but for the recorder that is handed in.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any, NamedTuple, TypeAlias

from metaflow.metadata_provider.protocol import ArtifactFact, Fact, Recorder, TaskPath, WholeAttempt


class TaskEntry(NamedTuple):
    """A task is registered."""

    task: TaskPath
    tags: Sequence[str]
    system_tags: Sequence[str]
    whole: WholeAttempt | None = None

    def write(self, recorder: Recorder) -> None:
        recorder.register_task(self.task, tags=self.tags, system_tags=self.system_tags, whole=self.whole)

    def to_json(self) -> list[Any]:
        assert self.whole is None, "only the engine takes over whole attempts, and it writes them itself"
        return ["task", self.task, self.tags, self.system_tags]


class FactsEntry(NamedTuple):
    """Facts are added to a task."""

    task: TaskPath
    attempt: int | None
    facts: Sequence[Fact]

    def write(self, recorder: Recorder) -> None:
        recorder.record(self.task, self.attempt, self.facts)

    def to_json(self) -> list[Any]:
        return ["facts", self.task, self.attempt, self.facts]


class ArtifactsEntry(NamedTuple):
    """The artifacts of an attempt are added."""

    task: TaskPath
    attempt: int
    artifacts: Sequence[ArtifactFact]
    storage: tuple[str, str]
    tags: Sequence[str]
    system_tags: Sequence[str]

    def write(self, recorder: Recorder) -> None:
        recorder.record_artifacts(
            self.task,
            self.attempt,
            self.artifacts,
            storage=self.storage,
            tags=self.tags,
            system_tags=self.system_tags,
        )

    def to_json(self) -> list[Any]:
        return ["artifacts", *self]


Entry: TypeAlias = TaskEntry | FactsEntry | ArtifactsEntry


def entry_from_json(document: Sequence[Any]) -> Entry:
    """Make the entry that `to_json` has described."""
    kind, task, *rest = document
    path = TaskPath(*task)
    if kind == "task":
        return TaskEntry(path, *rest)
    if kind == "facts":
        attempt, facts = rest
        return FactsEntry(path, attempt, [Fact(*fact) for fact in facts])
    attempt, artifacts, storage, tags, system_tags = rest
    kind, root = storage
    return ArtifactsEntry(path, attempt, [ArtifactFact(*each) for each in artifacts], (kind, root), tags, system_tags)


def without_facts(entries: Sequence[Entry], names: Container[str]) -> list[Entry]:
    """Return `entries` without the facts of these names."""
    return [
        entry._replace(facts=[fact for fact in entry.facts if fact.name not in names])
        if isinstance(entry, FactsEntry)
        else entry
        for entry in entries
    ]
