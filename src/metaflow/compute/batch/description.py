"""From a `Job` to what AWS Batch is told: a job definition, which many jobs share, and the call that submits one.

The definition holds what the jobs of a step have in common: image, command, roles, devices, volumes, logs. Its name
is made of its content, so that the same content is registered once, whichever run comes first; figures and variables
are told at submission. Batch allows 8192 bytes there: what does not fit goes into the definition, which then serves
fewer jobs. Pure.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from math import ceil
from typing import Any, NamedTuple

from metaflow.compute.batch import fargate
from metaflow.compute.batch.client import Description
from metaflow.compute.jobs.protocol import Job
from metaflow.compute.resources import ResourceRequest
from metaflow.version import __version__

LABELS = {
    "flow": "metaflow.flow_name",
    "run": "metaflow.run_id",
    "step": "metaflow.step_name",
    "task": "metaflow.task_id",
    "attempt": "metaflow.retry_count",
    "user": "metaflow.user",
}
"""Names of a job's labels in its parameters and tags, as Metaflow 2.19 writes them."""

_IN_TAGS = frozenset({"flow", "run", "step", "user"})

TMPFS_PATH = "/metaflow_temp"
NAME_LENGTH = 128
_TAG_LENGTH = 256
_MOST_OVERRIDES = 8192 - 192
"""Bytes of the overrides as JSON; the margin is for how the service counts."""
_BOOT = "MILLRACE_BOOT"
"""The variable that differs between any two tasks."""
_SHORTEST_LIMIT = 60
"""Seconds: the least that Batch takes."""


class JobDescription(NamedTuple):
    """What to tell Batch of a job.

    Attributes
    ----------
    definition : mapping
        The call that registers its definition.
    submission : mapping
        The call that submits it, without ``jobDefinition``.
    granted : dict of str to str
        For people and facts: image, cores, MB, GPUs, as asked of Batch.
    rounded : str
        What to tell a person of Fargate's sizes, empty if the step has just what it asks for.
    """

    definition: Description
    submission: Description
    granted: dict[str, str]
    rounded: str


def describe(job: Job, *, on_fargate: bool, emits_tags: bool = False) -> JobDescription:
    """Say what Batch shall be told of a job; `emits_tags`: also by tags whose it is, which takes a right to tag."""
    request = job.resources
    given = tags(job.labels if emits_tags else {}, request.options.get("aws_batch_tags") or {})
    size = _size(request, on_fargate)
    shared, own = _variables(job, size)
    properties: dict[str, Any] = {
        "image": request.image,
        "command": list(job.argv),
        # Must be there; each submission has its own.
        "resourceRequirements": _requirements(fargate.Size(1, 4096), 0),
        **_roles(request),
        **_volumes(request),
        **_logs(request),
    }
    if shared:
        properties["environment"] = _pairs(shared)
    if on_fargate:
        properties |= _fargate(request)
    else:
        properties |= _ec2(request)
    definition = {
        "type": "container",
        "containerProperties": properties,
        "platformCapabilities": ["FARGATE" if on_fargate else "EC2"],
        "retryStrategy": {"attempts": 1},
    }
    submission = {
        "jobName": job_name(job.labels),
        "jobQueue": request.options.get("queue"),
        "containerOverrides": _overrides(own, size, request.gpu or 0),
        "parameters": {LABELS[name]: value for name, value in job.labels.items() if name in LABELS},
        "retryStrategy": {"attempts": 1},
        "timeout": {"attemptDurationSeconds": max(_SHORTEST_LIMIT, ceil(job.time_limit))},
        **({"propagateTags": True, "tags": given} if given else {}),
    }
    granted = {"image": str(request.image), "vcpu": f"{size.cpu:g}", "memory-mb": str(size.memory)}
    if request.gpu:
        granted["gpu"] = str(request.gpu)
    name = _definition_name(job.labels.get("flow", ""), definition)
    return JobDescription(
        {"jobDefinitionName": name, **definition}, submission, granted, _rounded(job, size) if on_fargate else ""
    )


# --- names and labels -----------------------------------------------------------------------------------------------


