"""Jobs and requests for the tests of this room."""

from __future__ import annotations

from typing import Any

from metaflow.compute.jobs.protocol import Job
from metaflow.compute.resources import ResourceRequest
from support.batch_service import QUEUE

ROLE = "arn:aws:iam::111122223333:role/flows"


def request(
    cpu: float = 1, memory: int = 512, *, gpu: int | None = 0, shared_memory: int | None = None, **options: Any
) -> ResourceRequest:
    return ResourceRequest(
        "batch",
        cpu,
        memory,
        gpu=gpu,
        shared_memory=shared_memory,
        image="python:3.11",
        options={"queue": QUEUE, "iam_role": ROLE, **options},
    )


def job(
    task: int = 1,
    *,
    attempt: int = 0,
    resources: ResourceRequest | None = None,
    environment: dict[str, str] | None = None,
    time_limit: float = 3600.0,
    **labels: str,
) -> Job:
    own = {"flow": "Hello", "run": "7", "step": "start", "task": str(task), "attempt": str(attempt), "user": "ann"}
    return Job(
        task,
        attempt,
        "start",
        ("python", "-c", "print()"),
        {"MILLRACE_BOOT": "{}", "METAFLOW_USER": "ann"} if environment is None else environment,
        {**own, **labels},
        resources or request(),
        time_limit,
    )
