"""Going on from an earlier run: which of its finished tasks stand for tasks of the new one.

A task of the new run has a counterpart in the origin if it is of the same step, at the same place in the foreaches and
splits around it, and in the same turn of a recursion. It is taken over if the counterpart finished well and went on to
where the step, as its source is now, can go on to, and if all that comes into it was taken over too; so what follows a
task that runs anew runs anew. Taking over copies names, not data: the new task's index names the origin's blobs.

The decisions are made on the engine's loop, from what was read before the first of them; whatever reads or writes the
storage is done in threads. Start reading at `Resumption.ask`.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from metaflow.compute.report import TaskReport
from metaflow.exception import CommandException
from metaflow.flow.description import fingerprint_in
from metaflow.metadata_provider.protocol import Recorder, TaskPath
from metaflow.metadata_provider.task_ids import in_order
from metaflow.runtime.events import Launch
from metaflow.runtime.foreach_values import is_complete, with_foreach_values
from metaflow.runtime.places import Place, Places
from metaflow.runtime.record import Copy, stored_report, write_copies
from metaflow.runtime.reuse import Answer, NotReused, Reused
from metaflow.store import serializers
from metaflow.store.artifacts import TaskIndex, read_indexes, read_parameters
from metaflow.store.blobs import Blobs
from metaflow.store.internals import BRANCHES
from metaflow.store.protocol import Storage

if TYPE_CHECKING:
    from metaflow.flow.graph import Graph

_TOGETHER = 64
"""Tasks that are written by one call of each room below."""
_WRITERS = 2
"""Such calls at a time: the system works while the interpreter does."""

_NEEDED = (
    "_task_ok", "_transition", "_foreach_num_splits", "_foreach_stack", "_iteration_stack", "_graph_info", BRANCHES
)  # fmt: skip
"""What must be known of a task to take it over."""


class _Finished(NamedTuple):
    """A task of the origin that finished well."""

    id: str
    stored: TaskIndex
    frames: Sequence[Any]
    branches: tuple[str, ...]
    report: TaskReport
    turn: Any
    flow: Any
    """The description of the flow as it was."""


class Origin:
    """The run that is gone on from, as its storage has it.

    Parameters
    ----------
    storage : Storage
        Where it is kept.
    flow, run : str
        Its names.

    Raises
    ------
    CommandException
        There is no such run of this flow.
    """

    def __init__(self, storage: Storage, flow: str, run: str) -> None:
        self.storage = storage
        self.flow = flow
        self.run = run
        self.blobs = Blobs(storage, flow)
        self._values: dict[str, Any] = {}  # by key
        parameters = read_parameters(storage, flow, run)
        if parameters is None:
            raise CommandException(
                f"There is no run {run} of the flow {flow} in {storage.describe('')} that could be resumed.",
                hint="--origin-run-id names another run; `tag list` shows those that there are",
            )
        self.parameters = parameters

    def finished(self, steps: Iterable[str]) -> dict[tuple[str, Place], list[_Finished]]:
        """Return the tasks of `steps` that finished well, by step and place, those of a recursion in order."""
        found: dict[tuple[str, Place], list[_Finished]] = defaultdict(list)
        for step in steps:
            for task in self._read(step, sorted(self._names(f"{self.flow}/{self.run}/{step}"), key=in_order)):
                found[step, Place(tuple(frame.index for frame in task.frames), task.branches)].append(task)
        return {key: _by_turn(tasks) for key, tasks in found.items()}

    def _names(self, prefix: str) -> list[str]:
        names = (entry.key.rpartition("/")[2] for entry in self.storage.list(prefix) if not entry.is_object)
        return [name for name in names if not name.startswith("_")]

    def _read(self, step: str, ids: list[str]) -> Iterator[_Finished]:
        indexes = read_indexes(self.storage, [f"{self.flow}/{self.run}/{step}/{id}" for id in ids])
        self._fetch(indexes)
        for id, index in zip(ids, indexes, strict=True):
            if index is not None:
                values = {name: self._values[index.objects[name]] for name in _NEEDED if name in index.objects}
                report = stored_report(values)
                if report.ok:
                    turn, flow = values.get("_iteration_stack"), values.get("_graph_info")
                    branches = values.get(BRANCHES, ())
                    yield _Finished(id, index, values["_foreach_stack"], branches, report, turn, flow)

    def _fetch(self, indexes: Iterable[TaskIndex | None]) -> None:
        """Load what is needed of many tasks; most of it is the same in all of them."""
        objects = [index.objects for index in indexes if index is not None]
        keys = {each[name] for each in objects for name in _NEEDED if name in each} - self._values.keys()
        for key, content in zip(keys, self.blobs.load_many(list(keys)), strict=True):
            self._values[key] = serializers.loads(content, key)


class Resumption:
    """Decides, task by task, what is taken over, and has it written (`metaflow.runtime.reuse.Reuse`).

    Parameters
    ----------
    origin : Origin
        The earlier run.
    graph : Graph
        The flow as it is now.
    rerun : str or None
        A step that runs anew even if it had finished.
    recorder : Recorder
        Where the new run's facts are kept.
    run : str
        The new run.
    tags, system_tags : iterable of str
        The new run's.
    """

    def __init__(
        self,
        origin: Origin,
        graph: Graph,
        rerun: str | None,
        recorder: Recorder,
        run: str,
        *,
        tags: Iterable[str],
        system_tags: Iterable[str],
    ) -> None:
        self._origin = origin
        self._graph = graph
        self._rerun = rerun
        self._recorder = recorder
        self._run = run
        self._tags = list(tags)
        self._system_tags = list(system_tags)
        self._finished = origin.finished(graph)
        self._places = Places(graph)
        self._turns: Counter[tuple[str, Place]] = Counter()
        self._taken: dict[int, TaskIndex] = {0: origin.parameters}
        self._remarked: set[str] = set()
        self._unwritten: list[Copy] = []
        self._writers = asyncio.Semaphore(_WRITERS)
        self._writes: list[asyncio.Task[None]] = []
        self.origin_run = origin.run

    async def ask(self, launch: Launch) -> Answer:
        place = self._places.of(launch)
        task = self._counterpart(launch, place)
        if task is None:
            return NotReused(self._of_unknown_branch(launch.step, place))
        if not self._leads_on(launch.step, task.report):
            went = ", ".join(task.report.next) or "nowhere"
            remark = (
                f"The step {launch.step} had finished and runs again: in the run {self.origin_run} it went on to "
                f"{went}{' by a foreach' if task.report.width is not None else ''}, and its source has changed since."
            )
            return NotReused(self._once(launch.step, remark))
        remark = ""
        if self._has_changed(launch.step, task):
            remark = self._once(
                launch.step,
                f"The source of the step {launch.step} has changed; what had finished of it is taken over as it was: "
                f"`resume {launch.step}` runs it again.",
            )
        self._taken[launch.task] = index = await self._index(launch, task)
        path = TaskPath(self._origin.flow, self._run, launch.step, str(launch.task))
        self._unwritten.append(Copy(path, path._replace(run=self.origin_run, task=task.id), task.stored, index))
        if len(self._unwritten) >= _TOGETHER:
            self._write_soon()
        return Reused(f"{self.origin_run}/{launch.step}/{task.id}", task.report, remark)

    async def written(self) -> None:
        self._write_soon()
        writes = list(self._writes)
        if writes:
            await asyncio.wait(writes)  # several wait for the same writes, and none of them may cancel these
        for write in writes:
            write.result()
        self._writes = [write for write in self._writes if not write.done()]

    def _counterpart(self, launch: Launch, place: Place) -> _Finished | None:
        """Return the finished task that may stand for one that is about to start."""
        turn = self._turns[launch.step, place]
        self._turns[launch.step, place] += 1
        tasks = self._finished.get((launch.step, place), [])
        goes_on = all(source.id in self._taken for source in launch.inputs)
        return tasks[turn] if launch.step != self._rerun and goes_on and turn < len(tasks) else None

    def _of_unknown_branch(self, step: str, place: Place) -> str:
        """Say that a step has finished tasks that cannot be told apart, if that is so."""
        if not place.branches or (step, place._replace(branches=())) not in self._finished:
            return ""
        return self._once(
            step,
            f"The step {step} had finished and runs again: several branches come to it, and the run "
            f"{self.origin_run} does not say which of its tasks was in which.",
        )

    async def _index(self, launch: Launch, task: _Finished) -> TaskIndex:
        """Return the index of the new task."""
        opens = task.report.width is not None
        if is_complete(task.stored, task.frames, opens=opens):
            return task.stored  # a hop to a thread would cost as much as all the rest
        return await asyncio.to_thread(
            with_foreach_values,
            self._origin.blobs,
            task.stored,
            task.frames,
            self._taken[launch.inputs[0].id],
            opened=launch.split_index is not None,
            opens=opens,
        )

    def _write_soon(self) -> None:
        """Have what was taken over written, by a thread."""
        if self._unwritten:
            copies, self._unwritten = self._unwritten, []
            write = asyncio.create_task(self._write(copies))
            write.add_done_callback(
                lambda done: done.cancelled() or done.exception()
            )  # told by `written`, or by nobody
            self._writes.append(write)

    def _once(self, step: str, remark: str) -> str:
        """Return the first remark about a step, and nothing for those after it."""
        if step in self._remarked:
            return ""
        self._remarked.add(step)
        return remark

    def _has_changed(self, step: str, task: _Finished) -> bool:
        """Tell whether the step's own source is another than when the task ran, as far as that was noted."""
        then = fingerprint_in(task.flow, step)
        return then is not None and then != self._graph[step].definition.fingerprint

    def _leads_on(self, step: str, report: TaskReport) -> bool:
        """Tell whether the step, as its source is now, can go on as the counterpart did."""
        node = self._graph[step]
        if (node.kind == "foreach") != (report.width is not None):
            return False
        return any(set(report.next) == set(way.steps) for way in node.ways) or not (report.next or node.next)

    async def _write(self, copies: Sequence[Copy]) -> None:
        async with self._writers:
            await asyncio.to_thread(
                write_copies,
                copies,
                self._origin.storage,
                self._recorder,
                tags=self._tags,
                system_tags=self._system_tags,
            )


def _by_turn(tasks: list[_Finished]) -> list[_Finished]:
    """Put the turns of a recursion in order: that of their ids, unless Metaflow has numbered them.

    When Metaflow resumes a run it gives out ids in any order.
    """
    return sorted(tasks, key=lambda task: task.turn) if all(task.turn for task in tasks) else tasks
