"""What runs next: a synchronous machine without I/O, clock or randomness. Events in, instructions out.

A task that ends well hands a *token* to each step that follows. A split (static or foreach) opens a `Split`, and each
of its branches carries one token, however many steps it goes through, loops of a recursion and switches included. A
join takes the tokens of one split, all of them, and closes it. So joins need no look at the graph: the innermost open
split of the arriving tasks says what belongs together.

What is ready but not started costs little: a foreach of ten thousand elements is one `_Range` with a counter. At most
`slots` attempts run at once. Tokens that continue a branch go first, new elements of a foreach after them, so that
branches finish early and open state stays small.

After the first failure without a retry left nothing new starts, running tasks are stopped, and `Finish` comes when
the last one has ended. The same holds for `Cancelled`.

Start reading at `Scheduler.handle`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from typing import assert_never

from metaflow.compute.report import TaskReport
from metaflow.exception import MetaflowInternalError
from metaflow.runtime.events import (
    Cancelled,
    Event,
    Finish,
    Instruction,
    Launch,
    Retries,
    RetryDue,
    Stop,
    TaskEnded,
    TaskRef,
    Wait,
)

PREEMPTIONS = frozenset({"preempted", "lost"})
"""Kinds of failure that are the machine's: its attempts may be repeated beyond those of the step."""


class Split:
    """One opened split.

    Attributes
    ----------
    width : int
        Number of branches.
    outer : Split or None
        The split around it.
    position : int
        Position in `outer` of the branch that this split is in.
    arrived : list of TaskRef or None
        By branch: the task whose token waits at the join.
    missing : int
        Branches that have not arrived.
    """

    __slots__ = ("arrived", "join", "missing", "outer", "position", "width")

    def __init__(self, width: int, outer: Split | None, position: int) -> None:
        self.width = width
        self.outer = outer
        self.position = position
        self.arrived: list[TaskRef | None] = [None] * width
        self.missing = width
        self.join: str | None = None


class _Task:
    __slots__ = ("attempt", "id", "inputs", "last_attempt", "position", "preempted", "split", "split_index", "step")

    def __init__(
        self,
        id: int,
        step: str,
        split: Split | None,
        position: int,
        split_index: int | None,
        inputs: tuple[TaskRef, ...],
        last_attempt: int,
    ) -> None:
        self.id = id
        self.step = step
        self.split = split
        self.position = position
        self.split_index = split_index
        self.inputs = inputs
        self.attempt = 0
        self.last_attempt = last_attempt  # in which the step's code runs
        self.preempted = 0

    @property
    def ref(self) -> TaskRef:
        return TaskRef(self.step, self.id)


class _Single:
    """One ready task."""

    __slots__ = ("inputs", "position", "split", "step")

    def __init__(self, step: str, split: Split | None, position: int, inputs: tuple[TaskRef, ...]) -> None:
        self.step = step
        self.split = split
        self.position = position
        self.inputs = inputs


class _Range:
    """The elements of a foreach that have not started: from `start` to the split's width."""

    __slots__ = ("inputs", "split", "start", "step")

    def __init__(self, step: str, split: Split, inputs: tuple[TaskRef, ...]) -> None:
        self.step = step
        self.split = split
        self.inputs = inputs
        self.start = 0


