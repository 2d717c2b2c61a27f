"""One job of this backend, from its submission to its last report: what was seen of it, and when it is given up.

Pure but for the event that wakes who waits for it: the clock is handed in. Start reading at `Owned.verdict`.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from metaflow.compute.jobs.protocol import Job
from metaflow.compute.kubernetes import endings
from metaflow.compute.kubernetes.manifest import GRACE, container_name, namespace_of
from metaflow.compute.kubernetes.names import job_name
from metaflow.compute.kubernetes.pods import BAD_CONFIG, BAD_IMAGE, Pod, is_hopeless_image, why_waiting
from metaflow.exception import TaskFailed, TaskNotPlaced


class Patience(NamedTuple):
    """How long to wait for what, in seconds.

    Attributes
    ----------
    reach : float
        For the API server's first answer.
    image : float
        For an image that cannot be pulled, for a reason that may pass.
    config : float
        For a secret, a service account or a mount that is not there.
    start : float
        For a pod of a new job, and for the start of a pod's container, before somebody is asked why.
    unready : float
        For a node that is not heard of.
    gone : float
        For the end of a pod, beyond its grace.
    credentials : float
        For credentials to be renewed.
    answer : float
        For the API server to take the last requests of a run that ends.
    tick : float
        Between two looks at jobs that wait.
    """

    reach: float = 5.0
    image: float = 120.0
    config: float = 30.0
    start: float = 4.0
    unready: float = 600.0
    gone: float = 45.0
    credentials: float = 600.0
    answer: float = 15.0
    tick: float = 1.0


class Owned:
    """A job.

    Attributes
    ----------
    created : float or None
        When the cluster took it.
    is_tried : bool
        Whether it may exist.
    doom : TaskFailed or None
        Why it is not wanted any more.
    is_agreed : bool
        Whether the cluster has agreed to delete it.
    is_over : bool
        Whether its last report is under way.
    is_job_deleted : bool
        Whether somebody else deleted it.
    words : str
        The reason that was last reported.
    cause : str
        What events say of it.
    """

    __slots__ = (
        "attempt", "cause", "container", "created", "doom", "doomed", "doomed_since", "inquiry", "is_agreed",
        "is_job_deleted", "is_over", "is_started", "is_tried", "name", "namespace", "pod", "pull_error", "request",
        "step", "submitted", "taken_since", "task", "time_limit", "trouble_since", "unready_since", "words",
    )  # fmt: skip

    def __init__(self, job: Job, now: float) -> None:
        self.task, self.attempt, self.step = job.task, job.attempt, job.step
        self.request, self.time_limit = job.resources, job.time_limit
        self.name, self.namespace = job_name(job.labels), namespace_of(job.resources)
        self.container = container_name(job.step)
        self.submitted = now
        self.created: float | None = None
        self.is_tried = self.is_started = self.is_agreed = self.is_over = self.is_job_deleted = False
        self.pod: Pod | None = None
        self.doom: TaskFailed | None = None
        self.doomed = asyncio.Event()
        self.doomed_since = 0.0
        self.taken_since: float | None = None
        self.trouble_since: float | None = None
        self.unready_since: float | None = None
        self.inquiry: asyncio.Task[None] | None = None
        self.words = self.cause = self.pull_error = ""

    def see(self, pod: Pod, now: float) -> None:
        """Take notice of the pod's new state."""
        self.pod = pod
        if pod.waits_for == "ErrImagePull" and pod.waits_because:
            self.pull_error = pod.waits_because
        is_bad = pod.waits_for in BAD_IMAGE | BAD_CONFIG
        self.trouble_since = (self.trouble_since or now) if is_bad else None
        self.unready_since = (self.unready_since or now) if pod.is_unready else None
        if pod.is_deleted:
            self.taken_since = self.taken_since or now
        if pod.has_started:
            self.cause = ""

    def reason(self) -> str:
        """Return why it waits; empty if there is nothing to say."""
        pod = self.pod
        if pod is None:
            return self.cause
        if pod.waits_for in BAD_IMAGE:
            return f"the image '{pod.image}' cannot be pulled: {self._pull_error(pod)}"
        return why_waiting(pod) or self.cause

    @property
    def is_calm(self) -> bool:
        """Whether it needs no look before something happens to its pod."""
        return self.is_started and not (self.doom or self.taken_since or self.unready_since)

    @property
    def is_silent(self) -> bool:
        """Whether it does not start and its pod, if there is one, does not say why."""
        return not self.is_started and self.created is not None and (self.pod is None or not why_waiting(self.pod))

    def verdict(self, now: float, patience: Patience, deadline: float | None) -> TaskFailed | None:
        """Return why it is to be given up now, if it is."""
        if self.doom is not None or self.is_over:
            return None
        pod = self.pod
        if pod is not None and pod.is_unready and self._since(self.unready_since, now) > patience.unready:
            return endings.lost(pod, self.step)
        if self.is_started:
            return None
        waited = self._since(self.trouble_since, now)
        if pod is not None and pod.waits_for in BAD_IMAGE:
            said = self._pull_error(pod)
            if is_hopeless_image(pod.waits_for, said) or waited > patience.image:
                return endings.bad_image(pod, self.step, said)
        if pod is not None and pod.waits_for in BAD_CONFIG and waited > patience.config:
            return endings.bad_container(pod, self.step, pod.waits_because or pod.waits_for)
        if pod is None and self._is_refused() and now - (self.created or now) > patience.config:
            return TaskNotPlaced(f"no pod can be made for the step '{self.step}': {self.cause}")
        if deadline is not None and now - self.submitted > deadline:
            return endings.never_placed(self.step, now - self.submitted, self.words)
        return None

    def is_past_hope(self, now: float, patience: Patience) -> bool:
        """Tell whether the pod should have been gone for long."""
        since = self.doomed_since if self.is_agreed and self.doom is not None else self.taken_since
        return since is not None and now - since > GRACE + patience.gone

    def has_nothing_to_end(self) -> bool:
        """Tell whether no container of it can be running, or start in this moment."""
        pod = self.pod
        return pod is None or pod.has_ended or pod.node is None or pod.waits_for in BAD_IMAGE | BAD_CONFIG

    def facts(self) -> dict[str, str]:
        """Return what is worth keeping of where it ran."""
        facts = {"kubernetes-namespace": self.namespace, "kubernetes-job-name": self.name}
        pod = self.pod
        if pod is not None:
            facts |= {
                "kubernetes-pod-name": pod.name,
                "kubernetes-pod-id": pod.uid,
                "kubernetes-node-name": pod.node or "",
                "kubernetes-image": pod.image,
                "kubernetes-image-id": pod.image_id,
            }
        facts["kubernetes-cpu"] = f"{self.request.cpu:g}"
        facts["kubernetes-memory-mb"] = str(self.request.memory)
        if self.request.gpu:
            facts["kubernetes-gpu"] = str(self.request.gpu)
        return {name: value for name, value in facts.items() if value}

    def _pull_error(self, pod: Pod) -> str:
        if pod.waits_for == "ImagePullBackOff":
            return self.pull_error or self.cause or pod.waits_because
        return pod.waits_because or self.pull_error or pod.waits_for

    def _is_refused(self) -> bool:
        return bool(self.cause) and "exceeded quota" not in self.cause

    @staticmethod
    def _since(moment: float | None, now: float) -> float:
        return 0.0 if moment is None else now - moment
