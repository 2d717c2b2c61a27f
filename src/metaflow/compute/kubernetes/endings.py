"""How a pod ended, in a class and a sentence. Pure: a pod and what is known around it in, a `TaskFailed` out.

Start reading at `failure_of_pod`. None means that the exit status is all there is to say.
"""

from __future__ import annotations

from typing import NamedTuple

from metaflow.compute.kubernetes.pods import Pod
from metaflow.compute.resources import ResourceRequest
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


class Around(NamedTuple):
    """What is known of a pod's end besides the pod.

    Attributes
    ----------
    step : str
        Its step.
    request : ResourceRequest
        What it asked for.
    time_limit : float
        Seconds.
    is_job_deleted : bool
        Whether somebody else deleted its job.
    node : str or None
        ``gone``, ``not ready`` or ``ready``; None if it is not known.
    tells_disruptions : bool
        Whether this cluster marks pods that it takes away.
    """

    step: str
    request: ResourceRequest
    time_limit: float
    is_job_deleted: bool = False
    node: str | None = None
    tells_disruptions: bool = False


_PREEMPTED = {
    "Evicted": "its node ran short of something and evicted it",
    "Preempting": "a pod of higher priority took its place",
    "Preempted": "a pod of higher priority took its place",
    "Shutdown": "its node was shut down",
    "NodeShutdown": "its node was shut down",
    "Terminated": "its node was shut down",
    "NodeAffinity": "its node stopped matching its selector",
    # reasons of the condition DisruptionTarget
    "PreemptionByScheduler": "a pod of higher priority took its place",
    "DeletionByTaintManager": "its node got a taint that it does not tolerate",
    "EvictionByEvictionAPI": "it was evicted, as when a node is drained",
    "DeletionByPodGC": "its node was removed",
    "TerminationByKubelet": "its node ended it",
}
_RETRY = "@retry starts it again; on machines that come and go, several times"


def failure_of_pod(pod: Pod, around: Around) -> TaskFailed | None:
    """Return why a pod ended that was not ended by us.

    Parameters
    ----------
    pod : Pod
        As it was last seen; it has ended or is gone.
    around : Around
        What else is known.
    """
    step = around.step
    if pod.phase == "Succeeded" or (pod.code == 0 and not pod.is_deleted):
        return None
    if pod.reason == "OOMKilled":
        return out_of_memory(around)
    if pod.pod_reason == "DeadlineExceeded":
        return TaskTimedOut(
            f"the step '{step}' was ended by Kubernetes after its limit of {_duration(around.time_limit)}",
            hint="@timeout sets the limit",
            limit_seconds=around.time_limit,
        )
    if _cannot_start(pod):
        return cannot_start(pod, step)
    taken = pod.disruption or pod.pod_reason
    if taken in _PREEMPTED:
        return _preempted(pod, step, taken)
    if pod.pod_reason in ("UnexpectedAdmissionError", "OutOfcpu", "OutOfmemory", "OutOfpods"):
        return TaskNotPlaced(f"the node '{pod.node}' refused the step '{step}': {_words(pod)}", hint=_RETRY)
    if not pod.has_ended or pod.is_deleted or pod.code is None:
        return _taken_away(pod, around)
    return None


def out_of_memory(around: Around) -> TaskOutOfMemory:
    limit = around.request.memory
    return TaskOutOfMemory(
        f"the step '{around.step}' needed more memory than its limit of {limit} MB and was killed by the kernel",
        hint="ask for more: @resources(memory=…) or @kubernetes(memory=…), in MB",
        limit_mb=float(limit),
    )


def _preempted(pod: Pod, step: str, reason: str) -> TaskPreempted:
    said = pod.disruption_message if reason == pod.disruption else pod.pod_message
    said = f" ({said.strip().rstrip('.')})" if said else ""
    hint = _RETRY
    if reason == "Evicted":
        hint = "ask for what it needs: @resources(memory=…, disk=…); or start it again: @retry"
    return TaskPreempted(
        f"the step '{step}' lost its place on the node '{pod.node}': {_PREEMPTED[reason]}{said}",
        hint=hint,
        reason=reason,
    )


def _taken_away(pod: Pod, around: Around) -> TaskFailed:
    """Return the failure of a pod that was deleted, or whose node is not heard of any more."""
    step = around.step
    if around.is_job_deleted:
        return TaskCancelled(
            f"the step '{step}' was ended: somebody deleted its job while it ran in the pod {pod.name}"
        )
    if around.node == "gone":
        return TaskPreempted(
            f"the step '{step}' lost its node '{pod.node}', which does not exist any more",
            hint=_RETRY,
            reason="NodeGone",
        )
    if around.node == "not ready" or pod.is_unready:
        return lost(pod, step)
    if around.tells_disruptions:
        return TaskCancelled(f"the step '{step}' was ended: somebody deleted its pod {pod.name}")
    return TaskPreempted(
        f"the step '{step}' lost its pod {pod.name}, which was evicted from the node '{pod.node}' or deleted",
        hint=_RETRY,
        reason="Deleted",
    )


def lost(pod: Pod, step: str) -> TaskLost:
    return TaskLost(
        f"the step '{step}' is lost: the node '{pod.node}' of its pod {pod.name} is not heard of any more",
        hint=_RETRY,
    )


def _cannot_start(pod: Pod) -> bool:
    return pod.reason in ("StartError", "ContainerCannotRun")


def cannot_start(pod: Pod, step: str) -> TaskFailed:
    """Return the failure of a container whose command the runtime cannot start."""
    said = (pod.message or pod.waits_because).strip()
    if "executable file not found" in said or "no such file or directory" in said:
        return ImageUnavailable(
            f"the image '{pod.image}' cannot run the step '{step}': it has no program `python`",
            hint="take an image with Python 3.11 or newer, such as python:3.12, or name its Python: "
            "@kubernetes(executable=…)",
        )
    return ImageUnavailable(f"the image '{pod.image}' cannot run the step '{step}': {said or pod.reason}")


def bad_image(pod: Pod, step: str, said: str) -> ImageUnavailable:
    """Return the failure of an image that cannot be pulled."""
    hint = "check its name and tag; a private registry needs @kubernetes(image_pull_secrets=[…])"
    if pod.waits_for == "ErrImageNeverPull":
        hint = "the pull policy is Never, and the image is not on the node"
    return ImageUnavailable(f"the image '{pod.image}' of the step '{step}' cannot be pulled: {said}", hint=hint)


def bad_container(pod: Pod, step: str, said: str) -> TaskFailed:
    """Return the failure of a container that cannot be made: a missing secret, a bad mount."""
    if "executable file not found" in said:
        return cannot_start(pod, step)
    return TaskNotPlaced(f"the pod of the step '{step}' cannot be started on the node '{pod.node}': {said}")


def never_placed(step: str, seconds: float, reason: str) -> TaskNotPlaced:
    """Return the failure of a job that waited longer than the pending deadline."""
    why = f": {reason}" if reason else ""
    return TaskNotPlaced(
        f"the step '{step}' has waited for {_duration(seconds)} to be started{why}",
        hint="ask for less, or allow more time: METAFLOW_KUBERNETES_PENDING_DEADLINE, in seconds",
    )


def cancelled(step: str) -> TaskCancelled:
    return TaskCancelled(f"the step '{step}' was ended before it had finished")


def _words(pod: Pod) -> str:
    return pod.pod_message or pod.pod_reason


def _duration(seconds: float) -> str:
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.0f} seconds"
