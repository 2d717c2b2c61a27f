"""Where jobs of a queue can run, and whether a request fits there: before the run, and when a job waits for long. Pure.

A request must fit one machine and one compute environment. Machines come and go, so "does not fit" is a figure with
its limit, not a verdict; a queue or role that does not exist is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from metaflow.compute.batch import fargate
from metaflow.compute.batch.client import Description, InstanceType
from metaflow.compute.jobs.preflight import Mismatch
from metaflow.compute.resources import ResourceRequest


class Environment(NamedTuple):
    """A compute environment.

    Attributes
    ----------
    trouble : str
        Why it starts no machines now, empty if nothing is known against it.
    platform : str
        ``EC2``, ``SPOT``, ``FARGATE``, ``FARGATE_SPOT``, ``UNMANAGED`` or ``EKS``.
    most_cpu : int or None
        Cores of all its machines together, at most.
    patterns : tuple of str
        Its machines, as ``m5.large`` or ``c5.*``; empty if they are chosen by AWS.
    """

    name: str
    trouble: str
    platform: str
    most_cpu: int | None
    patterns: tuple[str, ...]


class Queue(NamedTuple):
    """A job queue and what is behind it.

    Attributes
    ----------
    trouble : str
        Why it takes or starts no jobs, empty if nothing is known against it.
    environments : tuple of Environment
        In the order in which the queue fills them.
    types : tuple of InstanceType
        The machines; empty if they are not known.
    account : str
        Number of the account that owns it.
    """

    name: str
    trouble: str
    environments: tuple[Environment, ...]
    types: tuple[InstanceType, ...] = ()
    account: str = ""

    @property
    def on_fargate(self) -> bool:
        """Whether its machines are Fargate's: a queue has one kind or the other."""
        return any(each.platform.startswith("FARGATE") for each in self.environments)


UNKNOWN = Queue("", "", ())
"""A queue that may not be looked at: nothing is known against it."""


def read(queue: Description, environments: Iterable[Description]) -> Queue:
    """Read the descriptions of a queue and its compute environments."""
    trouble = ""
    if queue.get("state") != "ENABLED":
        trouble = f"it is {str(queue.get('state')).lower()}"
    elif queue.get("status") not in ("VALID", "UPDATING", None):
        trouble = f"it is {str(queue['status']).lower()}: {queue.get('statusReason') or 'no reason is given'}"
    account = "".join(str(queue.get("jobQueueArn", "")).split(":")[4:5])
    return Queue(str(queue["jobQueueName"]), trouble, tuple(map(_environment, environments)), account=account)


def _environment(description: Description) -> Environment:
    trouble = ""
    if description.get("state") != "ENABLED":
        trouble = f"it is {str(description.get('state')).lower()}"
    elif description.get("status") not in ("VALID", "UPDATING", "CREATING", None):
        reason = description.get("statusReason") or "no reason is given"
        trouble = f"it is {str(description['status']).lower()}: {reason}"
    resources: Mapping[str, Any] = description.get("computeResources") or {}
    platform = str(resources.get("type") or description.get("type") or "")
    if description.get("containerOrchestrationType") == "EKS":
        platform = "EKS"
    names = [str(name) for name in resources.get("instanceTypes") or ()]
    is_chosen_by_aws = any(name == "optimal" or name.startswith("default") for name in names)
    patterns = () if is_chosen_by_aws else tuple(name if "." in name else f"{name}.*" for name in names)
    most = resources.get("maxvCpus")
    return Environment(
        str(description["computeEnvironmentName"]), trouble, platform, None if most is None else int(most), patterns
    )