class Scheduler:
    """Decides what runs.

    Parameters
    ----------
    joins : collection of str
        Names of the steps that take inputs.
    slots : int
        Most attempts at a time (``--max-workers``).
    max_splits : int
        Widest foreach allowed (``--max-num-splits``).
    retries : callable
        Step name to `Retries`.
    """

    def __init__(
        self,
        joins: Collection[str],
        *,
        slots: int,
        max_splits: int,
        retries: Callable[[str], Retries] = lambda step: Retries(),
    ) -> None:
        self._joins = joins
        self._slots = slots
        self._max_splits = max_splits
        self._retries = retries
        self._last_id = 0
        self._continuing: deque[_Single] = deque()
        self._ranges: deque[_Range] = deque()
        self._again: deque[_Task] = deque()
        self._running: dict[int, _Task] = {}
        self._waiting: dict[int, _Task] = {}
        self._succeeded = False
        self._failure: Finish | None = None
        self._finished = False

    # --- what can be asked ------------------------------------------------------------------------------------------

    @property
    def running(self) -> int:
        """Number of attempts that run."""
        return len(self._running)

    def pending(self) -> dict[str, int]:
        """Return the number of ready tasks that wait for a slot, by step."""
        count: dict[str, int] = {}
        for single in self._continuing:
            count[single.step] = count.get(single.step, 0) + 1
        for rest in self._ranges:
            count[rest.step] = count.get(rest.step, 0) + rest.split.width - rest.start
        for task in (*self._again, *self._waiting.values()):
            count[task.step] = count.get(task.step, 0) + 1
        return count

    # --- events -----------------------------------------------------------------------------------------------------

    def start(self, step: str, parameters: TaskRef) -> list[Instruction]:
        """Begin the run with `step`; `parameters` is the pseudo-task whose artifacts it gets."""
        self._continuing.append(_Single(step, None, 0, (parameters,)))
        return self._fill()

    def handle(self, event: Event) -> list[Instruction]:
        """Take in an event and return what is to be done, in order."""
        if self._finished:
            raise MetaflowInternalError(f"The scheduler had finished when {event!r} came.")
        match event:
            case TaskEnded(task, attempt, report, taken_over):
                return self._on_end(self._pop(task, attempt), report, taken_over)
            case RetryDue(task, _):
                waiting = self._waiting.pop(task, None)
                if waiting is not None:
                    self._again.append(waiting)
                return self._fill()
            case Cancelled(reason):
                return self._fail(None, reason)
            case _ as never:
                assert_never(never)

    def _pop(self, id: int, attempt: int) -> _Task:
        task = self._running.pop(id, None)
        if task is None or task.attempt != attempt:
            raise MetaflowInternalError(f"Attempt {attempt} of task {id} ended, which does not run.")
        return task

    def _on_end(self, task: _Task, report: TaskReport, taken_over: bool) -> list[Instruction]:
        if report.failure is None:
            if not taken_over and report.width is not None and report.width > self._max_splits:
                return self._fail(task.ref, self._too_wide(task.step, report.width))
            self._advance(task, report)
            return self._fill()
        if self._failure is not None:
            return self._fill()
        retries = self._retries(task.step)
        if not self._has_another(task, report.failure.kind, retries):
            return self._fail(task.ref, report.failure.message)
        task.attempt += 1
        delay = retries.delay_before(task.attempt) if task.attempt <= task.last_attempt else 0.0
        if delay <= 0:
            self._again.append(task)
            return self._fill()
        self._waiting[task.id] = task
        return [Wait(task.id, task.step, task.attempt, delay), *self._fill()]

    def _has_another(self, task: _Task, kind: str, retries: Retries) -> bool:
        """Decide whether a task that failed has another attempt, and whether its code runs in it."""
        if task.attempt <= task.last_attempt:
            if kind in PREEMPTIONS and task.preempted < retries.preemptions:
                task.preempted += 1
                task.last_attempt += 1
                return True
            if task.attempt < task.last_attempt and (not retries.only or kind in retries.only):
                return True
            task.last_attempt = task.attempt
        return task.attempt < task.last_attempt + retries.fallbacks

    def _too_wide(self, step: str, width: int) -> str:
        return (
            f"the foreach of the step '{step}' has {width} elements, and --max-num-splits allows {self._max_splits}; "
            f"run with --max-num-splits {width} if so many tasks are intended"
        )

    # --- tokens -----------------------------------------------------------------------------------------------------

    def _advance(self, task: _Task, report: TaskReport) -> None:
        if not report.next:
            self._succeeded = True  # only the last step goes nowhere; lint sees to that
            return
        inputs = (task.ref,)
        if report.width is not None:
            (step,) = report.next
            self._ranges.append(_Range(step, Split(report.width, task.split, task.position), inputs))
        elif len(report.next) > 1:
            split = Split(len(report.next), task.split, task.position)
            for position, step in enumerate(report.next):
                self._arrive(step, split, position, inputs)
        else:
            self._arrive(report.next[0], task.split, task.position, inputs)

    def _arrive(self, step: str, split: Split | None, position: int, inputs: tuple[TaskRef, ...]) -> None:
        if step not in self._joins:
            self._continuing.append(_Single(step, split, position, inputs))
            return
        if split is None or split.arrived[position] is not None or split.join not in (None, step):
            raise MetaflowInternalError(f"A token came to the join '{step}' that belongs to no open split.")
        split.join = step
        split.arrived[position] = inputs[0]
        split.missing -= 1
        if split.missing == 0:
            arrived = tuple(ref for ref in split.arrived if ref is not None)
            split.arrived = []
            self._continuing.append(_Single(step, split.outer, split.position, arrived))

    # --- slots ------------------------------------------------------------------------------------------------------

    def _fill(self) -> list[Instruction]:
        instructions: list[Instruction] = []
        while self._failure is None and len(self._running) < self._slots:
            task = self._next_ready()
            if task is None:
                break
            self._running[task.id] = task
            instructions.append(
                Launch(task.id, task.step, task.attempt, task.split_index, task.inputs, task.last_attempt)
            )
        if not self._running and not self._waiting:
            instructions.append(self._finish())
        return instructions

    def _next_ready(self) -> _Task | None:
        if self._again:
            return self._again.popleft()
        if self._continuing:
            ready = self._continuing.popleft()
            return self._new(ready.step, ready.split, ready.position, None, ready.inputs)
        if self._ranges:
            rest = self._ranges[0]
            position = rest.start
            rest.start += 1
            if rest.start == rest.split.width:
                self._ranges.popleft()
            return self._new(rest.step, rest.split, position, position, rest.inputs)
        return None

    def _new(
        self, step: str, split: Split | None, position: int, split_index: int | None, inputs: tuple[TaskRef, ...]
    ) -> _Task:
        self._last_id += 1
        return _Task(self._last_id, step, split, position, split_index, inputs, self._retries(step).times)

    # --- the end ----------------------------------------------------------------------------------------------------

    def _fail(self, culprit: TaskRef | None, reason: str) -> list[Instruction]:
        if self._failure is None:
            self._failure = Finish(False, culprit, reason)
        self._waiting.clear()
        stops: list[Instruction] = [Stop(id, reason) for id in self._running]
        return [*stops, *self._fill()]

    def _finish(self) -> Finish:
        self._finished = True
        if self._failure is not None:
            return self._failure
        if not self._succeeded:
            return Finish(False, None, "no task is left to run, and the step 'end' was not reached")
        return Finish(True)
