"""Going on from an earlier run: which of its finished tasks stand for tasks of the new one.

A task of the new run has a counterpart in the origin if it is of the same step, at the same place in the foreaches
around it, and in the same turn of a recursion. It is taken over if the counterpart finished well and went on to where
the step, as its source is now, can go on to, and if all that comes into it was taken over too; so what follows a task
that runs anew runs anew. Taking over copies names, not data: the new task's index names the origin's blobs.

Start reading at `Resumption.take_over`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from metaflow.exception import CommandException
from metaflow.provider.protocol import Fact, Provider, TaskPath
from metaflow.runtime.elements import with_elements
from metaflow.runtime.events import Launch, Outcome
from metaflow.runtime.record import PARAMETERS, AttemptRecord, stored_outcome
from metaflow.store.artifacts import Artifacts, TaskIndex, TaskStore, read_index
from metaflow.store.blobs import Blobs
from metaflow.store.protocol import Storage

if TYPE_CHECKING:
    from metaflow.flow.graph import Graph

_LOGS = ("runtime_stdout.log", "runtime_stderr.log")
_Place = tuple[int, ...]


class _Finished(NamedTuple):
    """A task of the origin that finished well."""

    id: str
    stored: TaskIndex
    frames: list[Any]
    outcome: Outcome


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
        parameters = read_index(storage, f"{flow}/{run}/{PARAMETERS}/0") or self._only_parameters()
        if parameters is None:
            raise CommandException(
                f"There is no run {run} of the flow {flow} in {storage.describe('')} that could be resumed.",
                hint="--origin-run-id names another run; `tag list` shows those that there are",
            )
        self.parameters = parameters

    def _only_parameters(self) -> TaskIndex | None:
        tasks = self._names(f"{self.flow}/{self.run}/{PARAMETERS}")
        return read_index(self.storage, f"{self.flow}/{self.run}/{PARAMETERS}/{tasks[0]}") if tasks else None

    def finished(self, steps: Iterable[str]) -> dict[tuple[str, _Place], list[_Finished]]:
        """Return the tasks of `steps` that finished well, by step and place, those of a recursion in order."""
        found: dict[tuple[str, _Place], list[_Finished]] = defaultdict(list)
        for step in steps:
            for id in sorted(self._names(f"{self.flow}/{self.run}/{step}"), key=_in_order):
                task = self._read(step, id)
                if task is not None:
                    found[step, tuple(frame.index for frame in task.frames)].append(task)
        return {key: self._by_turn(tasks) for key, tasks in found.items()}

    def _by_turn(self, tasks: list[_Finished]) -> list[_Finished]:
        """Put the turns of a recursion in order: that of their ids, unless Metaflow has numbered them.

        When Metaflow resumes a run it gives out ids in any order.
        """
        if len(tasks) == 1:
            return tasks
        turns: dict[str, Any] = {task.id: Artifacts(self.blobs, task.stored).get("_iteration_stack") for task in tasks}
        return sorted(tasks, key=lambda task: turns[task.id]) if all(turns.values()) else tasks

    def _names(self, prefix: str) -> list[str]:
        names = (entry.key.rpartition("/")[2] for entry in self.storage.list(prefix) if not entry.is_object)
        return [name for name in names if not name.startswith("_")]

    def _read(self, step: str, id: str) -> _Finished | None:
        index = read_index(self.storage, f"{self.flow}/{self.run}/{step}/{id}")
        if index is None:
            return None
        values = Artifacts(self.blobs, index)
        outcome = stored_outcome(values)
        return None if outcome is None else _Finished(id, index, list(values["_foreach_stack"]), outcome)


class Resumption:
    """Decides, task by task, what is taken over, and writes what is.

    Parameters
    ----------
    origin : Origin
        The earlier run.
    graph : Graph
        The flow as it is now.
    rerun : str or None
        A step that runs anew even if it had finished.
    provider : Provider
        Where the new run's facts are kept.
    run : str
        The new run.
    tags, system_tags, facts
        What is recorded of each of its tasks.
    """

    def __init__(
        self,
        origin: Origin,
        graph: Graph,
        rerun: str | None,
        provider: Provider,
        run: str,
        *,
        tags: Iterable[str],
        system_tags: Iterable[str],
        facts: Iterable[Fact],
    ) -> None:
        self._origin = origin
        self._graph = graph
        self._rerun = rerun
        self._provider = provider
        self._run = run
        self._tags = list(tags)
        self._system_tags = list(system_tags)
        self._facts = list(facts)
        self._finished = origin.finished(graph)
        self._places: dict[int, _Place] = {0: ()}
        self._turns: Counter[tuple[str, _Place]] = Counter()
        self._taken: dict[int, TaskIndex] = {0: origin.parameters}

    @property
    def origin_run(self) -> str:
        """Id of the earlier run."""
        return self._origin.run

    def take_over(self, launch: Launch) -> tuple[str, Outcome] | None:
        """Take over the counterpart of a task that is about to start, if it has one.

        Returns
        -------
        tuple of (str, Outcome) or None
            The counterpart's ``run/step/task`` and how it went on; None: the task has to run.
        """
        place = self._places[launch.task] = self._place(launch)
        turn = self._turns[launch.step, place]
        self._turns[launch.step, place] += 1
        tasks = self._finished.get((launch.step, place), [])
        goes_on = all(source.id in self._taken for source in launch.inputs)
        if launch.step == self._rerun or not goes_on or turn >= len(tasks):
            return None
        task = tasks[turn]
        if not self._leads_on(launch.step, task.outcome):
            return None
        before = self._taken[launch.inputs[0].id]
        index = with_elements(self._origin.blobs, task.stored, task.frames, before, launch.split_index is not None)
        self._taken[launch.task] = index
        self._write(launch, task, index)
        return f"{self._origin.run}/{launch.step}/{task.id}", task.outcome

    def _leads_on(self, step: str, outcome: Outcome) -> bool:
        """Tell whether the step, as its source is now, can go on as the counterpart did."""
        node = self._graph[step]
        if (node.foreach is None) != (outcome.width is None):
            return False
        if node.condition is not None:
            return len(outcome.next) == 1 and outcome.next[0] in node.next
        return set(outcome.next) == set(node.next)

    def _place(self, launch: Launch) -> _Place:
        place = self._places[launch.inputs[0].id]
        if launch.split_index is not None:
            return (*place, launch.split_index)
        return place[:-1] if self._graph.closes_foreach(launch.step) else place

    def _write(self, launch: Launch, task: _Finished, index: TaskIndex) -> None:
        origin = self._origin
        path = TaskPath(origin.flow, self._run, launch.step, str(launch.task))
        record = AttemptRecord(path, 0, origin.storage, self._provider, tags=self._tags, system_tags=self._system_tags)
        record.begin()
        record.note_place(task.frames, origin.run, [*self._facts, Fact("origin-task-id", task.id, "origin-task-id")])
        before = TaskStore(origin.storage, f"{origin.flow}/{origin.run}/{launch.step}/{task.id}")
        logs = origin.storage.get([before.key(task.stored.attempt, name) for name in _LOGS])
        copies = [(record.store.key(0, name), data) for name, (_, data) in zip(_LOGS, logs, strict=True) if data]
        origin.storage.put(copies)
        record.close(index, ok=True)


def _in_order(id: str) -> tuple[int, str]:
    return (int(id), "") if id.isdigit() else (0, id)
