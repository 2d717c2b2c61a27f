"""What a job's description says, and what a job that waits says of itself. Pure. Start reading at `state_of`."""

from __future__ import annotations

from typing import Any

from metaflow.compute.batch.client import Description
from metaflow.compute.jobs.events import MemberState

ENDED = ("SUCCEEDED", "FAILED")
_PASSING = ("SUBMITTED", "PENDING", "STARTING")
"""States of a job that has begun to go its way, and that nobody has to hear of."""


def state_of(job: Description) -> MemberState[Description]:
    """Return what the description of a job means for it."""
    status, id = str(job["status"]), str(job["jobId"])
    has_started = status in ("RUNNING", "SUCCEEDED") or exit_code(job) is not None
    return MemberState(
        id,
        has_started,
        status in ENDED,
        job,
        reason="" if status in _PASSING and not job.get("statusReason") else why_waiting(job),
        is_explained=status != "RUNNABLE" or bool(job.get("statusReason")),
        where=f"Batch job {id}" if has_started else "",
        facts=facts_of(job),
    )


def why_waiting(job: Description) -> str:
    """Return the state of a job that has not begun, its queue, and Batch's reason if it gives one."""
    reason = f": {job['statusReason']}" if job.get("statusReason") else ""
    return f"{job['status']} in the queue {_name(job.get('jobQueue'))}{reason}"


def exit_code(job: Description) -> int | None:
    """Return the exit status of the job's container, None if it never ran to an end."""
    for container in (job.get("container") or {}, last_container(job)):
        if container.get("exitCode") is not None:
            return int(container["exitCode"])
    return None


def memory_limit(job: Description) -> int | None:
    """Return the memory in MB that the job's container had."""
    container: Any = job.get("container") or {}
    for requirement in container.get("resourceRequirements") or ():
        if requirement.get("type") == "MEMORY":
            return int(requirement["value"])
    return None if container.get("memory") is None else int(container["memory"])


def facts_of(job: Description) -> dict[str, str]:
    """Return what is worth keeping of the place where a job runs or ran."""
    container = {**last_container(job), **(job.get("container") or {})}
    known = {
        "aws-batch-job-id": job.get("jobId"),  # these three as Metaflow names them
        "aws-batch-job-attempt": len(job.get("attempts") or [1]),
        "aws-batch-jq-name": _name(job.get("jobQueue")),
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


def last_container(job: Description) -> Description:
    """Return what is known of the container of the last attempt."""
    attempts = job.get("attempts") or [{}]
    container: Description = attempts[-1].get("container") or {}
    return container
