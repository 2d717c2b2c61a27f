"""Jobs on Kubernetes, all of a run through one client and one watch: `KubernetesBackend`.

The life of a job is decided in `metaflow.compute.jobs.machine` and carried out in `metaflow.compute.jobs.shell`. Here
is what only Kubernetes knows: how a job is created, found and deleted, what its pod shows (`states`), how that ended
(`ends`). Start reading at `KubernetesBackend._on_pod`.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from metaflow.compute.jobs.events import Explained, JobEnd, Lost, MemberState, Missing, Seen
from metaflow.compute.jobs.protocol import Job, RunningJob
from metaflow.compute.jobs.retry import Outage, Refused, Unavailable
from metaflow.compute.jobs.shell import Creation, JobShell, Pace
from metaflow.compute.jobs.tracked import Timeouts, TrackedJob
from metaflow.compute.kubernetes import ends, listing
from metaflow.compute.kubernetes.client import Client, StatusError
from metaflow.compute.kubernetes.description import GRACE, container_name, manifest, namespace_of
from metaflow.compute.kubernetes.names import LAUNCH, job_name
from metaflow.compute.kubernetes.preflight import Preflight
from metaflow.compute.kubernetes.queries import Queries, jobs_path, pods_path
from metaflow.compute.kubernetes.states import BAD_CONFIG, BAD_IMAGE, Pod, read, why_waiting
from metaflow.compute.kubernetes.watch import Watch
from metaflow.compute.protocol import Problem
from metaflow.compute.resources import ResourceRequest
from metaflow.exception import MetaflowException, TaskCancelled, TaskFailed, TaskLost, TaskNotPlaced
from metaflow.settings.groups import KubernetesSettings
from metaflow.settings.kubeconfig import Cluster, load
from metaflow.settings.values import Values

_TIMEOUTS = Timeouts(explain=4.0, explain_every=5.0, ending=GRACE + 45.0)
_PACE = Pace(answer=5.0, silence=5.0, credentials=600.0)
_LIMITS = ends.Limits()
_QUOTA_PAUSE = 3.0


class KubernetesBackend(JobShell[Pod]):
    """Runs jobs on Kubernetes.

    Parameters
    ----------
    values : Values
        Settings; of them it reads `KubernetesSettings`.
    say : callable, optional
        Tells a person one sentence, such as that the API server does not answer.
    cluster : Cluster, optional
        Instead of the one that the kubeconfig names.
    timeouts, pace, limits : Timeouts, Pace, Limits
        How long to wait for what.
    """

    kind = "kubernetes"
    title = "Kubernetes"

    def __init__(
        self,
        values: Values,
        *,
        say: Callable[[str], None] | None = None,
        cluster: Cluster | None = None,
        timeouts: Timeouts = _TIMEOUTS,
        pace: Pace = _PACE,
        limits: ends.Limits = _LIMITS,
    ) -> None:
        self._options = KubernetesSettings.of(values)
        super().__init__(say, timeouts._replace(pending=self._options.pending_deadline), pace)
        self._given_cluster = cluster
        self._limits = limits
        self._watches: dict[str, asyncio.Task[None]] = {}  # by namespace

    async def _connect(self) -> None:
        self._cluster = self._given_cluster or load(context=self._options.context)
        self._client = Client(self._cluster)
        self._queries = Queries(self._client)
        self._preflight = Preflight(self._client)
        self._tells_disruptions = await self._preflight.version(self.pace.answer) >= (1, 26)
        self._launch = secrets.token_hex(6)

    async def _disconnect(self) -> None:
        await self._client.close()

    def _unusable(self, error: Unavailable | Refused) -> MetaflowException:
        return ends.unusable(error, self._cluster)

    async def _problems(self, requests: Mapping[str, ResourceRequest]) -> list[Problem]:
        return await self._preflight.problems(requests)

    # --- creation and deletion --------------------------------------------------------------------------------------

    def _known(self, job: Job) -> Creation:
        namespace, request = namespace_of(job.resources), job.resources
        if namespace not in self._watches or self._watches[namespace].done():
            self._watches[namespace] = self._start(self._follow(namespace))
        facts = {
            "kubernetes-namespace": namespace,
            "kubernetes-pod-namespace": namespace,  # as Metaflow names it
            "kubernetes-job-name": job_name(job.labels),
            "kubernetes-cpu": f"{request.cpu:g}",
            "kubernetes-memory-mb": str(request.memory),
        }
        if request.gpu:
            facts["kubernetes-gpu"] = str(request.gpu)
        return Creation(f"{namespace}/{job_name(job.labels)}", facts)

    async def _create(self, job: Job) -> Creation:
        body = manifest(job, launch=self._launch, ttl=self._options.ttl)
        namespace, name = namespace_of(job.resources), job_name(job.labels)
        try:
            await self._client.call("POST", jobs_path(namespace), body=body)
        except StatusError as error:
            if error.is_quota:
                raise Unavailable(error.message, pause=_QUOTA_PAUSE) from error
            if error.reason != "AlreadyExists":
                raise
            if await self._find(job) is None:
                raise TaskNotPlaced(f"there is a job {namespace}/{name} already", reason=error.reason) from error
        return Creation("")

    async def _find(self, job: Job) -> Creation | None:
        launch = await self._queries.job_launch(namespace_of(job.resources), job_name(job.labels))
        return Creation("") if launch == self._launch else None

    def _refusal(self, job: Job, error: Refused | Unavailable) -> TaskFailed:
        return ends.not_created(error, job.step, namespace_of(job.resources))

    async def _delete(self, job: TrackedJob[Pod]) -> bool:
        namespace, name = job.id.split("/")
        if job.cancel_reason is None and await self._queries.is_job_gone(namespace, name):
            return True
        await self._delete_job(job.id)
        if not job.members:
            pod = await self._queries.pod_of(namespace, name)
            if pod is not None:
                self._on_pod("ADDED", pod)
        return False

    async def _delete_job(self, id: str, seconds: float = 0.0) -> None:
        body = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        try:
            await self._client.call("DELETE", jobs_path(*id.split("/")), body=body, seconds=seconds)
        except StatusError as error:
            if error.status != 404:
                raise

    # --- what the watch shows ---------------------------------------------------------------------------------------

    async def _follow(self, namespace: str) -> None:
        watch = Watch(
            self._client,
            pods_path(namespace),
            f"{LAUNCH}={self._launch}",
            on_change=self._on_pod,
            on_listed=lambda names: self._on_listed(namespace, names),
            outage=Outage(f"Kubernetes (namespace '{namespace}')", self.say, self.pace.silence),
            credentials=self.pace.credentials,
            pace=self.pace.poll,
        )
        try:
            await watch.follow()
        except (Unavailable, Refused) as error:
            for job in self._in_namespace(namespace):
                message = f"the step '{job.step}' cannot be watched any more: {error}"
                self.tell(Lost(job.key, TaskLost(message)))

    def _on_pod(self, kind: str, item: dict[str, Any]) -> None:
        metadata = item["metadata"]
        job = self.machine.with_id(f"{metadata['namespace']}/{(metadata.get('labels') or {}).get('job-name', '')}")
        if job is not None:
            known = next((each.detail for each in job.members.values() if each.id == metadata.get("uid")), None)
            self.tell(Seen(job.key, self._state(job, read(item, known), is_gone=kind == "DELETED")))

    def _on_listed(self, namespace: str, names: set[str]) -> None:
        """See the deletions that were missed."""
        for job in self._in_namespace(namespace):
            for state in list(job.members.values()):
                if state.detail.name not in names:
                    self.tell(Seen(job.key, self._state(job, state.detail, is_gone=True)))

    def _in_namespace(self, namespace: str) -> Iterable[TrackedJob[Pod]]:
        return [job for job in self.machine.jobs if job.id.startswith(f"{namespace}/")]

    def _state(self, job: TrackedJob[Pod], pod: Pod, *, is_gone: bool) -> MemberState[Pod]:
        facts = {
            "kubernetes-pod-name": pod.name,
            "kubernetes-pod-id": pod.uid,
            "kubernetes-pod-service-account-name": pod.account,
            "kubernetes-node-name": pod.node or "",
            "kubernetes-node-ip": pod.node_ip or "",
            "kubernetes-image": pod.image,
            "kubernetes-image-id": pod.image_id,
        }
        reason = why_waiting(pod)
        doubt = ends.doubt_of(pod, job.step, self._limits)
        if pod.phase == "Failed" and not pod.has_ended:
            # Over its deadline: its container is still being ended, which is not always told.
            doubt = ends.overdue(pod, self._context(job))
        return MemberState(
            pod.uid,
            pod.has_started,
            pod.has_ended or is_gone,
            pod,
            member=pod.member,
            reason=reason,
            is_explained=bool(reason),
            where=f"pod {pod.name}" if pod.node or pod.has_started else "",
            facts={name: value for name, value in facts.items() if value},
            is_taken=pod.is_deleted or is_gone,
            is_idle=pod.node is None or pod.waits_for in BAD_IMAGE | BAD_CONFIG,
            doubt=doubt,
        )

    def _context(self, job: TrackedJob[Pod], node: str | None = None) -> ends.EndContext:
        resources, limit = job.job.resources, job.job.time_limit
        return ends.EndContext(job.step, resources, limit, job.was_deleted, node, self._tells_disruptions)

    async def _end_of(self, job: TrackedJob[Pod]) -> JobEnd:
        pods = [state.detail for state in job.members.values()]
        if not pods:
            return JobEnd(None)
        pod = next((pod for pod in pods if pod.phase != "Succeeded"), pods[0])
        tail: list[bytes] = []
        if pod.code != 0 and pod.has_started:
            tail = await self._queries.tail(job.id.split("/")[0], pod, container_name(job.step))
        node = None
        if pod.code is None and job.cancel_reason is None:
            node = await self._queries.node_state(pod.node)
        failure = ends.failure_of_pod(pod, self._context(job, node))
        return JobEnd(pod.code, failure, tail, succeeded=pod.phase == "Succeeded")

    # --- jobs that wait ---------------------------------------------------------------------------------------------

    async def _explain(self, jobs: Sequence[TrackedJob[Pod]]) -> None:
        """Ask why jobs have no pod, or pods do not start."""
        for namespace in {job.id.split("/")[0] for job in jobs}:
            here = [job for job in jobs if job.id.startswith(f"{namespace}/")]
            warnings = await self._queries.warnings(namespace)
            for job in here:
                pod = next((state.detail for state in job.members.values()), None)
                named = ("Pod", pod.name) if pod is not None else ("Job", job.id.split("/")[1])
                _, cause = warnings.get(named, ("", job.explanation))
                doubt = ends.no_pod(job.step, cause, self._limits) if pod is None else None
                self.tell(Explained(job.key, cause, doubt))
            if any(not job.members for job in here):
                existing = await self._queries.jobs_of(namespace, self._launch)
                for job in here:
                    if existing is not None and not job.members and job.id.split("/")[1] not in existing:
                        message = f"the step '{job.step}' was ended: somebody deleted its job before it ran"
                        self.tell(Missing(job.key, TaskCancelled(message)))

    # --- jobs of any run --------------------------------------------------------------------------------------------

    async def _unfinished(self, labels: Mapping[str, str]) -> list[RunningJob]:
        return await listing.unfinished(self._client, labels, self._options.namespace)

    async def _end(self, jobs: Sequence[RunningJob]) -> None:
        await asyncio.gather(*(self._delete_job(job.id, seconds=30.0) for job in jobs))
