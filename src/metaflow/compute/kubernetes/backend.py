"""Jobs on Kubernetes, all of a run through one client and one watch: `KubernetesBackend`.

A job is created (`creator`), then its pod is watched: what the watch shows becomes reports (`_on_pod`). Once a second,
jobs that are not calm are looked at (`_look`): those that wait for too long are given up, and silent ones are asked
about. A job that is not wanted any more is *doomed*: deleted in the cluster, and reported when its pod is gone. Trouble
with the API server ends no job. Start reading at `KubernetesBackend.submit`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from metaflow.compute.jobs.protocol import Job, JobEnded, JobReport, JobStarted, RunningJob
from metaflow.compute.kubernetes import endings, listing
from metaflow.compute.kubernetes.api import Api, Away, Pauses, Refused
from metaflow.compute.kubernetes.creator import Creator
from metaflow.compute.kubernetes.inquiry import Inquiry, jobs_path, pods_path
from metaflow.compute.kubernetes.names import LAUNCH
from metaflow.compute.kubernetes.options import Options
from metaflow.compute.kubernetes.owned import Owned, Patience
from metaflow.compute.kubernetes.pods import read
from metaflow.compute.kubernetes.refusals import no_way
from metaflow.compute.kubernetes.survey import Survey
from metaflow.compute.kubernetes.watch import Watch
from metaflow.compute.protocol import Problem, Waiting
from metaflow.compute.resources import ResourceRequest
from metaflow.exception import MetaflowException, TaskCancelled, TaskFailed, TaskLost
from metaflow.settings.kubeconfig import Cluster, load

_CALLS = 20
"""Creations and deletions at the same time."""
_QUESTIONS = 8
_ASK_EVERY = 5.0
_SAY_AFTER = 5.0


class KubernetesBackend:
    """Runs jobs on Kubernetes.

    Parameters
    ----------
    entries : mapping of str to str
        The METAFLOW_* settings; see `metaflow.compute.kubernetes.options`.
    say : callable, optional
        Tells a person one sentence, such as that the API server does not answer.
    cluster : Cluster, optional
        Instead of the one that the kubeconfig names.
    patience : Patience, optional
        How patiently.
    """

    kind = "kubernetes"

    def __init__(
        self,
        entries: Mapping[str, str],
        *,
        say: Callable[[str], None] | None = None,
        cluster: Cluster | None = None,
        patience: Patience | None = None,
    ) -> None:
        self._options = Options.read(entries)
        self._say = say or (lambda sentence: None)
        self._given_cluster = cluster
        self._patience = patience or Patience()
        self._report: Callable[[JobReport], None] = lambda report: None
        self._own: dict[str, Owned] = {}  # by name of the job
        self._by_task: dict[int, Owned] = {}
        self._restless: dict[str, Owned] = {}
        self._watches: dict[str, asyncio.Task[None]] = {}  # by namespace
        self._tasks: set[asyncio.Task[None]] = set()
        self._launch = ""
        self._asked = 0.0
        self._is_in_trouble = False

    async def open(self, report: Callable[[JobReport], None]) -> None:
        import secrets

        cluster = self._given_cluster or load(context=self._options.context)
        self._report = report
        self._loop = asyncio.get_running_loop()
        self._change = asyncio.Event()  # for `close`
        self._calls = asyncio.Semaphore(_CALLS)
        self._questions = asyncio.Semaphore(_QUESTIONS)
        self._api = Api(cluster)
        self._inquiry = Inquiry(self._api)
        self._survey = Survey(self._api)
        try:
            self._tells_disruptions = await self._survey.version(self._patience.reach) >= (1, 26)
        except (Away, Refused) as error:
            await self._api.close()
            raise no_way(error, cluster) from error
        self._launch = secrets.token_hex(6)
        self._creator = Creator(
            self._api,
            self._inquiry,
            self._calls,
            launch=self._launch,
            ttl=self._options.ttl,
            patience=self._patience.credentials,
            on_trouble=self._wait,
        )
        self._start(self._look_again_and_again())

    async def preflight(self, requests: Mapping[str, ResourceRequest]) -> list[Problem]:
        try:
            return await self._survey.problems(requests)
        except (Away, Refused) as error:
            message = f"What stands against these steps on Kubernetes cannot be found out: {error}."
            return [Problem(tuple(requests), message, certain=False)]

    def submit(self, job: Job) -> None:
        own = Owned(job, self._loop.time())
        self._own[own.name] = self._by_task[own.task] = self._restless[own.name] = own
        if own.namespace not in self._watches:
            self._watches[own.namespace] = self._start(self._follow(own.namespace))
        self._start(self._create(job, own))

    def cancel(self, task: int) -> None:
        own = self._by_task.get(task)
        if own is not None:
            self._doom(own, endings.cancelled(own.step))

    def hurry(self, task: int) -> None:
        own = self._by_task.get(task)
        if own is not None and own.pod is not None and own.pod.node is not None:
            self._has_started(own)  # the kubelet says so up to two seconds later

    def release(self, task: int) -> None:
        own = self._by_task.get(task)
        if own is not None:
            own.is_over = True
            self._drop(own)

    async def close(self) -> None:
        if not self._launch:
            return  # it was never opened
        self._report = lambda report: None
        self._say = lambda sentence: None
        for own in list(self._own.values()):
            self._doom(own, endings.cancelled(own.step))
        await self._until_none(lambda own: own.is_tried and not own.is_agreed, self._patience.answer)
        left = [own for own in self._own.values() if own.is_tried and not own.is_agreed and not own.is_over]
        if not left:
            await self._until_none(lambda own: True, self._patience.gone)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._api.close()
        if left:
            names = ", ".join(f"{own.namespace}/{own.name}" for own in left[:3])
            raise MetaflowException(
                f"The Kubernetes API server did not agree to end {len(left)} jobs of this run ({names}"
                f"{', …' if len(left) > 3 else ''}): they may still run.",
                hint="`kubernetes kill --run-id …` ends them when it answers again; else they run up to their limit",
            )

    async def unfinished(self, labels: Mapping[str, str]) -> list[RunningJob]:
        try:
            return await listing.unfinished(self._api, labels, self._options.namespace)
        except (Away, Refused) as error:
            raise no_way(error, self._api.cluster) from error

    async def end(self, jobs: list[RunningJob]) -> None:
        names = [job.id.split("/", 1) for job in jobs]
        try:
            await asyncio.gather(*(self._delete(namespace, name, patience=30.0) for namespace, name in names))
        except (Away, Refused) as error:
            raise no_way(error, self._api.cluster) from error

    # --- creation ---------------------------------------------------------------------------------------------------

    async def _create(self, job: Job, own: Owned) -> None:
        failure = await self._creator.create(job, own)
        del job  # it may be large, and is not needed any more
        if failure is not None:
            self._conclude(own, failure)
        elif own.doom is not None:
            await self._withdraw(own)

    # --- what the watch shows ---------------------------------------------------------------------------------------

    async def _follow(self, namespace: str) -> None:
        watch = Watch(
            self._api,
            pods_path(namespace),
            f"{LAUNCH}={self._launch}",
            on_change=self._on_pod,
            on_listed=lambda names: self._on_listed(namespace, names),
            on_trouble=lambda error, seconds: self._on_trouble(namespace, error, seconds),
        )
        try:
            await watch.follow()
        except Exception as error:
            self._lose(namespace, f"an error in Millrace: {error!r}")
            raise

    def _on_pod(self, kind: str, item: dict[str, Any]) -> None:
        own = self._own.get((item["metadata"].get("labels") or {}).get("job-name", ""))
        if own is None or own.is_over:
            return
        pod = read(item)
        if own.pod is not None and own.pod.uid != pod.uid:
            return  # a second pod of a job whose first is being deleted: the job is, too (`_ask_who`)
        own.see(pod, self._loop.time())
        if pod.has_started:
            self._has_started(own)
        if pod.is_deleted or kind == "DELETED":
            self._is_taken(own)
        if pod.has_ended or kind == "DELETED":
            self._start(self._bury(own))
        elif pod.phase == "Failed":  # over its deadline: the container is still being ended, which is not always told
            self._doom(own, endings.failure_of_pod(pod, self._around(own)) or endings.cancelled(own.step))
        else:
            self._wait(own, own.reason())
            self._judge(own)
        if own.is_calm:
            self._restless.pop(own.name, None)
        elif not own.is_over:
            self._restless[own.name] = own

    def _has_started(self, own: Owned) -> None:
        if not own.is_started and own.pod is not None:
            own.is_started = True
            self._report(JobStarted(own.task, own.attempt, f"pod {own.pod.name}", own.facts()))

    def _on_listed(self, namespace: str, names: set[str]) -> None:
        """Bury those whose deletion was missed."""
        for own in list(self._own.values()):
            if own.namespace == namespace and own.pod is not None and own.pod.name not in names:
                self._is_taken(own)
                self._start(self._bury(own))

    def _on_trouble(self, namespace: str, error: Exception | None, seconds: float) -> None:
        if error is None:
            if self._is_in_trouble:
                self._say("The Kubernetes API server answers again.")
            self._is_in_trouble = False
        elif seconds > _SAY_AFTER and not self._is_in_trouble:
            self._is_in_trouble = True
            self._say(f"The pods in the namespace '{namespace}' cannot be watched now: {error}. What runs goes on.")
        if isinstance(error, Refused) and error.status in (401, 403) and seconds > self._patience.credentials:
            self._lose(namespace, error.message)

    def _lose(self, namespace: str, why: str) -> None:
        for own in [each for each in self._own.values() if each.namespace == namespace]:
            self._conclude(own, TaskLost(f"the step '{own.step}' cannot be watched any more: {why}"))

    def _wait(self, own: Owned, reason: str) -> None:
        if reason and reason != own.words and not (own.is_started or own.is_over or own.doom):
            own.words = reason
            self._report(Waiting(own.task, own.attempt, reason))

    def _is_taken(self, own: Owned) -> None:
        if own.doom is None and own.inquiry is None:
            own.inquiry = self._start(self._ask_who(own))

    async def _ask_who(self, own: Owned) -> None:
        """Find out who is deleting a pod; and delete its job, which would start another one."""
        try:
            own.is_job_deleted = await self._inquiry.is_job_gone(own.namespace, own.name)
            if not own.is_job_deleted:
                await self._delete(own.namespace, own.name, patience=60.0)
        except (Away, Refused):
            pass

    # --- ends -------------------------------------------------------------------------------------------------------

    def _doom(self, own: Owned, failure: TaskFailed) -> None:
        """Have a job ended, for this reason."""
        if own.doom is not None or own.is_over:
            return
        own.doom = failure
        own.doomed_since = self._loop.time()
        own.doomed.set()
        self._restless[own.name] = own
        if own.created is not None:
            self._start(self._withdraw(own))

    async def _withdraw(self, own: Owned) -> None:
        """Delete a doomed job; report its end, unless the watch will show it."""
        pauses = Pauses()
        while not own.is_over:
            try:
                async with self._calls:
                    await self._delete(own.namespace, own.name)
                break
            except Refused as refused:
                if refused.status in (403, 404):
                    break
                await pauses.wait(refused.pause)
            except Away:
                await pauses.wait()
        own.is_agreed = True
        own.doomed_since = self._loop.time()
        self._change.set()
        if own.pod is None:
            pod = await self._inquiry.pod_of(own.namespace, own.name)
            own.pod = own.pod or pod
        if own.has_nothing_to_end():
            self._start(self._bury(own))

    async def _delete(self, namespace: str, name: str, patience: float = 0.0) -> None:
        body = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        try:
            await self._api.call("DELETE", jobs_path(namespace, name), body=body, patience=patience)
        except Refused as refused:
            if refused.status != 404:
                raise

    async def _bury(self, own: Owned) -> None:
        """Report the end of a job whose pod has ended or is gone."""
        if own.is_over:
            return
        own.is_over = True
        pod = own.pod
        failure, tail = own.doom, []
        try:
            if own.inquiry is not None:
                await own.inquiry
            if pod is None:
                if failure is None:
                    failure = TaskCancelled(f"the step '{own.step}' was ended: somebody deleted its job before it ran")
            else:
                async with self._questions:
                    if pod.code != 0:
                        tail = await self._inquiry.tail(own.namespace, pod, own.container) if pod.has_started else []
                    node = await self._inquiry.node_state(pod.node) if pod.code is None and failure is None else None
                if failure is None or pod.phase == "Succeeded":
                    failure = endings.failure_of_pod(pod, self._around(own, node))
        except Exception as error:  # noqa: BLE001 - whatever it is, the job must get its end
            failure = failure or TaskLost(f"how the step '{own.step}' ended cannot be found out: {error!r}")
        self._end(own, failure, tail)

    def _around(self, own: Owned, node: str | None = None) -> endings.Around:
        return endings.Around(own.step, own.request, own.time_limit, own.is_job_deleted, node, self._tells_disruptions)

    def _conclude(self, own: Owned, failure: TaskFailed | None) -> None:
        """Report the end of a job of which there is nothing more to see."""
        if not own.is_over:
            own.is_over = True
            self._end(own, failure, [])

    def _end(self, own: Owned, failure: TaskFailed | None, tail: list[bytes]) -> None:
        self._drop(own)
        code = own.pod.code if own.pod is not None else None
        self._report(JobEnded(own.task, own.attempt, code, failure, own.facts(), tail))
        self._change.set()

    def _drop(self, own: Owned) -> None:
        self._own.pop(own.name, None)
        self._restless.pop(own.name, None)
        if self._by_task.get(own.task) is own:
            del self._by_task[own.task]

    # --- jobs that wait ---------------------------------------------------------------------------------------------

    async def _look_again_and_again(self) -> None:
        while True:
            await asyncio.sleep(self._patience.tick)
            await self._look()

    async def _look(self) -> None:
        now = self._loop.time()
        silent: dict[str, list[Owned]] = {}
        for own in list(self._restless.values()):
            self._judge(own)
            if own.is_past_hope(now, self._patience):
                self._start(self._bury(own))
            elif own.is_silent and now - (own.created or now) > self._patience.start:
                silent.setdefault(own.namespace, []).append(own)
        if silent and now - self._asked >= _ASK_EVERY:
            for namespace, waiting in silent.items():
                await self._ask_why(namespace, waiting)
            self._asked = self._loop.time()

    def _judge(self, own: Owned) -> None:
        failure = own.verdict(self._loop.time(), self._patience, self._options.pending_deadline)
        if failure is not None:
            self._doom(own, failure)

    async def _ask_why(self, namespace: str, waiting: list[Owned]) -> None:
        """Ask why jobs have no pod, or pods do not start."""
        warnings = await self._inquiry.warnings(namespace)
        for own in waiting:
            named = ("Pod", own.pod.name) if own.pod is not None else ("Job", own.name)
            own.cause = warnings.get(named, ("", own.cause))[1]
            self._wait(own, own.reason())
        if all(own.pod is not None for own in waiting):
            return
        existing = await self._inquiry.jobs_of(namespace, self._launch)
        for own in waiting:
            if existing is not None and own.pod is None and own.doom is None and own.name not in existing:
                self._start(self._bury(own))

    # --- tasks ------------------------------------------------------------------------------------------------------

    async def _until_none(self, is_unwanted: Callable[[Owned], bool], seconds: float) -> None:
        """Wait until this is said of no job, but not for longer than some seconds."""
        until = self._loop.time() + seconds
        while any(is_unwanted(own) for own in self._own.values()) and self._loop.time() < until:
            self._change.clear()
            try:
                await asyncio.wait_for(self._change.wait(), until - self._loop.time())
            except TimeoutError:
                return

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._loop.call_exception_handler({"message": "Kubernetes backend", "exception": task.exception()})
