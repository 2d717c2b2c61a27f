"""The unfinished jobs with some labels, of whichever run and process: what `list` shows and `kill` ends.

A job is over when its pods are: its conditions, which the job controller sets, follow a second or two later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from metaflow.compute.jobs.protocol import RunningJob
from metaflow.compute.kubernetes.client import Client, StatusError
from metaflow.compute.kubernetes.names import selector, true_labels
from metaflow.compute.kubernetes.queries import jobs_path, pods_path
from metaflow.compute.kubernetes.states import Pod, read, why_waiting

_SECONDS = 10.0


async def unfinished(client: Client, labels: Mapping[str, str], namespace: str) -> list[RunningJob]:
    """Return the unfinished jobs with all these labels, oldest first.

    They are looked for in all namespaces, or where that is not permitted in `namespace`.
    """
    try:
        jobs = await client.list("/apis/batch/v1/jobs", seconds=_SECONDS, labelSelector=selector(labels))
        pods_at = "/api/v1/pods"
    except StatusError as refused:
        if refused.status != 403:
            raise
        jobs = await client.list(jobs_path(namespace), seconds=_SECONDS, labelSelector=selector(labels))
        pods_at = pods_path(namespace)
    jobs = [job for job in jobs if _is_meant(job, labels) and not _is_closed(job)]
    if not jobs:
        return []
    pods: dict[tuple[str, str], list[Pod]] = {}
    async for page in client.pages(pods_at, seconds=_SECONDS, labelSelector=selector(labels)):
        for pod in page.get("items") or ():
            metadata = pod["metadata"]
            name = (metadata["namespace"], (metadata.get("labels") or {}).get("job-name", ""))
            pods.setdefault(name, []).append(read(pod))
    found = [(job, pods.get((job["metadata"]["namespace"], job["metadata"]["name"]), [])) for job in jobs]
    running = [_running(job, members) for job, members in found if not is_over(members)]
    return sorted(running, key=lambda job: job.created)


def is_over(pods: Sequence[Pod]) -> bool:
    """Tell whether a job with these pods is over, whatever its conditions say.

    It is when all have ended, for none is started again (`backoffLimit` 0). Not yet over is a job without a pod; and
    one whose pod is being deleted, even if its container has ended: job controllers before Kubernetes 1.26 replace it.
    """
    return bool(pods) and all(pod.has_ended and not pod.is_deleted for pod in pods)


def _is_meant(job: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Tell whether its true labels are these: the selector knows them in the form that labels allow."""
    true = true_labels(job["metadata"].get("annotations") or {})
    return all(true.get(name) == value for name, value in labels.items())


def _is_closed(job: Mapping[str, Any]) -> bool:
    """Tell whether the job itself says that it is over, or is being deleted."""
    if job["metadata"].get("deletionTimestamp"):
        return True
    conditions = (job.get("status") or {}).get("conditions") or ()
    return any(each.get("type") in ("Complete", "Failed") and each.get("status") == "True" for each in conditions)


def _running(job: Mapping[str, Any], pods: Sequence[Pod]) -> RunningJob:
    metadata = job["metadata"]
    return RunningJob(
        id=f"{metadata['namespace']}/{metadata['name']}",
        labels=true_labels(metadata.get("annotations") or {}),
        status=_status(next((pod for pod in reversed(pods) if not pod.has_ended), pods[-1] if pods else None)),
        created=datetime.fromisoformat(metadata["creationTimestamp"]).timestamp(),
    )


def _status(pod: Pod | None) -> str:
    if pod is None:
        return "waiting for its pod"
    if pod.is_deleted:
        return f"being ended, pod {pod.name}"
    if pod.has_started:
        return f"running on {pod.node}, pod {pod.name}"
    reason = why_waiting(pod)
    return f"waiting{f': {reason}' if reason else ''}, pod {pod.name}"
