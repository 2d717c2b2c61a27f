"""From the facts that were recorded of tasks to rows of a table: when each began and ended, and how. Pure.

Start reading at `TaskStory`, then `table_of`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, cast

from metaflow.client.status import task_state
from metaflow.exception import TaskFailed
from metaflow.flow.frames import ForeachFrame, place_in
from metaflow.metadata_provider.protocol import Document
from metaflow.metadata_provider.task_ids import in_order
from metaflow.serve.reading.protocol import TASK_STATES, Failure, StepCounts, TaskRow, TaskState, TaskTable

FIELDS = (
    "attempt",
    "attempt_ok",
    "attempt-done",
    "failure",
    "foreach-stack",
    "foreach-execution-path",
    "origin-run-id",
    "origin-task-id",
)
"""Names of the facts that rows are made of."""


@dataclass(slots=True)
class AttemptStory:
    """What is known of an attempt; times in milliseconds."""

    began: int | None = None
    ended: int | None = None
    is_ok: bool | None = None
    failure: TaskFailed | None = None


@dataclass(slots=True)
class TaskStory:
    """What is known of a task.

    Attributes
    ----------
    attempts : dict of int to AttemptStory
        Those that have begun or ended.
    item : str
        Its place in the foreaches around it.
    origin : tuple of (str, str) or None
        Run and id of the task that a resumed run has taken over.
    is_success : bool or None
        Whether its code ended without an exception, where that is known apart from the facts.
    """

    attempts: dict[int, AttemptStory] = field(default_factory=dict)
    item: str = ""
    origin: tuple[str, str] | None = None
    is_success: bool | None = None

    @classmethod
    def of(cls, facts: Iterable[Document]) -> TaskStory:
        """Return the story that facts tell, in whatever order they come."""
        story = cls()
        latest: dict[str, tuple[int, Any]] = {}
        for fact in facts:
            name, value, time = fact["field_name"], fact["value"], int(fact["ts_epoch"])
            number = _attempt(fact)
            if name == "attempt" and number is not None:
                story._attempt(number).began = min(time, story._attempt(number).began or time)
            elif name == "attempt-done" and number is not None:
                story._attempt(number).ended = time
            elif name == "attempt_ok" and number is not None:
                story._attempt(number).is_ok = value == "True"
            elif name == "failure" and number is not None:
                story._attempt(number).failure = failure_in(value)
            elif name not in latest or latest[name][0] <= time:
                latest[name] = (time, value)
        values = {name: value for name, (_, value) in latest.items()}
        story.item = item_of(values.get("foreach-stack"), values.get("foreach-execution-path"))
        run, task = values.get("origin-run-id"), values.get("origin-task-id")
        if run not in (None, "None") and task not in (None, "None"):
            story.origin = (str(run), str(task))
        return story

    def _attempt(self, number: int) -> AttemptStory:
        return self.attempts.setdefault(number, AttemptStory())

    @property
    def last(self) -> AttemptStory | None:
        """The latest attempt."""
        return self.attempts[max(self.attempts)] if self.attempts else None

    @property
    def is_final(self) -> bool:
        """Whether nothing will be added to it: it has ended in a way that lets the run go on."""
        last = self.last
        return last is not None and last.ended is not None and (last.is_ok is True or self.is_copy)

    @property
    def is_copy(self) -> bool:
        """Whether it was taken over as it was, and has not run."""
        last = self.last
        return self.origin is not None and last is not None and last.began is None

    def row(self, step: str, task: str, *, is_orphan: bool, origin: TaskRow | None = None) -> TaskRow:
        """Return the row of the task.

        Parameters
        ----------
        step, task : str
            Names.
        is_orphan : bool
            Whether its run has ended.
        origin : TaskRow, optional
            That of the task that it is a copy of.
        """
        last = self.last
        if last is None:
            return TaskRow(step, task, "lost" if is_orphan else "running", None, attempts=0, item=self.item)
        if self.is_copy:
            state, item = (origin.state, origin.item) if origin is not None else ("successful", "")
            return TaskRow(step, task, state, last.ended, last.ended, 1, self.item or item)
        state = self.state(last, is_orphan=is_orphan)
        return TaskRow(step, task, state, last.began, last.ended, max(self.attempts) + 1, self.item)

    def state(self, attempt: AttemptStory, *, is_orphan: bool) -> TaskState:
        """Return how an attempt is doing: the latest as its task, an earlier one as if it were the latest."""
        is_finished = attempt.is_ok is True and attempt.ended is not None
        is_success = attempt.failure is None if self.is_success is None else self.is_success
        state = task_state(
            successful=is_finished and is_success,
            finished=is_finished,
            is_orphan=lambda: is_orphan or attempt is not self.last,
            is_done=lambda: attempt.ended is not None,
        )
        return cast(TaskState, state)


def _attempt(fact: Document) -> int | None:
    """Return of which attempt a fact is."""
    texts = [tag.removeprefix("attempt_id:") for tag in fact.get("tags") or () if tag.startswith("attempt_id:")]
    if fact["field_name"] in ("attempt", "attempt-done"):
        texts.append(str(fact["value"]))
    return next((int(text) for text in texts if text.isdecimal()), None)


def failure_in(value: object) -> TaskFailed | None:
    """Return the failure that a fact tells, or an artifact; None if it tells none."""
    try:
        record = json.loads(value) if isinstance(value, str) else value
        return TaskFailed.from_record(record) if isinstance(record, dict) else None
    except (ValueError, KeyError, TypeError):
        return None


def shown_failure(failure: TaskFailed | None) -> Failure | None:
    """Return a failure as pages show it."""
    if failure is None:
        return None
    values = failure.values
    known = {name: str(values[name]) for name in ("where", "step", "task") if name in values}
    item = values.get("foreach")
    return Failure(
        str(values.get("cause", failure.kind)),
        failure.message,
        failure.hint,
        item=None if item is None else str(item),
        **known,
    )


def item_of(stack: object, path: object) -> str:
    """Return a task's place in the foreaches around it, from what is recorded of it: ``["xs=a"]`` and ``"step:1"``."""
    if not isinstance(stack, list) or not isinstance(path, str):
        return ""
    frames = []
    for named, place in zip(stack, path.split(","), strict=False):
        var, _, value = str(named).partition("=")
        step, _, index = place.rpartition(":")
        frames.append(ForeachFrame(step, var, 0, int(index) if index.isdecimal() else 0, value))
    return place_in(frames)


