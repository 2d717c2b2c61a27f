"""The Kubernetes backend against a simulated API server: what it reports of jobs; and that trouble ends none."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from metaflow.compute.jobs.protocol import Job, JobEnded, JobReport, JobStarted
from metaflow.compute.jobs.retry import RetryPolicy
from metaflow.compute.jobs.shell import Pace
from metaflow.compute.jobs.tracked import Timeouts
from metaflow.compute.kubernetes.backend import KubernetesBackend
from metaflow.compute.kubernetes.ends import Limits
from metaflow.compute.kubernetes.names import job_name
from metaflow.compute.protocol import Waiting
from metaflow.compute.resources import ResourceRequest
from metaflow.exception import (
    ImageUnavailable,
    MetaflowException,
    TaskCancelled,
    TaskFailed,
    TaskLost,
    TaskNotPlaced,
    TaskOutOfMemory,
    TaskPreempted,
    TaskTimedOut,
)
from metaflow.settings.kubeconfig import Cluster
from metaflow.settings.values import Values
from support.kubernetes_server import KubernetesServer, Request, status

QUICK: dict[str, Any] = {
    "timeouts": Timeouts(explain=0.05, explain_every=0.05, ending=30.3),
    "pace": Pace(
        RetryPolicy(0.05, 0.3), answer=0.2, silence=0.1, credentials=0.3, told=3.0, gone=0.3, tick=0.02, poll=0.02
    ),
    "limits": Limits(image=0.2, config=0.2, unready=0.2),
}


def a_job(task: int = 1, attempt: int = 0, **options: Any) -> Job:
    labels = {"flow": "Flow", "run": "7", "step": "train", "task": str(task), "attempt": str(attempt), "user": "ann"}
    request = ResourceRequest("kubernetes", image="python:3.12", options={"namespace": "default", **options})
    return Job(task, attempt, "train", ("python", "-c", "pass"), {"A": "b"}, labels, request, 100.0)


class Run:
    """A backend, its server, and what it has reported."""

    def __init__(self, server: KubernetesServer, entries: dict[str, str]) -> None:
        self.server = server
        self.reports: list[JobReport] = []
        self.said: list[str] = []
        self._news = asyncio.Event()
        self.backend = KubernetesBackend(Values(entries), say=self.said.append, cluster=server.cluster, **QUICK)

    def hear(self, report: JobReport) -> None:
        self.reports.append(report)
        self._news.set()

    async def until(self, what: Callable[[], Any]) -> Any:
        """Return what `what` returns as soon as that is true."""
        async with asyncio.timeout(20):
            while not (found := what()):
                self._news.clear()
                try:
                    await asyncio.wait_for(self._news.wait(), 0.01)
                except TimeoutError:
                    pass
        return found

    async def pod(self, task: int = 1) -> dict[str, Any]:
        """Return the pod of a task, when there is one."""
        name = job_name(a_job(task).labels)
        found: list[dict[str, Any]] = await self.until(
            lambda: [pod for pod in self.server.pods.values() if pod["metadata"]["labels"]["job-name"] == name]
        )
        return found[0]

    async def ended(self, task: int = 1) -> JobEnded:
        found: JobEnded = await self.until(lambda: self._of(JobEnded, task))
        return found

    async def started(self, task: int = 1) -> JobStarted:
        found: JobStarted = await self.until(lambda: self._of(JobStarted, task))
        return found

    async def waiting(self, text: str) -> None:
        await self.until(lambda: any(text in reason for reason in self.reasons()))

    def reasons(self) -> list[str]:
        return [report.reason for report in self.reports if isinstance(report, Waiting)]

    def _of(self, kind: type, task: int) -> Any:
        return next((each for each in self.reports if isinstance(each, kind) and each.task == task), None)


def play(scene: Callable[[Run], Awaitable[None]], **entries: str) -> Run:
    """Play a scene with an open backend, and return what was."""

    async def main() -> Run:
        async with KubernetesServer().running() as server:
            run = Run(server, entries)
            await run.backend.open(run.hear)
            try:
                await scene(run)
            finally:
                await run.backend.close()
        return run

    return asyncio.run(main())


# --- jobs that end by themselves -------------------------------------------------------------------------------------


def test_started_then_ended() -> None:
    async def scene(run: Run) -> None:
        run.backend.submit(a_job())
        pod = await run.pod()
        run.server.start(pod)
        started = await run.started()
        assert started.where == f"pod {pod['metadata']['name']}"
        assert started.facts["kubernetes-node-name"] == "node1"
        run.server.finish(pod)
        assert await run.ended() == JobEnded(1, 0, 0)

    run = play(scene)
    assert [type(report) for report in run.reports] == [JobStarted, JobEnded]
    assert len(run.server.jobs) == 1, "a job that ended well is kept for people to look at"


def test_one_whose_storage_shows_that_it_runs_is_started_when_its_node_is_known() -> None:
    async def scene(run: Run) -> None:
        run.backend.submit(a_job())
        run.backend.notice_started(1)
        run.backend.notice_started(7)
        pod = await run.pod()
        assert run.reports == []
        run.server.waits(pod, "ContainerCreating")

        def notice() -> list[JobReport]:
            run.backend.notice_started(1)
            return [report for report in run.reports if isinstance(report, JobStarted)]

        (started,) = await run.until(notice)
        assert started.where == f"pod {pod['metadata']['name']}"
        run.server.start(pod)
        run.server.finish(pod)
        await run.ended()

    assert [type(report) for report in play(scene).reports] == [JobStarted, JobEnded]


def test_one_that_ended_before_it_was_seen_running() -> None:
    async def scene(run: Run) -> None:
        run.backend.submit(a_job())
        run.server.finish(await run.pod())
        await run.ended()

    assert [type(report) for report in play(scene).reports] == [JobStarted, JobEnded]


def test_a_job_of_two_pods_ends_with_the_last_and_as_the_one_that_failed() -> None:
    async def scene(run: Run) -> None:
        run.backend.submit(a_job()._replace(members=2))
        first = await run.pod()
        (job,) = run.server.jobs.values()
        assert (job["spec"]["completionMode"], job["spec"]["completions"]) == ("Indexed", 2)
        second = run.server.make_pod(job, "other")
        second["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"] = "1"
        run.server.start(second)
        run.server.start(first)
        run.server.finish(second, 3)
        await run.started()
        run.server.finish(first)
        assert (await run.ended()).code == 3

    assert [type(report) for report in play(scene).reports] == [JobStarted, JobEnded]


def test_exit_status_and_tail() -> None:
    async def scene(run: Run) -> None:
        run.backend.submit(a_job())
        pod = await run.pod()
        run.server.logs[pod["metadata"]["name"]] = "one\ntwo\n"
        run.server.finish(pod, 3)
        ended = await run.ended()
        assert (ended.code, ended.failure, ended.tail) == (3, None, [b"one", b"two"])

    play(scene)


@pytest.mark.parametrize(
    ("fields", "kind", "words"),
    [
        ({"code": 137, "reason": "OOMKilled"}, TaskOutOfMemory, "its machine had"),
        ({"code": 137, "pod": ("Evicted", "The node was low on resource: memory.")}, TaskPreempted, "low on resource"),
        ({"code": 143, "pod": ("Terminated", "terminated in response to node shutdown")}, TaskPreempted, "shut"),
        ({"code": 137, "pod": ("DeadlineExceeded", "…")}, TaskTimedOut, "100 seconds"),
        ({"code": 128, "reason": "StartError", "message": 'exec: "python": executable file not found in $PATH'},
         ImageUnavailable, "no program `python`"),
        ({"code": 143, "disruption": "DeletionByTaintManager"}, TaskPreempted, "taint"),
    ],
)  # fmt: skip
def test_why_it_ended(fields: dict[str, Any], kind: type[TaskFailed], words: str) -> None:
    async def scene(run: Run) -> None:
        run.backend.submit(a_job())
        further: dict[str, Any] = {}
        if "pod" in fields:
            further = dict(zip(("reason", "message"), fields["pod"], strict=True))
        if "disruption" in fields:
            condition = {"type": "DisruptionTarget", "status": "True", "reason": fields["disruption"]}
            further["conditions"] = [condition]
        pod = await run.pod()
        pod["status"].update(further)
        run.server.finish(pod, fields["code"], fields.get("reason", "Error"), fields.get("message", ""))
        failure = (await run.ended()).failure
        assert type(failure) is kind
        assert words in str(failure)

    play(scene)


# --- jobs that wait --------------------------------------------------------------------------------------------------


def test_the_schedulers_words_once_each() -> None:
    async def scene(run: Run) -> None:
        run.backend.submit(a_job())
        pod = await run.pod()
        for message in ("0/1 nodes: memory", "0/1 nodes: memory", "0/2 nodes: cpu"):
            condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
            run.server.change(pod, conditions=[condition])
        await run.waiting("cpu")
        run.server.start(pod)
        run.server.finish(pod)
        await run.ended()

    assert play(scene).reasons() == ["0/1 nodes: memory", "0/2 nodes: cpu"]


def test_the_pending_deadline_ends_it_with_the_reason() -> None:
    async def scene(run: Run) -> None:
        run.backend.submit(a_job())
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "message": "0/1 nodes are available: 1 Insufficient cpu.",
        }
        run.server.change(await run.pod(), conditions=[condition])
        failure = (await run.ended()).failure
        assert isinstance(failure, TaskNotPlaced)
        assert "Insufficient cpu" in str(failure)
        assert not run.server.jobs

    play(scene, METAFLOW_KUBERNETES_PENDING_DEADLINE="0.2")


@pytest.mark.parametrize(
    ("reason", "message", "kind", "is_at_once"),
    [
        ("InvalidImageName", "couldn't parse", ImageUnavailable, True),
        ("ErrImagePull", "manifest unknown", ImageUnavailable, True),
        ("ErrImagePull", "dial tcp: i/o timeout", ImageUnavailable, False),
        ("CreateContainerConfigError", 'secret "x" not found', TaskNotPlaced, False),
        ("CreateContainerError", 'exec: "python": executable file not found in $PATH', ImageUnavailable, False),
    ],
)
def test_containers_that_cannot_start(reason: str, message: str, kind: type[TaskFailed], is_at_once: bool) -> None:
    async def scene(run: Run) -> None:
        run.backend.submit(a_job())
        pod = await run.pod()
        began = asyncio.get_running_loop().time()
        run.server.waits(pod, reason, message)
        failure = (await run.ended()).failure
        assert type(failure) is kind
        assert (asyncio.get_running_loop().time() - began < 0.2) == is_at_once
        assert not run.server.jobs, "it is deleted, or it would go on trying"

    play(scene)


def test_an_image_that_comes_after_all() -> None:
    async def scene(run: Run) -> None:
        run.backend.submit(a_job())
        pod = await run.pod()
        run.server.waits(pod, "ErrImagePull", "connection reset by peer")
        run.server.waits(pod, "ImagePullBackOff", "Back-off pulling image")
        await run.waiting("connection reset")
        run.server.start(pod)
        run.server.finish(pod)
        assert (await run.ended()).failure is None

    assert len(play(scene).reasons()) == 1, "the cause is told, not how often it is tried"


@pytest.mark.parametrize(
    ("message", "is_ended"),
    [("exceeded quota: compute, requested: memory=4G", False), ('serviceaccount "x" not found', True)],
)
def test_jobs_without_a_pod(message: str, is_ended: bool) -> None:
    async def scene(run: Run) -> None:
        run.server.makes_pods = False
        about = {"kind": "Job", "name": job_name(a_job().labels)}
        event = {"metadata": {}, "involvedObject": about, "reason": "FailedCreate", "message": message}
        run.server.objects["/api/v1/namespaces/default/events"] = {"metadata": {}, "items": [event]}
        run.backend.submit(a_job())
        await run.waiting(message)
        if is_ended:
            assert isinstance((await run.ended()).failure, TaskNotPlaced)
        else:
            job = next(iter(run.server.jobs.values()))
            run.server.finish(run.server.make_pod(job))
            assert (await run.ended()).failure is None

    play(scene)


# --- refusals at creation --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (status(403, "Forbidden", "admission webhook denied the request: no root"), "no root"),
        (status(404, "NotFound", 'namespaces "default" not found'), "not found"),
        (status(422, "Invalid", "memory: Invalid value", causes=[{"field": "spec.memory"}]), "Invalid value"),
    ],
)
def test_what_the_cluster_refuses(answer: Any, words: str) -> None:
    async def scene(run: Run) -> None:
        run.server.fault = lambda request: answer if request.path.endswith("/jobs") else None
        run.backend.submit(a_job())
        failure = (await run.ended()).failure
        assert isinstance(failure, TaskNotPlaced)
        assert words in str(failure)
        assert answer[0] != 422 or "spec.memory" in str(failure.hint)

    play(scene)


@pytest.mark.parametrize("code", [429, 500, 503, 504])
def test_creation_is_tried_again(code: int) -> None:
    async def scene(run: Run) -> None:
        answers = [status(code, "Busy", "too busy")] * 2
        run.server.fault = lambda request: answers.pop() if request.method == "POST" and answers else None
        run.backend.submit(a_job())
        run.server.finish(await run.pod())
        assert (await run.ended()).failure is None

    play(scene)


def test_a_creation_whose_answer_was_lost_is_no_second_job() -> None:
    async def scene(run: Run) -> None:
        lost: list[Any] = []

        def lose(request: Request) -> None:
            if request.method == "POST" and not lost:
                lost.append(run.server._create(request.body))
                run.server.drop()

        run.server.fault = lose
        run.backend.submit(a_job())
        run.server.finish(await run.pod())
        assert (await run.ended()).failure is None

    assert len(play(scene).server.pods) == 1


def test_a_job_of_that_name_is_there_already() -> None:
    async def scene(run: Run) -> None:
        name = job_name(a_job().labels)
        job = {"metadata": {"name": name, "namespace": "default", "labels": {}}}
        run.server.jobs[f"default/{name}"] = job
        run.backend.submit(a_job())
        assert isinstance((await run.ended()).failure, TaskNotPlaced)
        assert run.server.jobs == {f"default/{name}": job}

    play(scene)


def test_credentials_that_expired_are_waited_for() -> None:
    async def scene(run: Run) -> None:
        answers = [status(401, "Unauthorized", "Unauthorized")] * 2
        run.server.fault = lambda request: answers.pop() if request.method == "POST" and answers else None
        run.backend.submit(a_job())
        run.server.finish(await run.pod())
        assert (await run.ended()).failure is None

    play(scene)


# --- the watch -------------------------------------------------------------------------------------------------------


def drop(server: KubernetesServer) -> None:
    server.drop()


def expire(server: KubernetesServer) -> None:
    server.forget()


@pytest.mark.parametrize("trouble", [drop, expire])
def test_a_watch_that_breaks_goes_on(trouble: Callable[[KubernetesServer], None]) -> None:
    async def scene(run: Run) -> None:
        run.backend.submit(a_job())
        pod = await run.pod()
        run.server.start(pod)
        await run.started()
        trouble(run.server)
        run.server.finish(pod, 5)
        trouble(run.server)
        assert (await run.ended()).code == 5

    assert [type(report) for report in play(scene).reports] == [JobStarted, JobEnded]


def test_an_api_server_that_is_away_ends_nothing() -> None:
    async def scene(run: Run) -> None:
        run.backend.submit(a_job(1))
        pod = await run.pod(1)
        run.server.start(pod)
        await run.started(1)
        await run.server.down()
        run.backend.submit(a_job(2))
        await run.waiting("cannot be reached")
        await run.server.up()
        run.server.finish(pod)
        run.server.finish(await run.pod(2))
        assert (await run.ended(1)).failure is None
        assert (await run.ended(2)).failure is None

    play(scene)


def test_a_deletion_that_nobody_saw() -> None:
    async def scene(run: Run) -> None:
        run.backend.submit(a_job())
        pod = await run.pod()
        run.server.start(pod)
        await run.started()
        await run.server.down()
        run.server.remove(pod)
        run.server.forget()
        await run.server.up()
        assert isinstance((await run.ended()).failure, TaskCancelled)

    play(scene)


def test_pods_that_may_be_listed_and_not_watched() -> None:
    async def scene(run: Run) -> None:
        no = status(403, "Forbidden", "pods is forbidden: cannot watch")
        run.server.fault = lambda request: no if "watch" in request.query else None
        run.backend.submit(a_job())
        pod = await run.pod()
        run.server.start(pod)
        await run.started()
        run.server.finish(pod, 5)
        assert (await run.ended()).code == 5

    assert [type(report) for report in play(scene).reports] == [JobStarted, JobEnded]


def test_a_watch_that_is_forbidden_for_long_gives_up() -> None:
    async def scene(run: Run) -> None:
        no = status(403, "Forbidden", "pods is forbidden")
        run.server.fault = lambda request: no if request.path.endswith("/pods") else None
        run.backend.submit(a_job())
        failure = (await run.ended()).failure
        assert isinstance(failure, TaskLost)
        assert "pods is forbidden" in str(failure)

    play(scene)


# --- ends that others make -------------------------------------------------------------------------------------------


def test_somebody_deletes_the_job() -> None:
    async def scene(run: Run) -> None:
        run.backend.submit(a_job())
        pod = await run.pod()
        run.server.start(pod)
        await run.started()
        run.server.jobs.clear()
        run.server.take(pod)
        run.server.finish(pod, 143)
        failure = (await run.ended()).failure
        assert isinstance(failure, TaskCancelled)
        assert "deleted its job" in str(failure)

    play(scene)


def test_somebody_deletes_the_job_before_it_has_a_pod() -> None:
    async def scene(run: Run) -> None:
        run.server.makes_pods = False
        run.backend.submit(a_job())
        await run.until(lambda: run.server.jobs)
        run.server.jobs.clear()
        assert isinstance((await run.ended()).failure, TaskCancelled)

    play(scene)


@pytest.mark.parametrize(("minor", "kind"), [("20", TaskPreempted), ("29", TaskCancelled)])
def test_a_pod_is_deleted_and_no_other_takes_its_place(minor: str, kind: type[TaskFailed]) -> None:
    async def main() -> None:
        async with KubernetesServer().running() as server:
            server.objects["/version"] = {"major": "1", "minor": minor}
            run = Run(server, {})
            await run.backend.open(run.hear)
            run.backend.submit(a_job())
            pod = await run.pod()
            server.start(pod)
            await run.started()
            server.take(pod)
            second = server.make_pod(next(iter(server.jobs.values())), "other")  # as old job controllers do
            await run.until(lambda: not server.jobs)
            server.finish(pod, 143)
            assert type((await run.ended()).failure) is kind
            assert second["metadata"]["name"] not in [pod["metadata"]["name"] for pod in server.pods.values()]
            await run.backend.close()

    asyncio.run(main())


@pytest.mark.parametrize(("node", "kind"), [(None, TaskPreempted), ("False", TaskLost)])
def test_a_node_is_gone(node: str | None, kind: type[TaskFailed]) -> None:
    async def scene(run: Run) -> None:
        del run.server.objects["/api/v1/nodes/node1"]
        if node is not None:
            state = {"status": {"conditions": [{"type": "Ready", "status": node}]}}
            run.server.objects["/api/v1/nodes/node1"] = state
        run.backend.submit(a_job())
        pod = await run.pod()
        run.server.start(pod)
        await run.started()
        run.server.remove(pod)
        assert type((await run.ended()).failure) is kind

    play(scene)


def test_a_node_that_is_not_heard_of_for_long() -> None:
    async def scene(run: Run) -> None:
        run.backend.submit(a_job())
        pod = await run.pod()
        run.server.start(pod)
        run.server.change(pod, conditions=[{"type": "Ready", "status": "False"}])
        await run.until(lambda: not run.server.jobs)
        run.server.remove(pod)
        assert isinstance((await run.ended()).failure, TaskLost)

    play(scene)


# --- ends that we make -----------------------------------------------------------------------------------------------


def test_cancelling_what_runs_waits_for_its_end() -> None:
    async def scene(run: Run) -> None:
        run.backend.submit(a_job())
        pod = await run.pod()
        run.server.start(pod)
        await run.started()
        run.backend.cancel(1)
        await run.until(lambda: not run.server.jobs)
        assert not any(isinstance(report, JobEnded) for report in run.reports)
        run.server.finish(pod, 143)
        ended = await run.ended()
        assert isinstance(ended.failure, TaskCancelled)
        run.backend.cancel(1)
        run.backend.cancel(99)

    play(scene)


@pytest.mark.parametrize("is_made", [True, False])
def test_cancelling_what_waits(is_made: bool) -> None:
    async def scene(run: Run) -> None:
        run.backend.submit(a_job())
        if is_made:
            await run.pod()
        run.backend.cancel(1)
        assert isinstance((await run.ended()).failure, TaskCancelled)
        assert not run.server.jobs

    play(scene)


def test_closing_ends_all_and_reports_nothing() -> None:
    async def main() -> None:
        async with KubernetesServer().running() as server:
            run = Run(server, {})
            await run.backend.open(run.hear)
            for task in range(30):
                run.backend.submit(a_job(task))
            await run.pod(29)
            server.start(await run.pod(3))
            await run.started(3)
            count = len(run.reports)
            closing = asyncio.create_task(run.backend.close())
            await run.until(lambda: not server.jobs)
            server.finish(await run.pod(3), 143)
            await closing
            assert len(run.reports) == count

    asyncio.run(main())


def test_closing_while_the_api_server_is_away_says_what_may_be_left() -> None:
    async def main() -> None:
        async with KubernetesServer().running() as server:
            run = Run(server, {})
            await run.backend.open(run.hear)
            run.backend.submit(a_job())
            server.start(await run.pod())
            await run.started()
            await server.down()
            with pytest.raises(MetaflowException, match="1 jobs of this run") as caught:
                await run.backend.close()
            assert "kubernetes kill" in str(caught.value.hint)
            await server.up()

    asyncio.run(main())


def test_closing_what_was_never_opened() -> None:
    asyncio.run(KubernetesBackend(Values({})).close())


# --- from outside of the run -----------------------------------------------------------------------------------------


def test_unfinished_and_end() -> None:
    async def scene(run: Run) -> None:
        for task in (1, 2, 3):
            run.backend.submit(a_job(task))
        run.server.start(await run.pod(1))
        done = next(job for job in run.server.jobs.values() if job["metadata"]["name"] == job_name(a_job(3).labels))
        done["status"] = {"conditions": [{"type": "Complete", "status": "True"}]}
        other = KubernetesBackend(Values({}), cluster=run.server.cluster, **QUICK)
        await other.open(lambda report: None)
        await run.pod(2)
        jobs = await other.unfinished({"flow": "Flow", "run": "7"})
        assert [job.labels["task"] for job in jobs] == ["1", "2"]
        assert [job.status.split(",")[0] for job in jobs] == ["running on node1", "waiting"]
        assert await other.unfinished({"flow": "Flow", "user": "bob"}) == []
        await other.end(jobs)
        await other.close()
        assert [key for key in run.server.jobs if key.endswith(job_name(a_job(3).labels))] == list(run.server.jobs)
        run.server.finish(await run.pod(1), 143)
        assert isinstance((await run.ended(1)).failure, TaskCancelled)

    play(scene)


def test_a_job_whose_pod_has_ended_is_over_before_its_conditions_say_so() -> None:
    async def scene(run: Run) -> None:
        for task in (1, 2, 3):
            run.backend.submit(a_job(task))
        for task in (1, 2, 3):
            run.server.start(await run.pod(task))
        run.server.finish(await run.pod(1))
        run.server.finish(await run.pod(2), 3)
        await run.ended(1)
        await run.ended(2)
        assert not any("conditions" in job.get("status", {}) for job in run.server.jobs.values())
        (left,) = await run.backend.unfinished({"flow": "Flow"})
        assert left.labels["task"] == "3"

    play(scene)


def test_a_job_that_may_get_another_pod_is_not_over() -> None:
    async def scene(run: Run) -> None:
        run.backend.submit(a_job())
        pod = await run.pod()
        run.server.start(pod)
        await run.started()
        run.server.fault = lambda request: status(503, "Busy", "busy") if request.method == "DELETE" else None
        run.server.take(pod)
        (left,) = await run.backend.unfinished({"flow": "Flow"})
        assert left.status.startswith("being ended")
        run.server.make_pod(next(iter(run.server.jobs.values())), "other")  # as old job controllers do
        run.server.finish(pod, 143)
        (left,) = await run.backend.unfinished({"flow": "Flow"})
        assert left.status.startswith("waiting")
        run.server.fault = None

    play(scene)


def test_unfinished_where_only_one_namespace_may_be_seen() -> None:
    async def scene(run: Run) -> None:
        no = status(403, "Forbidden", "not in all namespaces")
        run.server.fault = lambda request: no if request.path in ("/apis/batch/v1/jobs", "/api/v1/pods") else None
        run.backend.submit(a_job())
        await run.pod()
        assert len(await run.backend.unfinished({"flow": "Flow"})) == 1

    play(scene)


# --- before the run --------------------------------------------------------------------------------------------------


def test_a_cluster_that_cannot_be_reached() -> None:
    async def main() -> None:
        backend = KubernetesBackend(Values({}), cluster=Cluster("http://127.0.0.1:1", "the test"), **QUICK)
        with pytest.raises(MetaflowException, match="cannot be reached"):
            await backend.open(lambda report: None)

    asyncio.run(main())


def test_preflight_names_what_is_missing() -> None:
    async def scene(run: Run) -> None:
        run.server.forbidden = {"watch pods"}
        run.server.objects["/api/v1/namespaces/default/secrets/there"] = {}
        requests = {
            "a": a_job(secrets=["there", "nosuch"]).resources,
            "b": a_job(namespace="nope").resources,
            "c": a_job(service_account="who", persistent_volume_claims={"disk": "/d"}).resources,
        }
        problems = await run.backend.preflight(requests)
        sentences = {problem.message: problem.steps for problem in problems}
        assert sentences["This user may not watch pods in the namespace 'default'."] == ("a", "c")
        (watch,) = (problem for problem in problems if "watch pods" in problem.message)
        assert not watch.certain
        assert sentences["There is no secret 'nosuch' in the namespace 'default'."] == ("a",)
        assert sentences["There is no namespace 'nope'."] == ("b",)
        assert sentences["There is no service account 'who' in the namespace 'default'."] == ("c",)
        assert sentences["There is no persistent volume claim 'disk' in the namespace 'default'."] == ("c",)
        assert not any("there" in problem.message for problem in problems if "'there'" in problem.message)

    play(scene)


# --- many ------------------------------------------------------------------------------------------------------------

MANY = """
import asyncio, os, sys, time
from metaflow.compute.kubernetes.backend import KubernetesBackend
from metaflow.compute.jobs.protocol import Job, JobStarted
from metaflow.compute.resources import ResourceRequest
from metaflow.settings.values import Values
from metaflow.settings.kubeconfig import Cluster

