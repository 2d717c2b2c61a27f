"""What a job looks like on Kubernetes: a `Job` in, the object for the API out. Pure.

One Job whose pods are never started again: `backoffLimit` 0, and on clusters that know it, no replacement for a pod
that is being deleted. Its time limit is the pod's, so that waiting for a node does not count and the pod stays to
be looked at. Start reading at `manifest`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from metaflow.compute.jobs.protocol import Job
from metaflow.compute.kubernetes.names import LAUNCH, POOL, job_name, marks
from metaflow.compute.resources import ResourceRequest
from metaflow.settings.table import KUBERNETES_JOB_TTL_SECONDS_AFTER_FINISHED

GRACE = 30
"""Seconds from the request to end to the end by force: the task's log and outcome are put in them."""

DEFAULT_TTL = KUBERNETES_JOB_TTL_SECONDS_AFTER_FINISHED.default
"""Seconds that a finished job stays, as in Metaflow."""

_DISK = 10240
_TMPFS_PATH = "/metaflow_temp"

# The pod about itself.
_DOWNWARD = {
    "METAFLOW_KUBERNETES_NAMESPACE": "metadata.namespace",
    "METAFLOW_KUBERNETES_POD_NAMESPACE": "metadata.namespace",
    "METAFLOW_KUBERNETES_POD_NAME": "metadata.name",
    "METAFLOW_KUBERNETES_POD_ID": "metadata.uid",
    "METAFLOW_KUBERNETES_SERVICE_ACCOUNT_NAME": "spec.serviceAccountName",
    "METAFLOW_KUBERNETES_NODE_NAME": "spec.nodeName",
    "METAFLOW_KUBERNETES_NODE_IP": "status.hostIP",
    "METAFLOW_KUBERNETES_POD_IP": "status.podIP",
}
_FIXED = {"METAFLOW_KUBERNETES_WORKLOAD": "1", "METAFLOW_RUNTIME_ENVIRONMENT": "kubernetes"}


def manifest(job: Job, *, launch: str, ttl: int = DEFAULT_TTL) -> dict[str, Any]:
    """Return the Job to create.

    Parameters
    ----------
    job : Job
        What shall run.
    launch : str
        Value of the label by which the creator finds its own.
    ttl : int
        Seconds that the finished job is kept.
    """
    request = job.resources
    options = request.options
    labels, annotations = marks(job.labels)
    labels = {**(options.get("labels") or {}), **labels, LAUNCH: launch}
    annotations = {**(options.get("annotations") or {}), **annotations}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job_name(job.labels),
            "namespace": namespace_of(request),
            "labels": labels,
            "annotations": annotations,
        },
        "spec": {
            "backoffLimit": 0,
            "completionMode": "Indexed" if job.members > 1 else "NonIndexed",
            "completions": job.members,
            "parallelism": job.members,
            "podReplacementPolicy": "Failed",  # Kubernetes 1.29; ignored before
            "ttlSecondsAfterFinished": ttl,
            "template": {"metadata": {"labels": labels, "annotations": annotations}, "spec": _pod(job)},
        },
    }


def namespace_of(request: ResourceRequest) -> str:
    """Return the namespace that a request goes to."""
    return str(request.options.get("namespace") or "default")


def _pod(job: Job) -> dict[str, Any]:
    request = job.resources
    options = request.options
    volumes, _ = _volumes(request)
    selected = dict(options.get("node_selector") or {})
    if options.get("compute_pool"):
        selected[POOL] = options["compute_pool"]
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "activeDeadlineSeconds": max(1, math.ceil(job.time_limit)),
        "terminationGracePeriodSeconds": GRACE,
        "enableServiceLinks": False,  # a variable for each port of each service: slow where there are thousands
        "serviceAccountName": options.get("service_account"),
        "nodeSelector": selected,
        "tolerations": options.get("tolerations"),
        "imagePullSecrets": [{"name": name} for name in options.get("image_pull_secrets") or ()],
        "volumes": volumes,
        "containers": [_container(job)],
    }
    return {key: value for key, value in pod.items() if value not in (None, [], {})}


