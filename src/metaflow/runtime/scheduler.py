"""What runs next: a synchronous machine without I/O, clock or randomness. Events in, instructions out.

A task that ends well hands a *token* to each step that follows. A split (static, foreach, or a case of a switch that is
a list) opens a `Split`, and each of its branches carries one token, however many steps it goes through, loops of a
recursion and switches included. A join takes the tokens of one split, all of them, and closes it; it may open another.
So joins need no look at the graph: the innermost open split of the arriving tasks says what belongs together.

What is ready but not started costs little: a foreach of ten thousand elements is one `_Range` with a counter. At most
`slots` attempts run at once. Tokens that continue a branch go first, new elements of a foreach after them, so that
branches finish early and open state stays small.

After the first failure without a retry left nothing new starts, running tasks are stopped, and `Finish` comes when
the last one has ended. The same holds for `Cancelled`.

The same events lead to the same instructions, always: the log of a run's events replays it. `validate` checks that the
state makes sense; tests call it after each event.

Start reading at `Scheduler.handle`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator
from typing import assert_never

from metaflow.compute.report import TaskReport
from metaflow.exception import MetaflowInternalError
from metaflow.metadata_provider.task_ids import NUMBERS, TaskNumbering
from metaflow.runtime.events import (
    Cancelled,
    Event,
    Finish,
    Instruction,
    Launch,
    Retries,
    RetryDue,
    Start,
    Stop,
    TaskEnded,
    TaskRef,
    Wait,
)

PREEMPTIONS = frozenset({"preempted", "lost"})
"""Kinds of failure that are the machine's: its attempts may be repeated beyond those of the step."""


STORY_LENGTH = 10_000
"""How many events and instructions are remembered, for the story in an internal error."""


class Split:
    """One opened split."""

    __slots__ = ("arrived", "join", "missing", "outer", "position", "width")

    def __init__(self, width: int, outer: Split | None, position: int) -> None:
        self.width = width
        """Number of branches."""
        self.outer = outer
        """The split around it."""
        self.position = position
        """Position in `outer` of the branch that this split is in."""
        self.arrived: list[TaskRef | None] = [None] * width
        """By branch: the task whose token waits at the join; empty once the join has taken them all."""
        self.missing = width
        """Branches that have not arrived: as many as `arrived` has None, until the join has taken them."""
        self.join: str | None = None
        """The step that takes the tokens; None until the first has arrived."""


class _Task:
    """One task that has been launched, through all its attempts."""

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
        """From 1, in the order of the first launches."""
        self.step = step
        """Its step."""
        self.split = split
        """The innermost open split around it, shared with its siblings."""
        self.position = position
        """Which branch of `split` it is in; 0 outside all splits."""
        self.split_index = split_index
        """Position in the foreach that it opens as its child; None if it is no element's first task."""
        self.inputs = inputs
        """The tasks whose artifacts come in; of a join, in the order of the split."""
        self.attempt = 0
        """The attempt that runs, waits or is ready."""
        self.last_attempt = last_attempt
        """The last attempt in which the step's code runs; grows with preemptions, shrinks where no retry applies."""
        self.preempted = 0
        """How many attempts were the machine's fault and were repeated for it."""

    @property
    def ref(self) -> TaskRef:
        return TaskRef(self.step, self.id)


class _Single:
    """One ready task that continues a branch."""

    __slots__ = ("inputs", "position", "split", "step")

    def __init__(self, step: str, split: Split | None, position: int, inputs: tuple[TaskRef, ...]) -> None:
        self.step = step
        self.split = split
        self.position = position
        self.inputs = inputs