COUNT, SECONDS = 1000, 5.0

def peak_mb():
    # getrusage would also count the process that started this one, before it became another program
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024 / 1e6

async def main():
    started, ready = set(), asyncio.Event()
    def hear(report):
        if isinstance(report, JobStarted):
            started.add(report.task)
            if len(started) == COUNT:
                ready.set()
    backend = KubernetesBackend(Values({}), cluster=Cluster(sys.argv[1], "the test"))
    await backend.open(hear)
    request = ResourceRequest("kubernetes", image="python:3.12")
    for task in range(COUNT):
        labels = {"flow": "Many", "run": "1", "step": "s", "task": str(task), "attempt": "0", "user": "ann"}
        backend.submit(Job(task, 0, "s", ("python", "-c", "x" * 5000), {"BOOT": "y" * 3000}, labels, request, 100.0))
    await ready.wait()
    begin = time.process_time()
    await asyncio.sleep(SECONDS)
    busy = (time.process_time() - begin) / SECONDS
    print(busy, peak_mb(), flush=True)
    os._exit(0)

asyncio.run(main())
"""


@pytest.mark.slow
def test_a_thousand_at_once_in_one_small_idle_process() -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    command = [sys.executable, "-m", "support.kubernetes_server"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            address = server.stdout.readline().strip()
            done = subprocess.run([sys.executable, "-c", MANY, address], capture_output=True, text=True, timeout=120)
        finally:
            server.stdin.close()
    assert done.returncode == 0, done.stderr
    busy, peak = map(float, done.stdout.split())
    assert busy < 0.1, "of a core, while nothing happens"
    assert peak < 200, "MB"
