"""What the engine itself writes about the tasks of its run, and what it reads back of an attempt that ended silently.

A task records itself (`metaflow.runtime.record`). The engine adds what only it knows: the place where an attempt runs,
why there is another, what a task in a container carried home. And it closes the attempts whose process died before it
could: whoever reads the run later finds an end with a class and a sentence for every attempt. An attempt that closed
itself is never written over.

Nothing here blocks the event loop. Start reading at `RunRecord.ended`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from metaflow.compute.protocol import Ended, Started
from metaflow.compute.report import TaskReport
from metaflow.exception import TaskFailed
from metaflow.flow.frames import ForeachFrame
from metaflow.metadata_provider.entries import FactsEntry, TaskEntry, without_facts
from metaflow.metadata_provider.protocol import Fact, Recorder, TaskPath
from metaflow.metadata_provider.queue import RecorderQueue
from metaflow.runtime.events import Launch
from metaflow.runtime.record import AttemptRecord, stored_report
from metaflow.store.artifacts import Artifacts, read_index
from metaflow.store.blobs import Blobs
from metaflow.store.protocol import Storage

if TYPE_CHECKING:
    from metaflow.flow.graph import Graph


_PATIENCE = 0.2
"""Seconds that a task is held up so that it can read what was recorded before."""


class RunRecord:
    """The engine's side of a run's record.

    Parameters
    ----------
    flow, run : str
        Names.
    graph : Graph
        The flow.
    storage, recorder
        Where the run is kept.
    system_tags : iterable of str
        The run's.
    on_failure : callable
        Called once, if something cannot be recorded: the run cannot go on then.
    """

    def __init__(
        self,
        flow: str,
        run: str,
        graph: Graph,
        storage: Storage,
        recorder: Recorder,
        system_tags: Iterable[str],
        on_failure: Callable[[Exception], None],
    ) -> None:
        self._flow = flow
        self._run = run
        self._graph = graph
        self._storage = storage
        self._recorder = recorder
        self._system_tags = list(system_tags)
        self._queue = RecorderQueue(recorder, on_failure)
        self._location = {"ds-type": storage.kind, "ds-root": storage.root}

    def path(self, launch: Launch) -> TaskPath:
        """Return the names of a task."""
        return TaskPath(self._flow, self._run, launch.step, str(launch.task))

    def is_readable(self, launch: Launch) -> bool:
        """Tell whether a task that starts now can read what was recorded of those before it."""
        return self._queue.is_empty and self._recorder.flush(0, self._before(launch))

    async def readable(self, launch: Launch) -> None:
        """Wait until it can; where what is recorded goes across a network that is slow now, not for long.

        Raises
        ------
        Exception
            Something could not be recorded.
        """
        await self.written()
        before = self._before(launch)
        if not self._recorder.flush(0, before):
            await asyncio.to_thread(self._recorder.flush, _PATIENCE, before)

    async def written(self) -> None:
        """Wait until all is handed to the recorder.

        Raises
        ------
        Exception
            Something could not be recorded.
        """
        await self._queue.flush()

    def _before(self, launch: Launch) -> list[TaskPath]:
        return [TaskPath(self._flow, self._run, source.step, str(source.id)) for source in launch.inputs]

    # --- while a task runs ------------------------------------------------------------------------------------------

    def launched(self, launch: Launch, tags: Sequence[str]) -> None:
        """Register a task where that is done before it starts; `tags` are the run's."""
        if self._recorder.registers_early and launch.attempt == 0:
            self._queue.put(TaskEntry(self.path(launch), list(tags), self._system_tags))

    def started(self, launch: Launch, started: Started, tags: Sequence[str] | None) -> None:
        """Record where an attempt runs.

        Parameters
        ----------
        launch : Launch
            The attempt.
        started : Started
            What its launcher tells.
        tags : sequence of str or None
            The run's tags, if the task cannot register itself before it is over; else None.
        """
        if tags is not None:
            self._queue.put(TaskEntry(self.path(launch), list(tags), self._system_tags))
            self._add_facts(launch, {"attempt": str(started.attempt), **self._location})
        self._add_facts(launch, started.facts)

    def retried(self, launch: Launch, earlier: TaskFailed, seconds: float) -> None:
        """Record why there is another attempt, and how long it was waited for."""
        facts = {
            "retry-reason": f"{earlier.kind}: {earlier.message}",
            "retry-of": f"attempt {launch.attempt - 1} of at most {launch.last_attempt + 1}",
            "minutes_between_retries": f"{seconds / 60:g}",
        }
        self._add_facts(launch, facts)

    def ended(self, launch: Launch, ended: Ended) -> None:
        """Record what is known of the end, and what the task carried home."""
        entries = ended.report.entries if ended.report is not None else ()
        for entry in without_facts(entries, ("attempt", *self._location)):
            self._queue.put(entry)
        self._add_facts(launch, ended.facts)

    def _add_facts(self, launch: Launch, facts: Mapping[str, str]) -> None:
        if facts:
            named = [Fact(name, value, name) for name, value in facts.items()]
            self._queue.put(FactsEntry(self.path(launch), launch.attempt, named))

    # --- an attempt that ended without a word -----------------------------------------------------------------------

    async def stored(self, launch: Launch) -> TaskReport | None:
        """Return how an attempt ended, if it came to its done marker."""
        return await asyncio.to_thread(self._stored, launch)

    async def close(self, launch: Launch, failure: TaskFailed, tags: Iterable[str]) -> None:
        """Close an attempt that could not close itself.

        Raises
        ------
        metaflow.exception.StorageUnavailable
            It cannot be written.
        """
        await self.written()  # what was recorded of it earlier stays earlier
        await asyncio.to_thread(self._close, launch, failure, tags)

    async def reclassify(self, launch: Launch, failure: TaskFailed) -> None:
        """Say of an attempt that has closed itself as failed why it really did.

        Raises
        ------
        metaflow.exception.StorageUnavailable
            It cannot be written.
        """
        await self.written()
        await asyncio.to_thread(self._attempt(launch).reclassify, failure)

    def _attempt(self, launch: Launch, tags: Iterable[str] = ()) -> AttemptRecord:
        return AttemptRecord(
            self.path(launch),
            launch.attempt,
            self._storage,
            self._recorder,
            tags=tags,
            system_tags=self._system_tags,
        )

    def _stored(self, launch: Launch) -> TaskReport | None:
        store = self._attempt(launch).store
        if launch.attempt not in store.attempts()[1]:
            return None
        index = store.read_index(launch.attempt)
        return None if index is None else stored_report(Artifacts(Blobs(self._storage, self._flow), index))

    def _close(self, launch: Launch, failure: TaskFailed, tags: Iterable[str]) -> None:
        self._attempt(launch, tags).close_dead(failure, self._frames(launch))

    def _frames(self, launch: Launch) -> list[ForeachFrame]:
        """Return the foreaches around a task, as it would have stored them; the elements' strings are left out."""
        before = launch.inputs[0]
        index = read_index(self._storage, f"{self._flow}/{self._run}/{before.step}/{before.id}")
        values = Artifacts(Blobs(self._storage, self._flow), index) if index is not None else {}
        frames: list[ForeachFrame] = list(values.get("_foreach_stack") or [])
        if launch.split_index is not None:
            var, width = values.get("_foreach_var"), values.get("_foreach_num_splits")
            return [*frames, ForeachFrame(launch.step, var or "", width or 0, launch.split_index)]
        return frames[:-1] if self._graph.closes_foreach(launch.step) else frames
