"""What bare jobs cost: as many as a flow has tasks, in the same order, each printing one line and nothing else.

They are made and waited for by the tools of the place (kubectl, boto3), wave after wave: the next begins when all jobs
of the one before have succeeded.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import time
from collections.abc import Sequence
from typing import Any

from benchmarks.measure import Failure, Measure

_COMMAND = ["python", "-c", "print('Hello, world')"]
_DEADLINE = 600.0
_PACE = 0.2


def kubernetes(waves: Sequence[int]) -> Measure:
    """Run waves of Jobs on Kubernetes."""
    bench = f"bench-{secrets.token_hex(4)}"
    label = f"bench={bench}"
    begin = time.perf_counter()
    try:
        for number, count in enumerate(waves):
            jobs = [_job(f"{bench}-{number}-{index}", bench) for index in range(count)]
            _kubectl("create", "-f", "-", given=json.dumps({"kind": "List", "apiVersion": "v1", "items": jobs}))
            _kubectl("wait", "jobs", "-l", label, "--for=condition=complete", f"--timeout={_DEADLINE:.0f}s")
        return Measure(time.perf_counter() - begin, 0.0, 0.0)
    finally:
        _kubectl("delete", "jobs", "-l", label, "--wait=false")


def _job(name: str, bench: str) -> dict[str, Any]:
    container = {
        "name": "bare",
        "image": os.environ.get("METAFLOW_DEFAULT_CONTAINER_IMAGE", "python:3.11"),
        "command": _COMMAND,
        "resources": {"requests": {"cpu": "0.05", "memory": "128M"}},
    }
    pod = {"spec": {"containers": [container], "restartPolicy": "Never"}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": {"bench": bench}},
        "spec": {"template": pod, "backoffLimit": 0},
    }


def _kubectl(*words: str, given: str | None = None) -> None:
    namespace = os.environ.get("METAFLOW_KUBERNETES_NAMESPACE", "default")
    command = ("kubectl", "--namespace", namespace, *words)
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failure(f"`{' '.join(command)}` failed: {done.stderr[-1000:]}")


def batch(waves: Sequence[int]) -> Measure:
    """Run waves of jobs on AWS Batch; all of one definition, which is there before."""
    import boto3

    client = boto3.client("batch")
    bench = f"bench-{secrets.token_hex(4)}"
    container = {
        "image": os.environ.get("METAFLOW_DEFAULT_CONTAINER_IMAGE", "python:3.11"),
        "command": _COMMAND,
        "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "128"}],
    }
    made = client.register_job_definition(jobDefinitionName=bench, type="container", containerProperties=container)
    place = {"jobDefinition": made["jobDefinitionArn"], "jobQueue": os.environ["METAFLOW_BATCH_JOB_QUEUE"]}
    try:
        begin = time.perf_counter()
        for number, count in enumerate(waves):
            ids = [client.submit_job(jobName=f"{bench}-{number}-{index}", **place)["jobId"] for index in range(count)]
            _await(client, ids)
        return Measure(time.perf_counter() - begin, 0.0, 0.0)
    finally:
        client.deregister_job_definition(jobDefinition=made["jobDefinitionArn"])


def _await(client: Any, ids: list[str]) -> None:
    end = time.monotonic() + _DEADLINE
    while True:
        jobs = client.describe_jobs(jobs=ids)["jobs"]
        failed = [job for job in jobs if job["status"] == "FAILED"]
        if failed or time.monotonic() > end:
            raise Failure(f"bare jobs did not succeed: {failed[:1] or 'they took too long'}")
        if all(job["status"] == "SUCCEEDED" for job in jobs) and len(jobs) == len(ids):
            return
        time.sleep(_PACE)
