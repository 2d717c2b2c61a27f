"""Runs written by hand, in the layout of the datastore: what the tests of the client read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from metaflow.exception import MetaflowExceptionWrapper
from metaflow.flow.frames import ForeachFrame
from metaflow.metadata_provider.local import LocalMetadata
from metaflow.metadata_provider.protocol import ArtifactFact, Fact, TaskPath
from metaflow.store.artifacts import TaskIndex, TaskStore, save_artifacts
from metaflow.store.blobs import Blobs
from metaflow.store.local import LocalStorage
from metaflow.store.logs.lines import format_line

NEXT = {"start": ["work"], "work": ["join"], "join": ["end"], "end": []}


class Place:
    """A datastore with its metadata.

    Parameters
    ----------
    directory : str
        The directory above the ``.metaflow``.
    """

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.root = f"{directory}/.metaflow"
        self.provider = LocalMetadata(self.root, "ann")
        self.storage = LocalStorage(self.root)

    def run(self, flow: str = "Numbers", *, tags: Sequence[str] = (), user: str = "ann") -> WrittenRun:
        """Begin a run: its parameters are there, no step is."""
        system = [f"user:{user}", "runtime:dev"]
        run = WrittenRun(self, flow, self.provider.new_run(flow, tags=tags, system_tags=system))
        steps = {name: {"name": name, "next": following} for name, following in NEXT.items()}
        run.task("_parameters", "0", alpha=0.5, _graph_info={"steps": steps})
        run.facts("_parameters", "0", None, start_step="start", end_step="end")
        return run

    def foreach(self, count: int = 3, **options: Any) -> WrittenRun:
        """Write a whole run of start, a foreach over numbers, join and end."""
        run = self.run(**options)
        run.task("start", "1", items=list(range(count)))
        for number in range(count):
            run.task("work", str(number + 2), frames=[("work", number)], doubled=2 * number)
        run.task("join", str(count + 2), total=sum(range(count)))
        run.task("end", str(count + 3), total=sum(range(count)), alpha=0.5)
        return run


class WrittenRun:
    """A run, as far as it has been written."""

    def __init__(self, place: Place, flow: str, id: str) -> None:
        self.place = place
        self.flow = flow
        self.id = id
        self.path = f"{flow}/{id}"

    def begin(self, step: str, task: str, attempt: int = 0) -> None:
        """Register a task and begin an attempt."""
        path = TaskPath(self.flow, self.id, step, task)
        document = self.place.provider.get(path[:2])
        assert document is not None
        tags, system = document["tags"], document["system_tags"]
        self.place.provider.register_task(path, tags=tags, system_tags=system)
        store = TaskStore(self.place.storage, str(path))
        store.write(store.begun(attempt, 1.0))
        self.facts(step, task, attempt, attempt=str(attempt))

    def task(
        self,
        step: str,
        task: str,
        attempt: int = 0,
        *,
        frames: Sequence[tuple[str, int]] = (),
        error: MetaflowExceptionWrapper | None = None,
        **artifacts: Any,
    ) -> None:
        """Write an attempt of a task from its begin to its end."""
        self.begin(step, task, attempt)
        path = TaskPath(self.flow, self.id, step, task)
        if frames:
            place = ",".join(f"{name}:{index}" for name, index in frames)
            self.facts(step, task, attempt, **{"foreach-execution-path": place})
        stack = [ForeachFrame(name, "items", 3, index, str(index)) for name, index in frames]
        values = {"_foreach_stack": stack, "_success": error is None, "_task_ok": error is None, "_exception": error}
        index = TaskIndex({}, {}, attempt)
        save_artifacts(Blobs(self.place.storage, self.flow), (values | artifacts).items(), index)
        store = TaskStore(self.place.storage, str(path))
        store.write(store.index(index))
        facts = [ArtifactFact(name, sha) for name, sha in index.objects.items()]
        storage = ("local", self.place.root)
        self.place.provider.record_artifacts(path, attempt, facts, storage=storage, tags=[], system_tags=[])
        self.facts(step, task, attempt, attempt_ok=str(error is None), **{"attempt-done": str(attempt)})
        store.write(store.done(attempt))

    def facts(self, step: str, task: str, attempt: int | None, /, **values: str) -> None:
        """Record facts about a task."""
        path = TaskPath(self.flow, self.id, step, task)
        self.place.provider.record(path, attempt, [Fact(name, value, name) for name, value in values.items()])

    def print(self, step: str, task: str, *lines: bytes, attempt: int = 0, stream: str = "stdout") -> None:
        """Store what an attempt printed, one line a second from the epoch on."""
        stored = [format_line(line, second, str(second)) for second, line in enumerate(lines)]
        key = f"{self.path}/{step}/{task}/{attempt}.runtime_{stream}.log"
        self.place.storage.put([(key, b"".join(stored))], overwrite=True)
