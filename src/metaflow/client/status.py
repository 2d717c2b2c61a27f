"""How a run or a task is doing: the rules that make one word of its lease and of what it has stored. Pure.

The client, the command ``status`` and the server's pages go by them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from metaflow.exception import TaskFailed
from metaflow.metadata_provider.lease import RunStatus


class LastTask(NamedTuple):
    """The task of a run's last step, if it is finished.

    Attributes
    ----------
    successful : bool
        Whether it ended without an exception.
    failure : TaskFailed or None
        Why it failed.
    ended : float or None
        When it ended, in seconds since the epoch.
    """

    successful: bool
    failure: TaskFailed | None
    ended: float | None


def run_status(lease: RunStatus | None, last: Callable[[], LastTask | None]) -> RunStatus:
    """Return how a run is doing.

    Parameters
    ----------
    lease : RunStatus or None
        What its lease says, if it has one.
    last : callable
        Returns its last task, None if that is not finished; called only if the lease does not tell.
    """
    if lease is None or lease.state == "lost":
        task = last()
        if task is not None:
            return RunStatus("successful" if task.successful else "failed", task.failure, task.ended)
    return lease or RunStatus("unknown")


def is_over(run: RunStatus) -> bool:
    """Tell whether a run has ended, as far as is known."""
    return run.state not in ("running", "unknown")


def task_state(*, successful: bool, finished: bool, is_orphan: Callable[[], bool], is_done: Callable[[], bool]) -> str:
    """Return how a task is doing.

    Parameters
    ----------
    successful, finished : bool
        Whether its code ran to its end without an exception; whether the run could go on after it.
    is_orphan : callable
        Tells whether the run that it belongs to has ended; called only if the task is not finished.
    is_done : callable
        Tells whether the latest of its attempts that have begun has ended; called only if it is an orphan.
    """
    if successful:
        return "successful"
    if finished:
        return "caught"
    if not is_orphan():
        return "running"
    return "failed" if is_done() else "lost"
