"""How a Batch job ended, why one waits for long, why one is refused: a class and a sentence each. Pure.

The words that are looked for are those of AWS Batch and ECS: "Troubleshooting AWS Batch" in the AWS Batch User Guide,
and "Amazon ECS stopped task error messages" in the Amazon ECS Developer Guide. Start reading at `failure_of`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from metaflow.compute.batch.client import AwsError, Description
from metaflow.compute.batch.queues import Queue
from metaflow.compute.batch.states import exit_code, last_container, memory_limit
from metaflow.compute.jobs import ends
from metaflow.compute.jobs.preflight import Mismatch
from metaflow.compute.jobs.retry import Refused, Unavailable
from metaflow.exception import (
    ImageUnavailable,
    MetaflowException,
    TaskCancelled,
    TaskFailed,
    TaskLost,
    TaskNotPlaced,
    TaskPreempted,
    TaskTimedOut,
)

_HOST_GONE = re.compile(r"Host EC2 .*terminated|Spot (Task )?.*interrupt|SpotInterruption", re.IGNORECASE)
_NO_COMMAND = re.compile(r"executable file not found|no such file or directory", re.IGNORECASE)
_ORDINARY = "Essential container in task exited"


def failure_of(step: str, job: Description) -> TaskFailed | None:
    """Say why a failed job ended; None if there is nothing to say beyond its exit status."""
    if job.get("status") == "SUCCEEDED":
        return None
    status = str(job.get("statusReason") or "")
    detail = str((job.get("container") or {}).get("reason") or last_container(job).get("reason") or "")
    said = " ".join(text for text in (status, detail) if text)
    code = exit_code(job)
    if "JobStateTimeLimit" in status:
        return TaskNotPlaced(f"AWS Batch gave the step '{step}' up while it waited: {status}")
    if job.get("isTerminated") or job.get("isCancelled"):
        return _cancelled(step, status)
    if "OutOfMemory" in said:
        return ends.out_of_memory(step, memory_limit(job))
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


def explanation(queue: Queue, found: Sequence[Mismatch]) -> str:
    """Say why a job may be RUNNABLE for long, where Batch does not; `found` stands against it in its queue."""
    if found:
        return f"it is RUNNABLE, but {found[0].message}"
    limits = [each.most_cpu for each in queue.environments if each.most_cpu is not None]
    most = f" (at most {sum(limits)} vCPUs)" if limits else ""
    return f"it is RUNNABLE and waits for a machine of the queue {queue.name}{most}: all are busy, or AWS has none now"


def unusable(error: Unavailable | Refused) -> MetaflowException:
    """Return what to tell a person who cannot use AWS Batch for this reason."""
    reason = str(error).rstrip(".")
    if isinstance(error, Unavailable) and error.credentials:
        return MetaflowException(
            f"AWS does not accept the credentials: {reason}.",
            hint="renew them (`aws sso login`, a new session token), or choose others by AWS_PROFILE",
        )
    if isinstance(error, Unavailable):
        return MetaflowException(
            f"AWS Batch does not answer: {reason}.",
            hint="check the network, the region (AWS_DEFAULT_REGION) and AWS_ENDPOINT_URL",
        )
    if isinstance(error, AwsError) and error.is_permission:
        return MetaflowException(
            f"AWS does not allow this: {error.reason}.",
            hint="needed are DescribeJobs, SubmitJob, TerminateJob, RegisterJobDefinition and others of batch",
        )
    if isinstance(error, AwsError) and error.code == "NoRegionError":
        return MetaflowException("No AWS region is set.", hint="set AWS_DEFAULT_REGION, or one in the AWS profile")
    return MetaflowException(f"AWS Batch cannot be used: {reason}.")