def job_name(labels: Mapping[str, str]) -> str:
    """Return a name that only this attempt has: user, flow, run, step, task and attempt, as far as Batch allows."""
    words = [labels.get(key, "") for key in ("user", "flow", "run", "step", "task", "attempt")]
    words += [labels[key] for key in ("link",) if key in labels]
    return fit_name("-".join(words))


def tags(labels: Mapping[str, str], further: Mapping[str, str]) -> dict[str, str]:
    """Return `further`, the user's tags, and, if there are labels, those by which Metaflow 2.19 marks a job."""
    own = {tag: labels[name] for name, tag in LABELS.items() if name in labels and name in _IN_TAGS}
    marks = {"app": "metaflow", "metaflow.version": __version__, **own} if labels else {}
    return {key: tag_value(value) for key, value in {**further, **marks}.items()}


def tag_value(value: object) -> str:
    """Return a text as a tag may have it."""
    return re.sub(r"[^\w\s+\-=.:/@]", "-", str(value))[:_TAG_LENGTH]


def labels_of(job: Description) -> dict[str, str]:
    """Return the labels of a described job."""
    parameters, given = job.get("parameters") or {}, job.get("tags") or {}
    found = {name: parameters.get(key) or given.get(key) for name, key in LABELS.items()}
    return {name: value for name, value in found.items() if value}


def _definition_name(flow: str, definition: Description) -> str:
    content = json.dumps(definition, sort_keys=True)
    digest = hashlib.sha256(content.encode()).hexdigest()[:16]
    return f"{fit_name(f'millrace-{flow}', NAME_LENGTH - 17)}-{digest}"


def fit_name(text: str, length: int = NAME_LENGTH) -> str:
    """Return a name of letters, digits, hyphens and underscores; one that is too long ends in its hash."""
    name = re.sub(r"[^A-Za-z0-9_-]", "-", text)
    if not name[:1].isalnum():
        name = f"x{name}"
    if len(name) > length:
        name = f"{name[: length - 13]}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    return name


# --- figures and variables ------------------------------------------------------------------------------------------


def _size(request: ResourceRequest, on_fargate: bool) -> fargate.Size:
    if on_fargate:
        size = fargate.size_for(request.cpu, request.memory)
        return size or fargate.Size(fargate.LARGEST_CPU, fargate.LARGEST_MEMORY)  # preflight and Batch refuse it
    return fargate.Size(max(1, ceil(request.cpu)), request.memory)  # on EC2, Batch counts whole cores


def _rounded(job: Job, size: fargate.Size) -> str:
    asked = fargate.Size(job.resources.cpu, job.resources.memory)
    if asked == size:
        return ""
    return (
        f"AWS Fargate has sizes of its own: the step '{job.step}' asks for {asked.cpu:g} cores and {asked.memory} MB, "
        f"and gets {size.cpu:g} and {size.memory}."
    )


def _requirements(size: fargate.Size, gpu: int) -> list[dict[str, str]]:
    figures = {"VCPU": f"{size.cpu:g}", "MEMORY": str(size.memory)}
    if gpu:
        figures["GPU"] = str(gpu)
    return [{"type": kind, "value": value} for kind, value in figures.items()]


def _variables(job: Job, size: fargate.Size) -> tuple[dict[str, str], dict[str, str]]:
    """Return which variables the definition holds and which the submission."""
    options = job.resources.options
    variables = dict(job.environment)
    if has_tmpfs(options) and options.get("tmpfs_tempdir", True):
        variables.setdefault("METAFLOW_TEMPDIR", options.get("tmpfs_path") or TMPFS_PATH)
    for held in ((), tuple(variables.keys() - {_BOOT}), tuple(variables)):
        own = {name: value for name, value in variables.items() if name not in held}
        if len(json.dumps(_overrides(own, size, job.resources.gpu or 0))) <= _MOST_OVERRIDES:
            break
    return {name: variables[name] for name in sorted(held)}, own


def _overrides(variables: Mapping[str, str], size: fargate.Size, gpu: int) -> dict[str, Any]:
    return {"environment": _pairs(variables), "resourceRequirements": _requirements(size, gpu)}


