"""Questions about jobs and pods that their watch does not answer; what may not be asked stays unknown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from metaflow.compute.jobs.retry import Refused, Unavailable
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
    """Asks a cluster.

    Parameters
    ----------
    client : Client
        The cluster's.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    async def is_job_gone(self, namespace: str, name: str) -> bool:
        """Tell whether a job has been deleted, or is about to be.

        Raises
        ------
        Unavailable, StatusError
            There is no answer.
        """
        job = await self._client.find(jobs_path(namespace, name), seconds=5.0)
        return job is None or bool(job["metadata"].get("deletionTimestamp"))

    async def job_launch(self, namespace: str, name: str) -> str | None:
        """Return by whose launch a job was created; None if there is no such job.

        Raises
        ------
        Unavailable, StatusError
            There is no answer.
        """
        job = await self._client.find(jobs_path(namespace, name), seconds=5.0)
        return None if job is None else str((job["metadata"].get("labels") or {}).get(LAUNCH) or "")

    async def pod_of(self, namespace: str, job: str) -> dict[str, Any] | None:
        """Return the object of a job's pod, if there is one."""
        try:
            found = await self._client.list(pods_path(namespace), labelSelector=f"job-name={job}", seconds=5.0)
        except (Unavailable, Refused):
            return None
        return found[-1] if found else None

    async def jobs_of(self, namespace: str, launch: str) -> set[str] | None:
        """Return the names of a launch's jobs."""
        try:
            found = await self._client.list(jobs_path(namespace), labelSelector=f"{LAUNCH}={launch}")
        except (Unavailable, Refused):
            return None
        return {job["metadata"]["name"] for job in found if not job["metadata"].get("deletionTimestamp")}

    async def warnings(self, namespace: str) -> dict[tuple[str, str], tuple[str, str]]:
        """Return the last warning about each job and pod: kind and name to its reason and words."""
        try:
            found = await self._client.list(f"/api/v1/namespaces/{namespace}/events", fieldSelector="type=Warning")
        except (Unavailable, Refused):
            return {}
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
        try:
            params = {"container": container, "tailLines": str(_TAIL)}
            text = await self._client.text(f"{pods_path(namespace, pod.name)}/log", params)
        except (Unavailable, Refused):
            text = pod.message.encode() if pod.reason not in ("StartError", "ContainerCannotRun") else b""
        return text.splitlines()[-_TAIL:]


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
