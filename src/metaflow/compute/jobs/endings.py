"""Why a task in a container failed without a word: what the backend and the supervisor know, put together. Pure."""

from __future__ import annotations

from metaflow.compute.endings import out_of_memory
from metaflow.compute.jobs.entry import boot_failure
from metaflow.compute.jobs.outcome import ProcessEnd
from metaflow.compute.jobs.protocol import JobEnded
from metaflow.exception import TaskFailed, TaskOutOfMemory, TaskTimedOut


def failure_of_job(step: str, job: JobEnded, end: ProcessEnd | None) -> TaskFailed | None:
    """Return why a task failed that told nothing of itself.

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
        return out_of_memory(step, peak_mb=end.peak_mb, limit_mb=end.limit_mb, is_requested=True)
    if job.failure is not None:
        return job.failure
    if end is None:
        return boot_failure(step, job.code, job.tail)
    if end.timed_out:
        return TaskTimedOut(f"the step '{step}' took longer than its time limit and was ended by force")
    return None
