"""What is made of the end of an attempt: how it counts, why it failed, and the record that a dead process left open.

A task closes its own attempt, well or not. Where its process died before it could, the engine does it here: whoever
reads the run later finds an end with a class and a sentence for every attempt. An attempt that closed itself is never
written over.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from metaflow.compute.endings import PEAK_FACT, cancelled, failure_of
from metaflow.compute.protocol import Ended
from metaflow.compute.report import TaskReport
from metaflow.exception import StepRaised, StorageUnavailable, TaskCancelled, TaskFailed
from metaflow.flow.frames import ForeachFrame
from metaflow.metadata_provider.protocol import Provider, TaskPath
from metaflow.runtime.events import Launch
from metaflow.runtime.record import AttemptRecord, stored_report
from metaflow.store.artifacts import Artifacts, read_index
from metaflow.store.blobs import Blobs
from metaflow.store.protocol import Storage

if TYPE_CHECKING:
    from metaflow.flow.graph import Graph


class Verdict(NamedTuple):
    """How an attempt ended.

    Attributes
    ----------
    report : TaskReport
        For the scheduler.
    is_told : bool
        Whether its own log says so.
    trouble : StorageUnavailable or None
        Why its end could not be recorded.
    """

    report: TaskReport
    is_told: bool = True
    trouble: StorageUnavailable | None = None


class Judge:
    """Decides how attempts ended, and closes what is open; may be called in a thread.

    Parameters
    ----------
    flow, run : str
        Names.
    graph : Graph
        The flow.
    storage, metadata
        Where the run is kept.
    system_tags : iterable of str
        The run's.
    """

    def __init__(
        self, flow: str, run: str, graph: Graph, storage: Storage, metadata: Provider, system_tags: Iterable[str]
    ) -> None:
        self._flow = flow
        self._run = run
        self._graph = graph
        self._storage = storage
        self._metadata = metadata
        self._system_tags = list(system_tags)

    def of(self, launch: Launch, ended: Ended, tags: Iterable[str], *, is_stopped: bool = False) -> Verdict:
        """Return how an attempt ended.

        Parameters
        ----------
        launch : Launch
            The attempt.
        ended : Ended
            What its launcher tells.
        tags : iterable of str
            The run's.
        is_stopped : bool
            Whether it was the engine that ended it.
        """
        told = ended.report
        if told is not None and told.ok:
            return self._on_success(launch, told)
        path = TaskPath(self._flow, self._run, launch.step, str(launch.task))
        record = AttemptRecord(
            path, launch.attempt, self._storage, self._metadata, tags=tags, system_tags=self._system_tags
        )
        stored = self._stored(record)
        if told is None and stored is not None:
            report = stored_report(stored)
            return self._on_success(launch, report) if report.ok else Verdict(report)
        if told is not None and told.failure is not None:
            failure = told.failure
        elif is_stopped:
            failure = TaskCancelled(cancelled(launch.step))
        else:
            peak = ended.facts.get(PEAK_FACT)
            failure = ended.failure or failure_of(
                launch.step, ended.code, ended.signal, peak_mb=float(peak) if peak else None
            )
        verdict = _failed(failure, is_told=told is not None)
        if stored is None:
            try:
                record.close_dead(failure, self._frames(launch))
            except StorageUnavailable as trouble:
                return verdict._replace(trouble=trouble)
        return verdict

    def _stored(self, record: AttemptRecord) -> Artifacts | None:
        """Return what an attempt has stored, if it came to its done marker."""
        if record.attempt not in record.store.attempts()[1]:
            return None
        index = record.store.read_index(record.attempt)
        return None if index is None else Artifacts(Blobs(self._storage, self._flow), index)

    def _frames(self, launch: Launch) -> list[ForeachFrame]:
        """Return the foreaches around a task, as it would have stored them; the elements' texts are left out."""
        before = launch.inputs[0]
        index = read_index(self._storage, f"{self._flow}/{self._run}/{before.step}/{before.id}")
        values = Artifacts(Blobs(self._storage, self._flow), index) if index is not None else {}
        frames: list[ForeachFrame] = list(values.get("_foreach_stack") or [])
        if launch.split_index is not None:
            var, width = values.get("_foreach_var"), values.get("_foreach_num_splits")
            return [*frames, ForeachFrame(launch.step, var or "", width or 0, launch.split_index)]
        return frames[:-1] if self._graph.closes_foreach(launch.step) else frames

    def _on_success(self, launch: Launch, report: TaskReport) -> Verdict:
        if set(report.next) <= set(self._graph[launch.step].next):
            return Verdict(report)
        steps = ", ".join(report.next)
        return _failed(StepRaised(f"the step '{launch.step}' went on to {steps}, which its source does not say"))


def _failed(failure: TaskFailed, *, is_told: bool = True) -> Verdict:
    return Verdict(TaskReport(failure=failure), is_told)
