"""What is written of one attempt of a task, and in which order.

Registered; begun; facts; then, when it is over, the index of what it stored, the artifacts' facts, the done marker, and
last the fact that it is done. Blobs are there before the index that names them, so a reader never sees a name without
its bytes, whatever dies when. Tasks, the parameters of a run and tasks taken over from another run are written alike.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from metaflow.flow.frames import ForeachFrame
from metaflow.provider.protocol import ArtifactFact, Fact, Provider, TaskPath
from metaflow.runtime.events import Outcome
from metaflow.store.artifacts import Artifacts, TaskIndex, TaskStore
from metaflow.store.protocol import Storage

PARAMETERS = "_parameters"
"""The pseudo-step whose task 0 holds the parameters of a run."""

_INTERNALS = frozenset({"_exception", "_foreach_stack", "_graph_info", "_success", "_task_ok", "_transition"})
"""The internal artifacts that clients ask the provider for; the index has all."""


def stored_outcome(values: Artifacts) -> Outcome | None:
    """Return how a task that is done went on, from what it has stored; None if it failed."""
    if not values["_task_ok"]:
        return None
    transition = values["_transition"]
    return Outcome(True, tuple(transition[0]) if transition else (), values.get("_foreach_num_splits"))


class AttemptRecord:
    """The record of one attempt.

    Parameters
    ----------
    path : TaskPath
        The task.
    attempt : int
        From 0.
    storage, provider
        Where it is written.
    tags, system_tags : iterable of str
        The run's.
    """

    def __init__(
        self,
        path: TaskPath,
        attempt: int,
        storage: Storage,
        provider: Provider,
        *,
        tags: Iterable[str],
        system_tags: Iterable[str],
    ) -> None:
        self.path = path
        self.attempt = attempt
        self.store = TaskStore(storage, str(path))
        self._storage = storage
        self._provider = provider
        self._tags = list(tags)
        self._system_tags = list(system_tags)

    def begin(self) -> None:
        """Register the task and mark the attempt as begun."""
        self._provider.register_task(self.path, tags=self._tags, system_tags=self._system_tags)
        self.store.begin(self.attempt, time.time())

    def note(self, facts: Sequence[Fact]) -> None:
        """Record facts."""
        self._provider.record(self.path, self.attempt, facts)

    def note_place(self, frames: Sequence[ForeachFrame], origin_run: str | None, further: Iterable[Fact]) -> None:
        """Record where the attempt stands: the run it goes on from, its storage, the foreaches around it."""
        facts = [
            Fact("attempt", str(self.attempt), "attempt"),
            Fact("origin-run-id", str(origin_run), "origin-run-id"),
            Fact("ds-type", self._storage.kind, "ds-type"),
            Fact("ds-root", self._storage.root, "ds-root"),
            *further,
        ]
        if frames:
            stack = [f"{frame.var}={frame.value}" for frame in frames]
            path = ",".join(f"{frame.step}:{frame.index}" for frame in frames)
            facts.append(Fact("foreach-stack", stack, "foreach-stack"))
            facts.append(Fact("foreach-execution-path", path, "foreach-execution-path"))
        self.note(facts)

    def close(self, index: TaskIndex, *, ok: bool) -> None:
        """Write the index, whose blobs must be there, and mark the attempt as done."""
        self.store.write_index(index)
        self._provider.record_artifacts(
            self.path,
            self.attempt,
            [
                ArtifactFact(name, key)
                for name, key in index.objects.items()
                if not name.startswith("_") or name in _INTERNALS
            ],
            storage=(self._storage.kind, self._storage.root),
            tags=self._tags,
            system_tags=self._system_tags,
        )
        self.note([Fact("attempt_ok", str(ok), "internal_attempt_status")])
        self.store.mark_done(self.attempt)
        self.note([Fact("attempt-done", str(self.attempt), "attempt-done")])
