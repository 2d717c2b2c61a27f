"""How a Batch job ended, read from its description: exit status, and why if Batch knows. Pure.

The words that are looked for are those of AWS Batch and ECS: "Troubleshooting AWS Batch" in the AWS Batch User Guide,
and "Amazon ECS stopped task error messages" in the Amazon ECS Developer Guide.
"""

from __future__ import annotations

import re
from typing import Any

from metaflow.compute.batch.service import Description
from metaflow.exception import (
    ImageUnavailable,
    TaskCancelled,
    TaskFailed,
    TaskLost,
    TaskNotPlaced,
    TaskOutOfMemory,
    TaskPreempted,
    TaskTimedOut,
)

_HOST_GONE = re.compile(r"Host EC2 .*terminated|Spot (Task )?.*interrupt|SpotInterruption", re.IGNORECASE)
_NO_COMMAND = re.compile(r"executable file not found|no such file or directory", re.IGNORECASE)
_ORDINARY = "Essential container in task exited"


def exit_code(job: Description) -> int | None:
    """Return the exit status of the job's container, None if it never ran to an end."""
    for container in (job.get("container") or {}, _last_container(job)):
        if container.get("exitCode") is not None:
            return int(container["exitCode"])
    return None


def failure_of(step: str, job: Description) -> TaskFailed | None:
    """Say why a failed job ended.

    Parameters
    ----------
    step : str
        The step's name.
    job : Description
        The job as Batch describes it.

    Returns
    -------
    TaskFailed or None
        None if there is nothing to say beyond its exit status.
    """
    if job.get("status") == "SUCCEEDED":
        return None
    status = str(job.get("statusReason") or "")
    detail = str((job.get("container") or {}).get("reason") or _last_container(job).get("reason") or "")
    said = " ".join(text for text in (status, detail) if text)
    code = exit_code(job)
    if "JobStateTimeLimit" in status:
        return TaskNotPlaced(f"AWS Batch gave the step '{step}' up while it waited: {status}")
    if job.get("isTerminated") or job.get("isCancelled"):
        return _cancelled(step, status)
    if "OutOfMemory" in said:
        return _out_of_memory(step, job)
    if _HOST_GONE.search(said):
        return TaskPreempted(
            f"the machine of the step '{step}' was taken away: {status or detail}",
            hint="@retry starts it again on another machine",
        )
    if "exceeded timeout" in status:
        limit = (job.get("timeout") or {}).get("attemptDurationSeconds")
        seconds = f" of {limit} s" if limit else ""
        return TaskTimedOut(f"the step '{step}' was ended by AWS Batch after its time limit{seconds}")
    if code is not None:
        # Whoever ended it wrote a reason of their own; older answers of Batch do not say so otherwise.
        is_ended_by_signal = code in (137, 143) and bool(status) and not status.startswith(_ORDINARY)
        return _cancelled(step, status) if is_ended_by_signal else None
    return _not_started(step, job, status, detail)


def _not_started(step: str, job: Description, status: str, detail: str) -> TaskFailed:
    image = (job.get("container") or {}).get("image")
    named = f": {image}" if image else ""
    said = detail or status or "no reason is given"
    if "CannotPull" in said or "ImagePull" in said:
        return ImageUnavailable(
            f"the image of the step '{step}' cannot be pulled: {said}", hint=f"check its name and the rights{named}"
        )
    if ("CannotStartContainer" in said or "ContainerRuntime" in said) and _NO_COMMAND.search(said):
        return ImageUnavailable(
            f"the image of the step '{step}' has no `python`: {said}",
            hint=f"use an image in which the command `python` is 3.11 or newer, not this one{named}",
        )
    if job.get("startedAt") and not detail and "start" not in status.lower():
        return TaskLost(f"the job of the step '{step}' ended without an exit status: {said}")
    return TaskNotPlaced(
        f"AWS Batch could not start the step '{step}': {said}", hint=f"check the role, the volumes and the image{named}"
    )


def _cancelled(step: str, reason: str) -> TaskCancelled:
    why = f": {reason}" if reason else ""
    return TaskCancelled(f"somebody ended the Batch job of the step '{step}'{why}")


def _out_of_memory(step: str, job: Description) -> TaskOutOfMemory:
    limit = memory_limit(job)
    values = {} if limit is None else {"limit_mb": float(limit)}
    of = "" if limit is None else f" of {limit} MB"
    return TaskOutOfMemory(
        f"the step '{step}' needed more memory than its limit{of} and was killed by the kernel",
        hint="ask for more: @resources(memory=…), in MB",
        **values,
    )


def memory_limit(job: Description) -> int | None:
    """Return the memory in MB that the job's container had."""
    container: Any = job.get("container") or {}
    for requirement in container.get("resourceRequirements") or ():
        if requirement.get("type") == "MEMORY":
            return int(requirement["value"])
    return None if container.get("memory") is None else int(container["memory"])


def facts_of(job: Description) -> dict[str, str]:
    """Return what is worth keeping of the place where a job runs or ran."""
    container = {**_last_container(job), **(job.get("container") or {})}
    known = {
        "batch-job-id": job.get("jobId"),
        "batch-queue": _name(job.get("jobQueue")),
        "batch-job-definition": _name(job.get("jobDefinition")),
        "batch-log-stream": container.get("logStreamName"),
        "ecs-container-instance": container.get("containerInstanceArn"),
        "ecs-task": container.get("taskArn"),
        "image": container.get("image"),
    }
    return {name: str(value) for name, value in known.items() if value}


def _name(arn: Any) -> str:
    return str(arn or "").rpartition("/")[2]


def _last_container(job: Description) -> Description:
    attempts = job.get("attempts") or [{}]
    container: Description = attempts[-1].get("container") or {}
    return container
