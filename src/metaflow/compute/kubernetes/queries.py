"""Questions about jobs and pods that their watch does not answer.

Those about a job raise `Unavailable` or `StatusError` if there is no answer; to the others it stays unknown.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from metaflow.compute.jobs.retry import Refused, Unavailable, answer_or
from metaflow.compute.kubernetes.client import Client
from metaflow.compute.kubernetes.names import LAUNCH
from metaflow.compute.kubernetes.states import Pod

_TAIL = 50
"""Lines."""
# What the pod itself says better, or what keeps no pod from its start.
_KNOWN = frozenset({"FailedScheduling", "BackOff", "Unhealthy", "NodeNotReady", "MissingClusterDNS"})


def jobs_path(namespace: str, name: str = "") -> str:
    path = f"/apis/batch/v1/namespaces/{namespace}/jobs"
    return f"{path}/{name}" if name else path


def pods_path(namespace: str, name: str = "") -> str:
    path = f"/api/v1/namespaces/{namespace}/pods"
    return f"{path}/{name}" if name else path


class Queries:
    """Asks a cluster."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def is_job_gone(self, namespace: str, name: str) -> bool:
        """Tell whether a job has been deleted, or is about to be."""
        job = await self._client.find(jobs_path(namespace, name), seconds=5.0)
        return job is None or bool(job["metadata"].get("deletionTimestamp"))

    async def job_launch(self, namespace: str, name: str) -> str | None:
        """Return by whose launch a job was created; None if there is no such job."""
        job = await self._client.find(jobs_path(namespace, name), seconds=5.0)
        return None if job is None else str((job["metadata"].get("labels") or {}).get(LAUNCH) or "")

    async def pod_of(self, namespace: str, job: str) -> dict[str, Any] | None:
        """Return the object of a job's pod, if there is one."""
        listed = self._client.list(pods_path(namespace), labelSelector=f"job-name={job}", seconds=5.0)
        return next(reversed(await answer_or([], listed)), None)

    async def jobs_of(self, namespace: str, launch: str) -> set[str] | None:
        """Return the names of a launch's jobs; None if they are not known."""
        found = await answer_or(None, self._client.list(jobs_path(namespace), labelSelector=f"{LAUNCH}={launch}"))
        if found is None:
            return None
        return {job["metadata"]["name"] for job in found if not job["metadata"].get("deletionTimestamp")}

    async def warnings(self, namespace: str) -> dict[tuple[str, str], tuple[str, str]]:
        """Return the last warning about each job and pod: kind and name to its reason and words."""
        listed = self._client.list(f"/api/v1/namespaces/{namespace}/events", fieldSelector="type=Warning")
        found = await answer_or([], listed)
        found.sort(key=_moment)
        return {
            (event["involvedObject"].get("kind", ""), event["involvedObject"].get("name", "")): (
                str(event.get("reason") or ""),
                str(event.get("message") or "").strip(),
            )
            for event in found
            if event.get("reason") not in _KNOWN
        }

    async def node_state(self, name: str | None) -> str | None:
        """Return ``gone``, ``not ready`` or ``ready``; None if it is not known."""
        if name is None:
            return None
        try:
            node = await self._client.find(f"/api/v1/nodes/{name}", seconds=3.0)
        except (Unavailable, Refused):
            return None
        if node is None:
            return "gone"
        return "ready" if _is_ready(node) else "not ready"

    async def tail(self, namespace: str, pod: Pod, container: str) -> list[bytes]:
        """Return the last lines that the container printed, as far as the cluster has kept them."""
        kept = pod.message.encode() if pod.reason not in ("StartError", "ContainerCannotRun") else b""
        params = {"container": container, "tailLines": str(_TAIL)}
        log = await answer_or(kept, self._client.text(f"{pods_path(namespace, pod.name)}/log", params))
        return log.splitlines()[-_TAIL:]


def _is_ready(node: dict[str, Any]) -> bool:
    conditions: Iterable[dict[str, Any]] = (node.get("status") or {}).get("conditions") or ()
    return any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions)


def _moment(event: dict[str, Any]) -> str:
    series = event.get("series") or {}
    return str(
        series.get("lastObservedTime")
        or event.get("lastTimestamp")
        or event.get("eventTime")
        or event["metadata"].get("creationTimestamp")
        or ""
    )