def _pairs(variables: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in variables.items()]


# --- what the definition holds --------------------------------------------------------------------------------------


def _roles(request: ResourceRequest) -> dict[str, Any]:
    roles = {"jobRoleArn": "iam_role", "executionRoleArn": "execution_role"}
    return {key: request.options[option] for key, option in roles.items() if request.options.get(option)}


def _fargate(request: ResourceRequest) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "networkConfiguration": {"assignPublicIp": "ENABLED"},
        "fargatePlatformConfiguration": {"platformVersion": "LATEST"},
    }
    if request.options.get("ephemeral_storage"):
        properties["ephemeralStorage"] = {"sizeInGiB": int(request.options["ephemeral_storage"])}
    return properties


def _ec2(request: ResourceRequest) -> dict[str, Any]:
    options = request.options
    linux: dict[str, Any] = {}
    if request.shared_memory:
        linux["sharedMemorySize"] = request.shared_memory
    for key, option in (("maxSwap", "max_swap"), ("swappiness", "swappiness")):
        if options.get(option) is not None:
            linux[key] = int(options[option])
    if has_tmpfs(options):
        linux["tmpfs"] = [
            {
                "containerPath": options.get("tmpfs_path") or TMPFS_PATH,
                "size": int(options.get("tmpfs_size") or max(1, request.memory // 2)),
                "mountOptions": ["defaults"],
            }
        ]
    chips = int(options.get("inferentia") or options.get("trainium") or 0)
    devices = [f"/dev/neuron{index}" for index in range(chips)]
    devices += [f"/dev/infiniband/uverbs{index}" for index in range(int(options.get("efa") or 0))]
    if devices:
        linux["devices"] = [
            {"hostPath": path, "containerPath": path, "permissions": ["READ", "WRITE"]} for path in devices
        ]
    properties: dict[str, Any] = {"linuxParameters": linux} if linux else {}
    if options.get("privileged"):
        properties["privileged"] = True
    return properties


def has_tmpfs(options: Mapping[str, Any]) -> bool:
    """Tell whether a directory in memory is asked for: by ``use_tmpfs``, or by a size."""
    return bool(options.get("use_tmpfs") or options.get("tmpfs_size"))


def _volumes(request: ResourceRequest) -> dict[str, Any]:
    volumes: list[dict[str, Any]] = []
    mounts: list[dict[str, Any]] = []

    def mount(name: str, path: str, **volume: Any) -> None:
        volumes.append({"name": re.sub(r"[^A-Za-z0-9_-]", "_", name), **volume})
        mounts.append({"sourceVolume": volumes[-1]["name"], "containerPath": path, "readOnly": False})

    for text in _texts(request.options.get("host_volumes")):
        source, _, path = text.partition(":")
        mount(source, path or source, host={"sourcePath": source})
    for text in _texts(request.options.get("efs_volumes")):
        system, _, path = text.partition(":")
        configuration = {"fileSystemId": system, "transitEncryption": "ENABLED"}
        mount(f"efs_{system}", path or f"/mnt/{system}", efsVolumeConfiguration=configuration)
    return {"volumes": volumes, "mountPoints": mounts} if volumes else {}


def _logs(request: ResourceRequest) -> dict[str, Any]:
    options = dict(text.partition(":")[::2] for text in _texts(request.options.get("log_options")))
    driver = request.options.get("log_driver") or ("awslogs" if options else None)
    if not driver:
        return {}
    return {"logConfiguration": {"logDriver": driver, **({"options": options} if options else {})}}


def log_group(request: ResourceRequest) -> str | None:
    """Return the CloudWatch group to which the containers' output goes, None if it goes elsewhere."""
    configuration = _logs(request).get("logConfiguration", {})
    if configuration.get("logDriver", "awslogs") != "awslogs":
        return None
    return str(configuration.get("options", {}).get("awslogs-group", "/aws/batch/job"))


def _texts(value: Any) -> list[str]:
    if not value:
        return []
    return [value] if isinstance(value, str) else list(value)
