"""What is written of one attempt of a task, and in which order.

Registered; begun; facts; then, when it is over, the index of what it stored, the artifacts' facts, the done marker, and
last the fact that it is done. Blobs are there before the index that names them, so a reader never sees a name without
its bytes, whatever dies when. Tasks, the parameters of a run and tasks taken over from another run are written alike.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from metaflow.compute.report import TaskReport
from metaflow.exception import MetaflowDataMissing, MetaflowExceptionWrapper, StepRaised, TaskFailed
from metaflow.flow.frames import ForeachFrame, PicklableFrames
from metaflow.metadata_provider.protocol import ArtifactFact, Fact, Recorder, TaskPath, WholeAttempt
from metaflow.store import internals, layout
from metaflow.store.artifacts import TaskIndex, TaskStore, save_artifacts
from metaflow.store.blobs import Blobs
from metaflow.store.internals import FAILURE
from metaflow.store.protocol import Storage


def stored_report(values: Mapping[str, Any]) -> TaskReport:
    """Return how a task that is done ended, from what it has stored."""
    if not values["_task_ok"]:
        return TaskReport(failure=_stored_failure(values))
    transition = values["_transition"]
    return TaskReport(tuple(transition[0]) if transition else (), values.get("_foreach_num_splits"))


def _stored_failure(values: Mapping[str, Any]) -> TaskFailed:
    """Return why a task failed; Metaflow stores the exception only."""
    record = values.get(FAILURE)
    if record is not None:
        return TaskFailed.from_record(record)
    error = values.get("_exception")
    return StepRaised(f"{error.type}: {error.exception}" if error is not None else "the step failed")


class AttemptRecord:
    """The record of one attempt.

    Parameters
    ----------
    path : TaskPath
        The task.
    attempt : int
        From 0.
    storage, recorder
        Where it is written.
    tags, system_tags : iterable of str
        The run's.
    """

    def __init__(
        self,
        path: TaskPath,
        attempt: int,
        storage: Storage,
        recorder: Recorder,
        *,
        tags: Iterable[str],
        system_tags: Iterable[str],
    ) -> None:
        self.path = path
        self.attempt = attempt
        self.store = TaskStore(storage, str(path))
        self._storage = storage
        self._recorder = recorder
        self._tags = list(tags)
        self._system_tags = list(system_tags)

    def begin(self) -> None:
        """Register the task and mark the attempt as begun."""
        self._recorder.register_task(self.path, tags=self._tags, system_tags=self._system_tags)
        self.store.write(self.store.begun(self.attempt, time.time()))

    def add_facts(self, facts: Sequence[Fact]) -> None:
        """Record facts."""
        self._recorder.record(self.path, self.attempt, facts)

    def add_location(self, frames: Sequence[ForeachFrame], origin_run: str | None, further: Iterable[Fact]) -> None:
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
        self.add_facts(facts)

    def close_dead(self, failure: TaskFailed, frames: Sequence[ForeachFrame]) -> None:
        """Close an attempt whose process died before it could; `frames` are the foreaches around it."""
        if self.attempt not in self.store.attempts()[0]:
            self.begin()
            self.add_location(frames, None, ())
        index = self._kept()
        text = f"{failure.message}\n" + (f"hint: {failure.hint}\n" if failure.hint else "")
        values = {
            "_current_step": self.path.step,
            "_exception": MetaflowExceptionWrapper(failure, text),
            FAILURE: failure.record(),
            "_foreach_num_splits": None,
            "_foreach_stack": list(frames),
            "_foreach_var": None,
            "_iteration_stack": [],
            "_success": False,
            "_task_ok": False,
            "_transition": None,
        }
        with PicklableFrames():
            save_artifacts(Blobs(self._storage, self.path.flow), values.items(), index)
        self.close(index, ok=False, failure=failure)

    def reclassify(self, failure: TaskFailed) -> None:
        """Say of an attempt that has failed, and has said so, why it really did."""
        index = self._kept()
        save_artifacts(Blobs(self._storage, self.path.flow), [(FAILURE, failure.record())], index)
        self.store.write(self.store.index(index))
        self.add_facts([_failure_fact(failure)])

    def _kept(self) -> TaskIndex:
        """Return an index of what an attempt had stored before it ended."""
        try:
            found = self.store.read_index(self.attempt)
        except MetaflowDataMissing:
            found = None
        return TaskIndex({**found.objects} if found else {}, {**found.info} if found else {}, self.attempt)

    def close(self, index: TaskIndex, *, ok: bool, failure: TaskFailed | None = None) -> None:
        """Write the index, whose blobs must be there, and mark the attempt as done.

        Parameters
        ----------
        index : TaskIndex
            What the attempt has stored.
        ok : bool
            Whether the run can go on after it.
        failure : TaskFailed, optional
            Why it failed, also if a decorator has caught it.
        """
        self.store.write(self.store.index(index))
        self._recorder.record_artifacts(
            self.path,
            self.attempt,
            _artifact_facts(index),
            storage=(self._storage.kind, self._storage.root),
            tags=self._tags,
            system_tags=self._system_tags,
        )
        facts = [_failure_fact(failure)] if failure is not None else []
        self.add_facts([*facts, Fact("attempt_ok", str(ok), "internal_attempt_status")])
        self.store.write(self.store.done(self.attempt))
        self.add_facts([Fact("attempt-done", str(self.attempt), "attempt-done")])


def _failure_fact(failure: TaskFailed) -> Fact:
    return Fact("failure", json.dumps(failure.record()), "failure")


class Copy(NamedTuple):
    """A task that is taken over from another run of the flow, as one that finished well in its first attempt.

    Attributes
    ----------
    path, origin : TaskPath
        The new task, and the one that it is taken over from.
    before : TaskIndex
        What the origin has, as `read_indexes` returned it.
    now : TaskIndex
        What the new task has: `before`, or another index whose blobs are there.
    """

    path: TaskPath
    origin: TaskPath
    before: TaskIndex
    now: TaskIndex


def write_copies(
    copies: Sequence[Copy], storage: Storage, recorder: Recorder, *, tags: Sequence[str], system_tags: Sequence[str]
) -> None:
    """Write the whole records of tasks that are taken over, all of them together.

    What is not recorded here, clients look up at the origin.

    Parameters
    ----------
    copies : sequence of Copy
        The tasks.
    storage : Storage
        Where they are written and the origins are.
    recorder : Recorder
        Where they are registered.
    tags, system_tags : sequence of str
        The run's.
    """
    storage.copy([pair for copy in copies for pair in _files(copy)])
    changed = [copy for copy in copies if copy.now is not copy.before]
    storage.put([TaskStore(storage, str(copy.path)).index(copy.now) for copy in changed], overwrite=True)
    storage.copy([_file(copy, layout.DONE) for copy in copies])
    where = (storage.kind, storage.root)
    places = {"ds-type": storage.kind, "ds-root": storage.root} if where != ("local", recorder.root) else {}
    for copy in copies:
        facts = {"origin-run-id": copy.origin.run, "origin-task-id": copy.origin.task, "attempt-done": "0", **places}
        recorded = [Fact(name, value, name) for name, value in facts.items()]
        artifacts = [fact for fact in _artifact_facts(copy.now) if fact.name != "_exception"]  # there was none
        # A task has finished, clients say, when its `_task_ok` was recorded. Of a later attempt nothing can be shared.
        can_share = copy.before.attempt == 0
        shared = [fact for fact in artifacts if can_share and fact.name != "_task_ok"]
        new = [fact for fact in artifacts if not can_share or fact.name == "_task_ok"]
        whole = WholeAttempt(recorded, new, where, copy.origin, shared)
        recorder.register_task(copy.path, tags=tags, system_tags=system_tags, whole=whole)


def _files(copy: Copy) -> Iterator[tuple[str, str]]:
    """Yield the keys of the origin's files that the new task has too, its done marker excepted, with the new keys."""
    for name in layout.files_of_attempt(copy.before.attempt, copy.before.names):
        if name not in (layout.INDEX, layout.DONE):
            yield _file(copy, name)
    if copy.now is copy.before:
        yield _file(copy, layout.INDEX)


def _file(copy: Copy, name: str) -> tuple[str, str]:
    return (
        layout.attempt_file(str(copy.origin), copy.before.attempt, name),
        layout.attempt_file(str(copy.path), 0, name),
    )


def _artifact_facts(index: TaskIndex) -> list[ArtifactFact]:
    return [ArtifactFact(name, key) for name, key in index.objects.items() if internals.has_document(name)]
