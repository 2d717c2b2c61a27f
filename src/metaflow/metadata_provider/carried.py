"""Facts that travel with their task: for a task that cannot reach the provider of its run.

Local metadata are files of the machine that carries out the run. A task in a container notes what it would record, the
notes go home with its outcome, and `replay` records them there. Start reading at `CarriedMetadata.calls`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, NoReturn

from metaflow.exception import MetaflowNotFound
from metaflow.metadata_provider.protocol import ArtifactFact, Document, Fact, Provider, TaskPath, WholeAttempt


class CarriedMetadata:
    """Notes what is recorded (`metaflow.metadata_provider.protocol.Provider`); knows nothing of any run.

    Parameters
    ----------
    root, user : str
        As for every provider; not used.

    Attributes
    ----------
    calls : list
        What `replay` takes: JSON values.
    """

    kind = "carried"

    def __init__(self, root: str = "", user: str = "") -> None:
        self.root = root
        self.calls: list[list[Any]] = []

    def register_task(
        self, task: TaskPath, *, tags: Iterable[str], system_tags: Iterable[str], whole: WholeAttempt | None = None
    ) -> None:
        if whole is not None:
            _refuse(str(task))
        self.calls.append(["task", task, list(tags), list(system_tags)])

    def record(self, task: TaskPath, attempt: int | None, facts: Sequence[Fact]) -> None:
        self.calls.append(["facts", task, attempt, list(facts)])

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
        self.calls.append(["artifacts", task, attempt, list(artifacts), storage, list(tags), list(system_tags)])

    def new_run(self, flow: str, *, tags: Iterable[str], system_tags: Iterable[str], latest: bool = True) -> str:
        _refuse(flow)

    def latest_run(self, flow: str) -> str | None:
        _refuse(flow)

    def get(self, path: Sequence[str], attempt: int = 0) -> Document | None:
        _refuse("/".join(path))

    def names(self, path: Sequence[str]) -> list[str]:
        _refuse("/".join(path))

    def children(self, path: Sequence[str]) -> Iterable[Document]:
        _refuse("/".join(path))

    def facts(self, path: Sequence[str], field: str | None = None) -> list[Document]:
        _refuse("/".join(path))

    def change_tags(self, flow: str, run: str, *, add: Iterable[str], remove: Iterable[str]) -> list[str]:
        _refuse(f"{flow}/{run}")


def replay(calls: Sequence[Sequence[Any]], provider: Provider, without: Collection[str] = ()) -> None:
    """Record in `provider` what a `CarriedMetadata` has noted, except for the facts named `without`."""
    for kind, task, *rest in calls:
        path = TaskPath(*task)
        if kind == "task":
            provider.register_task(path, tags=rest[0], system_tags=rest[1])
        elif kind == "facts":
            provider.record(path, rest[0], [Fact(*fact) for fact in rest[1] if fact[0] not in without])
        else:
            attempt, artifacts, (storage, root), tags, system_tags = rest
            noted = [ArtifactFact(*artifact) for artifact in artifacts]
            provider.record_artifacts(path, attempt, noted, storage=(storage, root), tags=tags, system_tags=system_tags)


def _refuse(path: str) -> NoReturn:
    raise MetaflowNotFound(
        f"'{path or 'Metaflow'}' cannot be looked up here: the metadata of this run are files of the machine that "
        "launched it, and this task runs elsewhere.",
        hint="pass what the step needs as an artifact, or use a metadata service",
    )
