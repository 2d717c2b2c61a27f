"""Ends of jobs that are the same wherever jobs run: a class and a sentence each. Pure; start at `failure_of_job`."""

from __future__ import annotations

from metaflow.compute import endings
from metaflow.compute.jobs.entry import boot_failure
from metaflow.compute.jobs.outcome import ProcessEnd
from metaflow.compute.jobs.protocol import JobEnded
from metaflow.exception import (
    TaskCancelled,
    TaskFailed,
    TaskKilled,
    TaskLost,
    TaskNotPlaced,
    TaskOutOfMemory,
    TaskTimedOut,
)


def failure_of_job(step: str, job: JobEnded, end: ProcessEnd | None) -> TaskFailed | None:
    """Return why a task failed that told nothing of itself: what the backend and the supervisor know, put together.

    Parameters
    ----------
    step : str
        The step's name.
    job : JobEnded
        What the backend knows.
    end : ProcessEnd or None
        What the supervisor saw; None if it could not say.

    Returns
    -------
    TaskFailed or None
        None if there is no more to it than an exit status or a signal.
    """
    if end is not None and (end.oom or isinstance(job.failure, TaskOutOfMemory)):
        return endings.out_of_memory(step, peak_mb=end.peak_mb, limit_mb=end.limit_mb, is_requested=True)
    if job.failure is not None:
        return job.failure
    if end is None:
        return boot_failure(step, job.code, job.tail)
    if end.timed_out:
        return TaskTimedOut(f"the step '{step}' took longer than its time limit and was ended by force")
    if end.terminated:
        return TaskKilled(
            f"the step '{step}' did not finish: its container was asked to end",
            hint="somebody, or a service of its machine, ended it",
        )
    return None


def cancelled(step: str) -> TaskCancelled:
    return TaskCancelled(f"the step '{step}' was cancelled before it had finished")


def never_started(step: str, seconds: float, reason: str, setting: str) -> TaskNotPlaced:
    """Return the failure of a job that waited longer than the pending deadline, which `setting` sets."""
    sentence = reason.rstrip(".")  # its full stop comes when it is printed
    return TaskNotPlaced(
        f"the step '{step}' has waited {duration(seconds)} to be started{f': {sentence}' if sentence else ''}",
        hint=f"ask for less, or allow more time: {setting}, in seconds",
    )


def unknown(step: str, why: str) -> TaskLost:
    """Return the failure of a job of which nobody can say how it ended."""
    return TaskLost(f"how the step '{step}' ended cannot be found out: {why}")


def out_of_memory(step: str, limit_mb: float | None) -> TaskOutOfMemory:
    """Return the failure of a container that the kernel killed for lack of memory, at its limit in MB if it has one."""
    most = "its machine had" if limit_mb is None else f"its limit of {limit_mb:g} MB"
    return TaskOutOfMemory(
        f"the step '{step}' needed more memory than {most} and was killed by the kernel",
        hint="ask for more: @resources(memory=…), in MB",
        **({} if limit_mb is None else {"limit_mb": float(limit_mb)}),
    )


def duration(seconds: float) -> str:
    """Return a duration for people."""
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.2g} seconds" if seconds < 10 else f"{seconds:.0f} seconds"
