"""How a pod ended, why it will not start, why a job is refused: a class and a sentence each. Pure.

A pod and what is known around it go in, a `TaskFailed` comes out. Start reading at `doubt_of` and `failure_of_pod`, for
which None means that the exit status is all there is to say.
"""

from __future__ import annotations

from typing import NamedTuple

from metaflow.compute.jobs import ends
from metaflow.compute.jobs.events import Doubt
from metaflow.compute.jobs.retry import Refused, Unavailable
from metaflow.compute.kubernetes.client import StatusError
from metaflow.compute.kubernetes.description import memory_limit
from metaflow.compute.kubernetes.preflight import ROLE
from metaflow.compute.kubernetes.states import BAD_CONFIG, BAD_IMAGE, Pod, is_hopeless_image, why_not_pulled
from metaflow.compute.resources import ResourceRequest
from metaflow.exception import (
    ImageUnavailable,
    MetaflowException,
    TaskCancelled,
    TaskFailed,
    TaskLost,
    TaskNotPlaced,
    TaskPreempted,
    TaskTimedOut,
)
from metaflow.settings.kubeconfig import Cluster


class EndContext(NamedTuple):
    """What is known of a pod's end besides the pod.

    Attributes
    ----------
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


class Limits(NamedTuple):
    """How long something may be wrong with a pod, in seconds.

    Attributes
    ----------
    image : float
        Its image cannot be pulled, for a reason that may pass.
    config : float
        A secret, a service account or a mount is not there.
    unready : float
        Its node is not heard of.
    """

    image: float = 120.0
    config: float = 30.0
    unready: float = 600.0


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


def failure_of_pod(pod: Pod, context: EndContext) -> TaskFailed | None:
    """Return why a pod ended that was not ended by us."""
    step = context.step
    if pod.phase == "Succeeded" or (pod.code == 0 and not pod.is_deleted):
        return None
    if pod.reason == "OOMKilled":
        return ends.out_of_memory(step, memory_limit(context.request))
    if pod.pod_reason == "DeadlineExceeded":
        return TaskTimedOut(
            f"the step '{step}' was ended by Kubernetes after its limit of {ends.duration(context.time_limit)}",
            hint="@timeout sets the limit",
            limit_seconds=context.time_limit,
        )
    if _cannot_start(pod):
        return cannot_start(pod, step)
    taken = pod.disruption or pod.pod_reason
    if taken in _PREEMPTED:
        return _preempted(pod, step, taken)
    if pod.pod_reason in ("UnexpectedAdmissionError", "OutOfcpu", "OutOfmemory", "OutOfpods"):
        return TaskNotPlaced(f"the node '{pod.node}' refused the step '{step}': {_words(pod)}", hint=_RETRY)
    if not pod.has_ended or pod.is_deleted or pod.code is None:
        return _taken_away(pod, context)
    return None


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


def _taken_away(pod: Pod, context: EndContext) -> TaskFailed:
    """Return the failure of a pod that was deleted, or whose node is not heard of any more."""
    step = context.step
    if context.is_job_deleted:
        return TaskCancelled(
            f"the step '{step}' was ended: somebody deleted its job while it ran in the pod {pod.name}"
        )
    if context.node == "gone":
        return TaskPreempted(
            f"the step '{step}' lost its node '{pod.node}', which does not exist any more",
            hint=_RETRY,
            reason="NodeGone",
        )
    if context.node == "not ready" or pod.is_unready:
        return lost(pod, step)
    if context.tells_disruptions:
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


# --- why it will not start -------------------------------------------------------------------------------------------


def doubt_of(pod: Pod, step: str, limits: Limits) -> Doubt | None:
    """Return what is wrong with a pod that has not ended, and how long that may last."""
    if pod.has_ended:
        return None
    if pod.is_unready:
        return Doubt("unready", lost(pod, step), limits.unready)
    if pod.waits_for in BAD_IMAGE:
        failure = bad_image(pod, step, why_not_pulled(pod))
        return Doubt("image", failure, 0.0 if is_hopeless_image(pod) else limits.image)
    if pod.waits_for in BAD_CONFIG:
        return Doubt("config", bad_container(pod, step, pod.waits_because or pod.waits_for), limits.config)
    return None


def overdue(pod: Pod, context: EndContext) -> Doubt:
    """Return what is wrong with a pod that the cluster has given up, while its container is still being ended."""
    return Doubt("overdue", failure_of_pod(pod, context) or ends.cancelled(context.step), 0.0)


def no_pod(step: str, cause: str, limits: Limits) -> Doubt | None:
    """Return what is wrong with a job of which no pod is made; a quota that is used up is waited for."""
    if "exceeded quota" in cause or not cause:
        return None
    return Doubt("no pod", TaskNotPlaced(f"no pod can be made for the step '{step}': {cause}"), limits.config)


# --- refusals --------------------------------------------------------------------------------------------------------


def not_created(error: Refused | Unavailable, step: str, namespace: str) -> TaskFailed:
    """Return the failure of a job that the cluster does not take."""
    if not isinstance(error, StatusError):
        what = f"it does not accept our credentials: {str(error).rstrip('.')}"
        return TaskNotPlaced(f"Kubernetes refuses the step '{step}': {what}", hint=_RENEW)
    hint = None
    if error.status == 404:
        hint = f"is there a namespace '{namespace}'? METAFLOW_KUBERNETES_NAMESPACE or @kubernetes(namespace=…) names it"
    elif error.status == 403:
        hint = "the permissions of this user, a policy of the cluster or a quota forbid it"
    fields = sorted({str(cause.get("field")) for cause in error.details.get("causes") or () if cause.get("field")})
    if error.status == 422 and fields:
        hint = f"wrong in the job's object: {', '.join(fields)}; an attribute of @kubernetes or a setting gave it"
    return TaskNotPlaced(
        f"Kubernetes refuses the step '{step}': {error.message.rstrip('.')}",
        hint=hint,
        status=error.status,
        reason=error.reason,
    )


def unusable(error: Unavailable | Refused, cluster: Cluster) -> MetaflowException:
    """Return the error of a cluster that cannot be worked with."""
    where = f"Kubernetes ({cluster.origin})"
    if isinstance(error, Unavailable) and error.credentials:
        return MetaflowException(f"{where} does not accept our credentials: {error}.", hint=_RENEW)
    if isinstance(error, Unavailable):
        return MetaflowException(
            f"{where} cannot be reached: {error}.",
            hint="is the cluster up, and the right context current? `kubectl cluster-info` tells",
        )
    if isinstance(error, StatusError) and error.status == 403:
        return MetaflowException(f"{where} does not permit what is needed: {error.message}.", hint=ROLE)
    return MetaflowException(f"{where} answers with an error: {error}.")


_RENEW = "log in again as your provider has it; `kubectl get pods` should work here"


def _words(pod: Pod) -> str:
    return pod.pod_message or pod.pod_reason