def mismatches(queue: Queue, request: ResourceRequest) -> list[Mismatch]:
    """Return what stands against running a request in its queue, the gravest first."""
    if queue.trouble:
        return [Mismatch(f"the job queue '{queue.name}' takes no jobs: {queue.trouble}")]
    found = []
    if any(each.platform == "EKS" for each in queue.environments):
        message = f"the job queue '{queue.name}' belongs to a Kubernetes cluster (EKS)"
        found.append(Mismatch(message, "use a queue of EC2 or Fargate, or @kubernetes"))
    elif queue.on_fargate:
        found += _fargate_mismatches(request)
    elif queue.environments and request.options.get("ephemeral_storage"):
        message = f"ephemeral_storage={request.options['ephemeral_storage']} needs Fargate, '{queue.name}' is on EC2"
        found.append(Mismatch(message, "leave it out: the disk belongs to the compute environment"))
    if queue.environments and all(each.trouble for each in queue.environments):
        troubles = "; ".join(f"'{each.name}': {each.trouble}" for each in queue.environments)
        found.append(
            Mismatch(f"no compute environment of the queue '{queue.name}' starts machines ({troubles})", certain=False)
        )
    return found + _size_mismatches(queue, request)


def _fargate_mismatches(request: ResourceRequest) -> list[Mismatch]:
    found = []
    refused = fargate.refused_options(request)
    if refused:
        words = ", ".join(refused)
        found.append(Mismatch(f"AWS Fargate does not have {words}", "use a queue on EC2, or leave it out"))
    if not request.options.get("execution_role"):
        hint = "set METAFLOW_ECS_FARGATE_EXECUTION_ROLE, or @batch(execution_role=…)"
        found.append(Mismatch("AWS Fargate needs an execution role and none is set", hint))
    disk = request.options.get("ephemeral_storage")
    if disk and int(disk) not in fargate.EPHEMERAL_STORAGE:
        least, most = fargate.EPHEMERAL_STORAGE[0], fargate.EPHEMERAL_STORAGE[-1]
        found.append(Mismatch(f"ephemeral_storage={disk}: AWS Fargate has {least} to {most} GiB"))
    if fargate.size_for(request.cpu, request.memory) is None:
        found.append(
            Mismatch(
                f"cpu={request.cpu:g} and memory={request.memory} MB are more than AWS Fargate has",
                f"its largest size has {fargate.LARGEST_CPU:g} cores and {fargate.LARGEST_MEMORY} MB",
                certain=True,
            )
        )
    return found


def _size_mismatches(queue: Queue, request: ResourceRequest) -> list[Mismatch]:
    limits = [each.most_cpu for each in queue.environments]
    most = max((limit for limit in limits if limit is not None), default=None)
    if most is not None and None not in limits and request.cpu > most:
        message = f"cpu={request.cpu:g} is more than the {most} vCPUs to which the queue '{queue.name}' can grow"
        return [Mismatch(message, "ask for less, or let an administrator raise maxvCpus", certain=False)]
    if not queue.types:
        return []
    wanted = [f"cpu={request.cpu:g}", f"memory={request.memory} MB"]
    if request.gpu:
        wanted.append(f"gpu={request.gpu}")
    # A machine keeps some of its memory to itself: all of it is never free for a job.
    if any(
        each.cpu >= request.cpu and each.memory > request.memory and each.gpu >= (request.gpu or 0)
        for each in queue.types
    ):
        return []
    if request.gpu and not any(each.gpu for each in queue.types):
        message = f"gpu={request.gpu}: no machine of the queue '{queue.name}' has a GPU ({_shown(queue.types)})"
        return [Mismatch(message, "choose a queue with GPUs: @batch(queue=…)", certain=False)]
    message = f"no machine of the queue '{queue.name}' is large enough for {', '.join(wanted)}"
    hint = f"largest here: {_shown(queue.types)}; its memory is not all free for a job"
    return [Mismatch(message, hint, certain=False)]


def _shown(types: Sequence[InstanceType]) -> str:
    largest = max(types, key=lambda each: (each.gpu, each.memory, each.cpu))
    gpus = f", {largest.gpu} GPUs" if largest.gpu else ""
    return f"{largest.name}: {largest.cpu} cores, {largest.memory} MB{gpus}"
