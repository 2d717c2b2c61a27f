"""What the scheduler hears (events) and what it asks for (instructions): plain values, no behaviour."""

from __future__ import annotations

from typing import NamedTuple


class Retries(NamedTuple):
    """How often a step may be tried again after it failed, and how long to wait in between (seconds)."""

    times: int = 0
    delay: float = 0.0


class Outcome(NamedTuple):
    """How an attempt of a task ended.

    Attributes
    ----------
    ok : bool
        Whether it finished, so that its artifacts count.
    next : tuple of str
        The steps that follow; of a switch, the one chosen. Empty for ``end`` and for failures.
    width : int or None
        Number of elements if the transition is a foreach.
    reason : str
        Of a failure: one sentence.
    """

    ok: bool
    next: tuple[str, ...] = ()
    width: int | None = None
    reason: str = ""


class TaskRef(NamedTuple):
    """A task by step and id."""

    step: str
    id: int


# --- events ---------------------------------------------------------------------------------------------------------


class TaskEnded(NamedTuple):
    """An attempt of a task has ended."""

    task: int
    attempt: int
    outcome: Outcome


class RetryDue(NamedTuple):
    """The waiting time before a further attempt is over."""

    task: int
    attempt: int


class Cancelled(NamedTuple):
    """Somebody wants the run to end now."""

    reason: str


Event = TaskEnded | RetryDue | Cancelled


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
    """

    task: int
    step: str
    attempt: int
    split_index: int | None
    inputs: tuple[TaskRef, ...]


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