class _Range:
    """The elements of a foreach that have not started: from `start` to the split's width, which is above it."""

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
        Maximum number of attempts at a time (``--max-workers``).
    max_splits : int
        Maximum width of a foreach (``--max-num-splits``).
    retries : callable
        Step name to `Retries`; always the same for the same step.
    lists_of_one : collection of (str, str)
        Step and successor where going on to that one step opens a split.
    numbering : TaskNumbering
        How the tasks are called.
    """

    def __init__(
        self,
        joins: Collection[str],
        *,
        slots: int,
        max_splits: int,
        retries: Callable[[str], Retries] = lambda step: Retries(),
        lists_of_one: Collection[tuple[str, str]] = (),
        numbering: TaskNumbering = NUMBERS,
    ) -> None:
        self._joins = joins
        self._lists_of_one = lists_of_one
        self._slots = slots
        self._max_splits = max_splits
        self._retries = retries
        self._numbering = numbering
        self._last_id = numbering.first - 1
        """The id that was given out last."""
        self._running: dict[int, _Task] = {}
        """By id: tasks with a launched attempt whose end is not known yet; at most `_slots`."""
        self._waiting: dict[int, _Task] = {}
        """By id: tasks whose next attempt is not due yet; empty after a failure."""
        self._again: deque[_Task] = deque()
        """Tasks whose next attempt is due; they are first to get a slot."""
        self._continuing: deque[_Single] = deque()
        """Ready tasks that continue a branch; second to get a slot."""
        self._ranges: deque[_Range] = deque()
        """Foreaches with elements that have not started, none of them empty; last to get a slot."""
        self._succeeded = False
        """Whether the last step has ended well."""
        self._failure: Finish | None = None
        """How the run will finish, once it has failed or was cancelled; nothing is launched then."""
        self._finished = False
        """Whether `Finish` has been returned; no event may come after it."""
        self._story: deque[Event | Instruction] = deque(maxlen=STORY_LENGTH)
        """The latest events, each with the instructions that it led to."""

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

    def handle(self, event: Event) -> list[Instruction]:
        """Take in an event and return what is to be done, in order."""
        self._story.append(event)
        if self._finished:
            raise self._broken("an event came after the end of the run")
        instructions = self._handle(event)
        self._story.extend(instructions)
        return instructions

    def _handle(self, event: Event) -> list[Instruction]:
        match event:
            case Start(step, parameters):
                if self._has_begun:
                    raise self._broken("the run begins for a second time")
                self._continuing.append(_Single(step, None, 0, (parameters,)))
                return self._fill()
            case TaskEnded(id, attempt, report, taken_over):
                task = self._running.get(id)
                if task is None or task.attempt != attempt:
                    raise self._broken(f"attempt {attempt} of the task {id} ended, which does not run", id)
                del self._running[id]
                return self._on_end(task, report, taken_over)
            case RetryDue(id, _):
                waiting = self._waiting.pop(id, None)
                if waiting is not None:
                    self._again.append(waiting)
                return self._fill()
            case Cancelled(reason):
                return self._fail(None, reason)
            case _ as never:
                assert_never(never)

    def _on_end(self, task: _Task, report: TaskReport, taken_over: bool) -> list[Instruction]:
        if report.failure is None:
            if not taken_over and report.width is not None and report.width > self._max_splits:
                return self._fail(task.ref, self._too_wide(task.step, report.width))
            mismatch = self._advance(task, report)
            return self._fill() if mismatch is None else self._fail(task.ref, mismatch)
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

    def _advance(self, task: _Task, report: TaskReport) -> str | None:
        """Hand on the tokens of a task; return why that cannot be, if the choices of the flow's switches forbid it."""
        inputs = (task.ref,)
        if not report.next:
            self._succeeded = True  # only the last step goes nowhere; lint sees to that
        elif report.width is not None:
            (step,) = report.next
            self._ranges.append(_Range(step, Split(report.width, task.split, task.position), inputs))
        elif len(report.next) > 1 or (task.step, *report.next) in self._lists_of_one:
            split = Split(len(report.next), task.split, task.position)
            for position, step in enumerate(report.next):
                self._continuing.append(_Single(step, split, position, inputs))  # no join: lint sees to that
        elif report.next[0] in self._joins:
            return self._arrive(report.next[0], task.split, task.position, task.ref)
        else:
            self._continuing.append(_Single(report.next[0], task.split, task.position, inputs))
        return None

    def _arrive(self, step: str, split: Split | None, position: int, ref: TaskRef) -> str | None:
        if split is None or split.arrived[position] is not None:
            raise self._broken(f"a token came to the join '{step}' that belongs to no open split", ref.id)
        if split.join not in (None, step):
            other = next(arrived.step for arrived in split.arrived if arrived is not None)
            return (
                f"the branches of one split went to different joins: '{other}' to '{split.join}', and '{ref.step}' to "
                f"'{step}'; all branches of a split end in the same join, whatever a switch in them chooses"
            )
        split.join = step
        split.arrived[position] = ref
        split.missing -= 1
        if split.missing == 0:
            arrived = tuple(ref for ref in split.arrived if ref is not None)
            split.arrived = []
            self._continuing.append(_Single(step, split.outer, split.position, arrived))
        return None

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

    @property
    def _has_begun(self) -> bool:
        return self._last_id >= self._numbering.first

    def _new(
        self, step: str, split: Split | None, position: int, split_index: int | None, inputs: tuple[TaskRef, ...]
    ) -> _Task:
        self._last_id += 1
        id = self._numbering.id(self._last_id)
        return _Task(id, step, split, position, split_index, inputs, self._retries(step).times)

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
            return Finish(False, None, "no task is left to run, and the last step was not reached")
        return Finish(True)

    # --- for whoever looks for a mistake in here --------------------------------------------------------------------

    def story(self, task: int | None = None) -> list[str]:
        """Return the latest events and instructions, or those about one task, oldest first."""
        return [repr(item) for item in self._story if task is None or getattr(item, "task", None) == task]

    def _broken(self, what: str, task: int | None = None) -> MetaflowInternalError:
        story = "\n".join(f"    {line}" for line in self.story(task)[-20:])
        return MetaflowInternalError(f"The scheduler is in disorder: {what}. What happened before:\n{story}")

    def validate(self) -> None:
        """Check that the state makes sense.

        Raises
        ------
        MetaflowInternalError
            It does not; says what, and what happened before.
        """
        for what, holds in self._invariants():
            if not holds:
                raise self._broken(what)

    def _invariants(self) -> Iterator[tuple[str, bool]]:
        """Yield what must hold, and whether it does."""
        known = [*self._running.values(), *self._waiting.values(), *self._again]
        first = self._numbering.first
        yield "a task is in two places", len({task.id for task in known}) == len(known)
        yield "a task has an id that was not given out", all(first <= task.id <= self._last_id for task in known)
        yield "more attempts run than there are slots", len(self._running) <= self._slots
        yield "a foreach has no element left to start", all(rest.start < rest.split.width for rest in self._ranges)
        for task in known:
            most = task.last_attempt + self._retries(task.step).fallbacks
            yield f"the task {task.id} has more attempts than it may", task.attempt <= most
        if self._failure is not None:
            yield "an attempt is waited for after a failure", not self._waiting
        if self._finished:
            yield "something runs after the end", not self._running and not self._waiting
        else:
            yield "nothing runs, and the run goes on", bool(self._running or self._waiting or not self._has_begun)
        if self._failure is None:  # after a failure tokens are lost, on purpose
            yield from self._balance()

    def _balance(self) -> Iterator[tuple[str, bool]]:
        """Yield for each open split whether each branch that is missing at its join is under way, once."""
        under_way: dict[Split, list[int]] = {}
        inner: list[tuple[Split | None, int]] = []
        inner += [
            (task.split, task.position) for task in (*self._running.values(), *self._waiting.values(), *self._again)
        ]
        inner += [(ready.split, ready.position) for ready in self._continuing]
        for rest in self._ranges:
            inner += [(rest.split, position) for position in range(rest.start, rest.split.width)]
        while inner:
            split, position = inner.pop()
            if split is not None:
                if split not in under_way:
                    under_way[split] = []
                    inner.append((split.outer, split.position))
                under_way[split].append(position)
        for split, positions in under_way.items():
            missing = [position for position, ref in enumerate(split.arrived) if ref is None]
            yield f"a split of {split.width} branches counts {split.missing} missing", split.missing == len(missing)
            yield f"the branches {missing} are missing, and {sorted(positions)} under way", missing == sorted(positions)
