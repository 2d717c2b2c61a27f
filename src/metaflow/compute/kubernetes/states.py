"""What a pod's object says, in the few fields that matter here, and why one waits. Pure: objects in, small values out.

Start reading at `read`, then `why_waiting`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

Object = Mapping[str, Any]


class Pod(NamedTuple):
    """A pod, as far as it matters.

    Attributes
    ----------
    member : int
        Which pod of its job it is.
    phase : str
        ``Pending``, ``Running``, ``Succeeded``, ``Failed`` or ``Unknown``.
    node, node_ip : str or None
        Where it is.
    account : str
        Its service account.
    image, image_id : str
        As asked for; and as it was resolved.
    is_deleted : bool
        Whether somebody has asked for its deletion.
    has_started, has_ended : bool
        Whether its container has been started; whether nothing of it runs any more.
    code : int or None
        Exit status of its container.
    reason, message : str
        Why its container ended, in the words of its runtime.
    waits_for, waits_because : str
        Why its container is not started, in a word and a sentence.
    pull_error : str
        Why its image could not be pulled when that was last tried; later states only say that it is tried again.
    unplaced : str
        The scheduler's sentence about why no node has it.
    pod_reason, pod_message : str
        Why the pod as a whole ended.
    disruption, disruption_message : str
        Who took it away, where the cluster tells (Kubernetes 1.26).
    is_unready : bool
        Whether its node has stopped to report on it.
    """

    name: str
    uid: str
    member: int
    phase: str
    node: str | None
    node_ip: str | None
    account: str
    image: str
    image_id: str
    is_deleted: bool
    has_started: bool
    has_ended: bool
    code: int | None
    reason: str
    message: str
    waits_for: str
    waits_because: str
    pull_error: str
    unplaced: str
    pod_reason: str
    pod_message: str
    disruption: str
    disruption_message: str
    is_unready: bool


_NOTHING: Object = {}
_INDEX = "batch.kubernetes.io/job-completion-index"


def read(pod: Object, before: Pod | None = None) -> Pod:
    """Read the object of a pod with one container; `before` is how it was when it was last read."""
    metadata, spec, status = pod["metadata"], pod.get("spec") or _NOTHING, pod.get("status") or _NOTHING
    statuses = status.get("containerStatuses") or ()
    container = statuses[0] if statuses else _NOTHING
    state = container.get("state") or _NOTHING
    waiting, running, ended = (state.get(key) for key in ("waiting", "running", "terminated"))
    conditions = {each.get("type"): each for each in status.get("conditions") or ()}
    disruption = _if_true(conditions.get("DisruptionTarget"))
    phase = str(status.get("phase") or "Pending")
    is_over = phase in ("Succeeded", "Failed")
    waits_for, waits_because = (str((waiting or _NOTHING).get(key) or "") for key in ("reason", "message"))
    pull_error = waits_because if waits_for == "ErrImagePull" else ""
    first = (spec.get("containers") or (_NOTHING,))[0]
    return Pod(
        name=metadata["name"],
        uid=str(metadata.get("uid") or ""),
        member=int((metadata.get("annotations") or _NOTHING).get(_INDEX) or 0),
        phase=phase,
        node=spec.get("nodeName"),
        node_ip=status.get("hostIP"),
        account=str(spec.get("serviceAccountName") or ""),
        image=str(first.get("image") or ""),
        image_id=str(container.get("imageID") or ""),
        is_deleted=bool(metadata.get("deletionTimestamp")),
        has_started=running is not None or bool(ended and ended.get("startedAt") and not _is_start_error(ended)),
        has_ended=ended is not None or (is_over and running is None),
        code=ended.get("exitCode") if ended is not None else None,
        reason=str((ended or _NOTHING).get("reason") or ""),
        message=str((ended or _NOTHING).get("message") or ""),
        waits_for=waits_for,
        waits_because=waits_because,
        pull_error=pull_error or (before.pull_error if before is not None else ""),
        unplaced=_unplaced(conditions.get("PodScheduled")),
        pod_reason=str(status.get("reason") or "") if is_over else "",
        pod_message=str(status.get("message") or "") if is_over else "",
        disruption=str(disruption.get("reason") or ""),
        disruption_message=str(disruption.get("message") or ""),
        is_unready=phase == "Unknown"
        or (running is not None and (conditions.get("Ready") or _NOTHING).get("status", "True") != "True"),
    )


def _if_true(condition: Object | None) -> Object:
    return condition if condition is not None and condition.get("status") == "True" else _NOTHING


def _unplaced(condition: Object | None) -> str:
    if condition is None or condition.get("status") != "False":
        return ""
    return str(condition.get("message") or condition.get("reason") or "")


def _is_start_error(ended: Object) -> bool:
    return ended.get("reason") in ("StartError", "ContainerCannotRun", "ContainerStatusUnknown")


# --- why it waits ----------------------------------------------------------------------------------------------------

BAD_IMAGE = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"}
)
BAD_CONFIG = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
_NO_NEWS = frozenset({"", "ContainerCreating", "PodInitializing"})
# What registries say of images that will not be there in a minute either.
_NEVER = (
    "not found", "manifest unknown", "does not exist", "unauthorized", "denied", "forbidden", "no match for platform",
    "authentication required", "invalid reference", "repository name must",
)  # fmt: skip


def why_waiting(pod: Pod) -> str:
    """Return why a pod does not run yet, in the cluster's own words; empty if there is nothing to say."""
    if pod.unplaced and pod.node is None:
        return pod.unplaced
    if pod.waits_for in BAD_IMAGE:
        return f"the image '{pod.image}' cannot be pulled: {why_not_pulled(pod)}"
    if pod.waits_for in _NO_NEWS:
        return ""
    return f"{pod.waits_for}: {pod.waits_because}" if pod.waits_because else pod.waits_for


def why_not_pulled(pod: Pod) -> str:
    if pod.waits_for == "ImagePullBackOff":
        return pod.pull_error or pod.waits_because
    return pod.waits_because or pod.pull_error or pod.waits_for


def is_hopeless_image(pod: Pod) -> bool:
    """Tell whether its image will not be there, however long one waits."""
    words = why_not_pulled(pod).lower()
    return pod.waits_for in ("InvalidImageName", "ErrImageNeverPull") or any(each in words for each in _NEVER)