def _container(job: Job) -> dict[str, Any]:
    request = job.resources
    options = request.options
    _, mounts = _volumes(request)
    container: dict[str, Any] = {
        "name": container_name(job.step),
        "image": request.image,
        "imagePullPolicy": options.get("image_pull_policy"),
        "command": _command(job.argv, options),
        "env": _environment(job),
        "envFrom": [{"secretRef": {"name": name}} for name in options.get("secrets") or ()],
        "resources": amounts(request),
        "ports": [{"containerPort": options["port"], "protocol": "TCP"}] if options.get("port") else None,
        "volumeMounts": mounts,
        "securityContext": options.get("security_context"),
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    return {key: value for key, value in container.items() if value not in (None, [], {})}


def container_name(step: str) -> str:
    """Return the name of the container of a step, for people who look into the pod."""
    return re.sub("[^a-z0-9]+", "-", step.lower()).strip("-")[:63].strip("-") or "task"


def _command(argv: tuple[str, ...], options: Mapping[str, Any]) -> list[str]:
    words = [str(options.get("executable") or argv[0]), *argv[1:]]
    return [_literal(word) for word in words]


def _literal(text: str) -> str:
    """Keep Kubernetes from putting the values of variables in."""
    return text.replace("$(", "$$(")


def _environment(job: Job) -> list[dict[str, Any]]:
    options = job.resources.options
    values = {**_FIXED, **job.environment}
    if has_tmpfs(options) and options.get("tmpfs_tempdir", True):
        values.setdefault("METAFLOW_TEMPDIR", _tmpfs_path(options))
    literal = [{"name": name, "value": _literal(value)} for name, value in values.items()]
    own = [{"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in _DOWNWARD.items()]
    return literal + own


def amounts(request: ResourceRequest) -> dict[str, dict[str, str]]:
    """Return what the container asks for and what it may use.

    In the class Guaranteed these are the same. Else it may use what the node has left, of memory no more than the limit
    if one is asked for.
    """
    qos = str(request.options.get("qos") or "burstable").lower()
    disk = {"ephemeral-storage": f"{request.disk or _DISK}M"}
    cores, memory = {"cpu": _cores(request.cpu)}, {"memory": f"{request.memory}M"}
    devices = devices_of(request)
    if qos == "besteffort":
        return {key: value for key, value in (("requests", disk), ("limits", devices)) if value}
    asked = {**cores, **memory, **disk}
    most = memory_limit(request)
    limits = asked if qos == "guaranteed" else {"memory": f"{most}M"} if most else {}
    return {"requests": asked, **({"limits": {**limits, **devices}} if limits or devices else {})}


def memory_limit(request: ResourceRequest) -> int | None:
    """Return the most memory that the container may use, in MB; None: what its node has left."""
    is_guaranteed = str(request.options.get("qos") or "").lower() == "guaranteed"
    return request.memory if is_guaranteed else request.memory_limit


def devices_of(request: ResourceRequest) -> dict[str, str]:
    """Return the GPUs and other extended resources that a request names, with their counts."""
    devices = {str(name): str(count) for name, count in (request.options.get("extended_resources") or {}).items()}
    if request.gpu:
        devices[f"{request.gpu_vendor or 'nvidia'}.com/gpu"] = str(request.gpu)
    return devices


def _cores(cpu: float) -> str:
    """Return cores as a quantity; the API counts thousandths."""
    return str(int(cpu)) if float(cpu).is_integer() else f"{max(1, math.ceil(round(cpu * 1000, 6)))}m"


def has_tmpfs(options: Mapping[str, Any]) -> bool:
    """Tell whether a file system in memory is asked for; naming its size asks for it."""
    return bool(options.get("use_tmpfs") or (options.get("use_tmpfs") is None and options.get("tmpfs_size")))


def _tmpfs_path(options: Mapping[str, Any]) -> str:
    return str(options.get("tmpfs_path") or _TMPFS_PATH)


def _volumes(request: ResourceRequest) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the volumes and where they are mounted."""
    options = request.options
    volumes: list[dict[str, Any]] = []
    mounts: list[dict[str, Any]] = []
    if has_tmpfs(options):
        size = options.get("tmpfs_size") or max(1, request.memory // 2)
        volumes.append({"name": "tmpfs", "emptyDir": {"medium": "Memory", "sizeLimit": f"{int(size)}Mi"}})
        mounts.append({"name": "tmpfs", "mountPath": _tmpfs_path(options)})
    if request.shared_memory:
        volumes.append({"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": f"{request.shared_memory}Mi"}})
        mounts.append({"name": "shm", "mountPath": "/dev/shm"})
    for number, (claim, path) in enumerate((options.get("persistent_volume_claims") or {}).items()):
        volumes.append({"name": f"claim-{number}", "persistentVolumeClaim": {"claimName": claim}})
        mounts.append({"name": f"claim-{number}", "mountPath": path})
    return volumes, mounts
