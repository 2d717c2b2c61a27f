"""What the scheduler hears (events) and what it asks for (instructions): plain values, no behaviour."""

from __future__ import annotations

from typing import NamedTuple

from metaflow.compute.report import TaskReport


class Retries(NamedTuple):
    """How a step is tried again after it failed.

    Attributes
    ----------
    times : int
        Further attempts in which its code runs.
    fallbacks : int
        Attempts after these in which only what is wrapped around its code runs.
    delay : float
        Seconds to wait before the first further attempt.
    backoff : float
        By which the waiting time is multiplied from each to the next.
    longest_delay : float
        Seconds to wait at most.
    only : frozenset of str
        Kinds of failure (`TaskFailed.kind`) after which the code is tried again; empty: all.
    preemptions : int
        Attempts beyond `times` after a machine was taken away or lost.
    """

    times: int = 0
    fallbacks: int = 0
    delay: float = 0.0
    backoff: float = 1.0
    longest_delay: float = float("inf")
    only: frozenset[str] = frozenset()
    preemptions: int = 0

    def delay_before(self, attempt: int) -> float:
        """Return the seconds to wait before `attempt`, which is 1 or more."""
        try:
            return min(self.delay * self.backoff ** (attempt - 1), self.longest_delay)
        except OverflowError:
            return self.longest_delay


class TaskRef(NamedTuple):
    """A task by step and id."""

    step: str
    id: int


# --- events ---------------------------------------------------------------------------------------------------------


class Start(NamedTuple):
    """The run begins with `step`; `parameters` is the pseudo-task whose artifacts it gets. The first event."""

    step: str
    parameters: TaskRef


class TaskEnded(NamedTuple):
    """An attempt of a task has ended; or the task was taken over from another run, with its report."""

    task: int
    attempt: int
    report: TaskReport
    taken_over: bool = False


class RetryDue(NamedTuple):
    """The waiting time before a further attempt is over."""

    task: int
    attempt: int


class Cancelled(NamedTuple):
    """Somebody wants the run to end now."""

    reason: str


Event = Start | TaskEnded | RetryDue | Cancelled


# --- instructions ---------------------------------------------------------------------------------------------------


class Launch(NamedTuple):
    """Start an attempt of a task.

    Attributes
    ----------
    task : int
        The task's id, from 1; the same for all its attempts.
    step : str
        Its step.
    attempt : int
        From 0.
    split_index : int or None
        Position in the foreach that the task opens as its child.
    inputs : tuple of TaskRef
        The tasks whose artifacts come in; of a join, in the order of the split.
    last_attempt : int
        The last attempt in which the step's code runs; in one after it only what is wrapped around the code runs.
    """

    task: int
    step: str
    attempt: int
    split_index: int | None
    inputs: tuple[TaskRef, ...]
    last_attempt: int = 0


class Wait(NamedTuple):
    """Send `RetryDue` for this task after `delay` seconds."""

    task: int
    step: str
    attempt: int
    delay: float


class Stop(NamedTuple):
    """End the running attempt of a task."""

    task: int
    reason: str


class Finish(NamedTuple):
    """The run is over; nothing runs any more.

    Attributes
    ----------
    ok : bool
        Whether ``end`` succeeded.
    culprit : TaskRef or None
        The task that failed first.
    reason : str
        Why the run failed.
    """

    ok: bool
    culprit: TaskRef | None = None
    reason: str = ""


Instruction = Launch | Wait | Stop | Finish