def table_of(rows: Iterable[TaskRow]) -> TaskTable:
    """Return a table of rows, in its order."""
    order = {state: index for index, state in enumerate(TASK_STATES)}
    found = tuple(sorted(rows, key=lambda row: (order[row.state], row.started or 0, in_order(row.task), row.step)))
    return TaskTable(found, blake2b(repr(found).encode("utf-8", "replace"), digest_size=8).hexdigest())


def steps_of(rows: Iterable[TaskRow]) -> tuple[StepCounts, ...]:
    """Return the steps of a run's tasks, in the order in which they began."""
    by_step: dict[str, list[TaskRow]] = {}
    for row in rows:
        by_step.setdefault(row.step, []).append(row)
    counts = [_counts(step, rows) for step, rows in by_step.items()]
    return tuple(sorted(counts, key=lambda each: (each.started is None, each.started or 0)))


def _counts(step: str, rows: list[TaskRow]) -> StepCounts:
    starts = [row.started for row in rows if row.started is not None]
    ends = [row.ended for row in rows if row.ended is not None]
    counts: Mapping[TaskState, int] = Counter(row.state for row in rows)
    is_over = not counts.get("running") and bool(ends)
    every = {state: counts.get(state, 0) for state in TASK_STATES}
    return StepCounts(step, every, min(starts, default=None), max(ends) if is_over else None)
