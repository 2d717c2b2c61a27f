"""How Batch says that a job ended, and what is made of it."""

from __future__ import annotations

from typing import Any

import pytest

from metaflow.compute.batch.ends import failure_of
from metaflow.compute.batch.states import exit_code, facts_of, memory_limit
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


def ended(status: str = "", reason: str = "", code: int | None = None, **more: Any) -> dict[str, Any]:
    container: dict[str, Any] = {"image": "some-image", "memory": 512}
    if reason:
        container["reason"] = reason
    if code is not None:
        container["exitCode"] = code
    return {"jobId": "j", "status": "FAILED", "statusReason": status, "container": container, **more}


ORDINARY = "Essential container in task exited"
PULL = "CannotPullContainerError: manifest for nope:1 not found"
NO_PYTHON = 'CannotStartContainerError: exec: "python": executable file not found in $PATH: unknown'


@pytest.mark.parametrize(
    ("job", "kind", "words"),
    [
        (ended(ORDINARY, "OutOfMemoryError: Container killed due to memory usage", 137), TaskOutOfMemory, "512 MB"),
        (ended("Host EC2 (instance i-0f00) terminated."), TaskPreempted, "i-0f00"),
        (ended("Your Spot Task was interrupted."), TaskPreempted, "taken away"),
        (ended("Task failed to start", PULL), ImageUnavailable, "nope:1 not found"),
        (ended(PULL), ImageUnavailable, "cannot be pulled"),
        (ended("Task failed to start", NO_PYTHON), ImageUnavailable, "no `python`"),
        (ended("Task failed to start", "CannotStartContainerError: no device"), TaskNotPlaced, "no device"),
        (ended("Task failed to start"), TaskNotPlaced, "could not start the step 'fit': Task failed to start"),
        (ended("ResourceInitializationError: no secret"), TaskNotPlaced, "no secret"),
        (
            ended("Job attempt duration exceeded timeout", code=137, timeout={"attemptDurationSeconds": 60}),
            TaskTimedOut,
            "time limit of 60 s",
        ),
        (ended("bye", code=137, isTerminated=True), TaskCancelled, "somebody ended the Batch job .*: bye"),
        (ended("bye", isCancelled=True), TaskCancelled, "bye"),
        (ended("not needed any more", code=143), TaskCancelled, "not needed any more"),
        (ended("Canceled by JobStateTimeLimit action due to reason: X"), TaskNotPlaced, "while it waited"),
        (ended("Something new", startedAt=1), TaskLost, "without an exit status: Something new"),
        (ended("Something new"), TaskNotPlaced, "Something new"),
    ],
)
def test_failures(job: dict[str, Any], kind: type[TaskFailed], words: str) -> None:
    failure = failure_of("fit", job)
    assert type(failure) is kind
    assert "'fit'" in failure.message
    with pytest.raises(kind, match=words):
        raise failure


@pytest.mark.parametrize("code", [1, 137, 143])
def test_an_exit_status_speaks_for_itself(code: int) -> None:
    job = ended(ORDINARY, code=code)
    assert failure_of("fit", job) is None
    assert exit_code(job) == code
    assert failure_of("fit", {**job, "status": "SUCCEEDED"}) is None


def test_figures_and_facts() -> None:
    job = {
        "jobId": "j",
        "jobQueue": "arn:aws:batch:r:1:job-queue/q",
        "jobDefinition": "arn:aws:batch:r:1:job-definition/d:3",
        "attempts": [{"container": {"exitCode": 4, "taskArn": "t", "logStreamName": "s"}}],
        "container": {"image": "i", "resourceRequirements": [{"type": "VCPU", "value": "1"}]},
    }
    assert exit_code(job) == 4
    assert exit_code({}) is None
    assert memory_limit(job) is None
    assert memory_limit({"container": {"resourceRequirements": [{"type": "MEMORY", "value": "9"}]}}) == 9
    assert facts_of(job) == {
        "aws-batch-job-id": "j",
        "aws-batch-job-attempt": "1",
        "aws-batch-jq-name": "q",
        "batch-job-id": "j",
        "batch-queue": "q",
        "batch-job-definition": "d:3",
        "batch-log-stream": "s",
        "ecs-task": "t",
        "image": "i",
    }
