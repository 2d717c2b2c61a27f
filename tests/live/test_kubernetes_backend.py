"""`KubernetesBackend` against a real cluster, in a namespace of its own that is gone afterwards.

The cluster is the one that the environment names: KUBECONFIG, and METAFLOW_DEFAULT_CONTAINER_IMAGE, an image with
Python that its nodes have. Some tests want nodes with four `nvidia.com/gpu` and the label `accelerator=fake`.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from metaflow.compute.jobs.protocol import Job, JobEnded, JobReport, JobStarted
from metaflow.compute.kubernetes.backend import KubernetesBackend
from metaflow.compute.kubernetes.client import Client
from metaflow.compute.kubernetes.ends import Limits
from metaflow.compute.protocol import Waiting
from metaflow.compute.resources import ResourceRequest
from metaflow.exception import (
    ImageUnavailable,
    TaskCancelled,
    TaskFailed,
    TaskNotPlaced,
    TaskOutOfMemory,
    TaskPreempted,
    TaskTimedOut,
)
from metaflow.settings.kubeconfig import Cluster, load
from metaflow.settings.values import Values

IMAGE = os.environ.get("METAFLOW_DEFAULT_CONTAINER_IMAGE", "")
PATIENCE = 120
QUICK = Limits(image=3.0, config=3.0)

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(
        not (IMAGE and os.environ.get("KUBECONFIG")), reason="the environment names no Kubernetes cluster to test with"
    ),
]


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    name = f"millrace-{secrets.token_hex(4)}"

    async def call(method: str, path: str, body: dict[str, Any] | None = None) -> None:
        api = Client(load())
        await api.call(method, path, body=body)
        await api.close()

    asyncio.run(call("POST", "/api/v1/namespaces", {"kind": "Namespace", "metadata": {"name": name}}))
    yield name
    asyncio.run(call("DELETE", f"/api/v1/namespaces/{name}"))


class Ground:
    """A backend at work in a namespace, and what it reports."""

    def __init__(self, namespace: str, cluster: Cluster, entries: dict[str, str]) -> None:
        self.namespace = namespace
        self.run = secrets.token_hex(6)
        self.api = Client(load())
        self.reports: list[JobReport] = []
        self.backend = KubernetesBackend(Values(entries), cluster=cluster, limits=QUICK)
        self._tasks = itertools.count(1)
        self._news = asyncio.Event()

    def hear(self, report: JobReport) -> None:
        self.reports.append(report)
        self._news.set()

    def request(self, **fields: Any) -> ResourceRequest:
        options = {"namespace": self.namespace, **fields.pop("options", {})}
        sizes = {"cpu": 0.05, "memory": 100, "disk": 100, "image": IMAGE}
        return ResourceRequest("kubernetes", **{**sizes, **fields}, options=options)

    def submit(self, code: str = "", *, argv: tuple[str, ...] = (), time_limit: float = 600.0, **fields: Any) -> int:
        task = next(self._tasks)
        labels = {"flow": "LiveFlow", "run": self.run, "step": "go", "task": str(task), "attempt": "0", "user": "ann"}
        argv = argv or ("python", "-c", code)
        self.backend.submit(Job(task, 0, "go", argv, {"GIVEN": "$(x)"}, labels, self.request(**fields), time_limit))
        return task

    async def until(self, what: Callable[[], Any]) -> Any:
        async with asyncio.timeout(PATIENCE):
            while not (found := what()):
                self._news.clear()
                await self._news.wait()
        return found

    async def started(self, task: int) -> JobStarted:
        found: JobStarted = await self.until(lambda: self.of(JobStarted, task))
        return found

    async def ended(self, task: int) -> JobEnded:
        found: JobEnded = await self.until(lambda: self.of(JobEnded, task))
        return found

    def of(self, kind: type, task: int) -> Any:
        return next((each for each in self.reports if isinstance(each, kind) and each.task == task), None)

    def path(self, kind: str, name: str) -> str:
        api = "/apis/batch/v1" if kind == "jobs" else "/api/v1"
        return f"{api}/namespaces/{self.namespace}/{kind}/{name}"


@asynccontextmanager
async def ground(
    namespace: str, entries: dict[str, str] | None = None, cluster: Cluster | None = None
) -> AsyncIterator[Ground]:
    """Open a backend; when it is closed, nothing that it started may be left."""
    made = Ground(namespace, cluster or load(), entries or {})
    await made.backend.open(made.hear)
    try:
        yield made
    finally:
        await made.backend.close()
        other = KubernetesBackend(Values({}), cluster=load())
        await other.open(lambda report: None)
        left = await other.unfinished({"flow": "LiveFlow", "run": made.run})
        await other.close()
        await made.api.close()
    assert left == []


def play(namespace: str, scene: Callable[[Ground], Awaitable[None]], **entries: str) -> None:
    async def main() -> None:
        async with ground(namespace, entries) as here:
            await scene(here)

    asyncio.run(main())


def test_ends_that_tasks_make(namespace: str) -> None:
    async def scene(here: Ground) -> None:
        good = here.submit("print('fine')")
        bad = here.submit("print('out'); raise SystemExit(3)")
        big = here.submit("x = bytearray(300 * 2**20); print(len(x))", memory_limit=100)
        none = here.submit(argv=("nosuch-python",))
        assert await here.ended(good) == JobEnded(good, 0, 0, None, here.of(JobEnded, good).facts, [])
        assert (await here.started(good)).where.startswith("pod t-liveflow-go-1-0-")
        ended = await here.ended(bad)
        assert (ended.code, ended.failure, ended.tail) == (3, None, [b"out"])
        failure = (await here.ended(big)).failure
        assert isinstance(failure, TaskOutOfMemory)
        assert failure.values["limit_mb"] == 100
        assert isinstance((await here.ended(none)).failure, ImageUnavailable)
        assert "no program `python`" in str(here.of(JobEnded, none).failure)

    play(namespace, scene)


def test_what_cannot_be_started(namespace: str) -> None:
    async def scene(here: Ground) -> None:
        expected: dict[int, tuple[type[TaskFailed], str]] = {
            here.submit(image="nosuch.example/none:1"): (ImageUnavailable, "nosuch.example/none:1"),
            here.submit(image="NOT::VALID"): (ImageUnavailable, "NOT::VALID"),
            here.submit(options={"secrets": ["nosuch"]}): (TaskNotPlaced, "nosuch"),
            here.submit(options={"service_account": "nosuch"}): (TaskNotPlaced, "nosuch"),
            here.submit(options={"namespace": "nosuch-namespace"}): (TaskNotPlaced, "nosuch-namespace"),
            here.submit(options={"labels": {"a": "b c"}}): (TaskNotPlaced, "b c"),
            here.submit(memory=10**7): (TaskNotPlaced, "Insufficient memory"),
            here.submit(gpu=100): (TaskNotPlaced, "Insufficient nvidia.com/gpu"),
            here.submit(options={"node_selector": {"no": "such"}}): (TaskNotPlaced, "didn't match"),
            here.submit(options={"persistent_volume_claims": {"nosuch": "/d"}}): (TaskNotPlaced, "nosuch"),
        }
        for task, (kind, words) in expected.items():
            failure = (await here.ended(task)).failure
            assert type(failure) is kind
            assert words in str(failure)

    play(namespace, scene, METAFLOW_KUBERNETES_PENDING_DEADLINE="12")


def test_gpus_are_scheduled(namespace: str) -> None:
    async def scene(here: Ground) -> None:
        task = here.submit(gpu=4, options={"node_selector": {"accelerator": "fake"}})
        assert (await here.started(task)).facts["kubernetes-gpu"] == "4"
        assert (await here.ended(task)).code == 0

    play(namespace, scene)


def test_a_quota_is_waited_for(namespace: str) -> None:
    async def scene(here: Ground) -> None:
        quota = {"kind": "ResourceQuota", "metadata": {"name": "few"}, "spec": {"hard": {"requests.memory": "50M"}}}
        await here.api.call("POST", here.path("resourcequotas", "").rstrip("/"), body=quota)
        try:
            problems = await here.backend.preflight({"go": here.request()})
            assert any("ResourceQuota 'few'" in problem.message for problem in problems)
            task = here.submit()
            await here.until(lambda: here.of(Waiting, task))
            assert "exceeded quota" in here.of(Waiting, task).reason
        finally:
            await here.api.call("DELETE", here.path("resourcequotas", "few"))
        assert (await here.ended(task)).code == 0

    play(namespace, scene)


def test_a_time_limit(namespace: str) -> None:
    async def scene(here: Ground) -> None:
        code = "import signal, time; signal.signal(15, lambda *a: exit(9)); time.sleep(600)"
        assert isinstance((await here.ended(here.submit(code, time_limit=2.0))).failure, TaskTimedOut)

    play(namespace, scene)


POLITE = "import signal, time; signal.signal(15, lambda *a: exit(143)); print('up', flush=True); time.sleep(600)"


@pytest.mark.parametrize(
    ("end", "kinds"),
    [
        ("evict", (TaskPreempted,)),
        ("delete the pod", (TaskPreempted, TaskCancelled)),  # older clusters do not tell which
        ("delete the job", (TaskCancelled,)),
        ("cancel", (TaskCancelled,)),
    ],
)
def test_ends_that_others_make(end: str, kinds: tuple[type[TaskFailed], ...], namespace: str) -> None:
    async def scene(here: Ground) -> None:
        task = here.submit(POLITE)
        facts = (await here.started(task)).facts
        pod, job = facts["kubernetes-pod-name"], facts["kubernetes-job-name"]
        if end == "evict":
            body = {"apiVersion": "policy/v1beta1", "kind": "Eviction", "metadata": {"name": pod}}
            if (await here.api.get("/version"))["minor"].rstrip("+") >= "22":
                body["apiVersion"] = "policy/v1"
            await here.api.call("POST", here.path("pods", f"{pod}/eviction"), body=body)
        elif end == "delete the pod":
            await here.api.call("DELETE", here.path("pods", pod))
        elif end == "delete the job":
            await here.api.call("DELETE", here.path("jobs", job), params={"propagationPolicy": "Background"})
        else:
            here.backend.cancel(task)
        failure = (await here.ended(task)).failure
        assert type(failure) in kinds
        assert await here.api.find(here.path("jobs", job)) is None, "or it would start another pod"

    play(namespace, scene)


def test_every_attribute_in_the_created_job(namespace: str) -> None:
    async def scene(here: Ground) -> None:
        options = {
            "labels": {"team": "x"},
            "annotations": {"note": "a b"},
            "node_selector": {"accelerator": "fake"},
            "tolerations": [{"key": "k", "operator": "Exists", "effect": "NoSchedule"}],
            "image_pull_policy": "IfNotPresent",
            "image_pull_secrets": ["registry"],
            "service_account": "default",
            "use_tmpfs": True,
            "tmpfs_size": 7,
            "tmpfs_path": "/tm",
            "port": 8080,
            "qos": "Guaranteed",
            "security_context": {
                "runAsUser": 1234,
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "seccompProfile": {"type": "RuntimeDefault"},
            },
        }
        code = (
            "import os, sys\n"
            "e = os.environ\n"
            "pod = e['METAFLOW_KUBERNETES_POD_NAME']\n"
            "print(os.getuid(), e['GIVEN'], e['METAFLOW_TEMPDIR'], pod, os.listdir('/tm'))\n"
            "print(sys.argv[1], e['METAFLOW_KUBERNETES_NODE_NAME'] != '', open('/tm/x', 'w').write('x'))\n"
            "sys.exit(4)"
        )
        argv = ("python", "-c", code, "$(GIVEN)")
        task = here.submit(argv=argv, cpu=0.1, memory=120, shared_memory=5, gpu=1, options=options)
        facts = (await here.started(task)).facts
        assert facts["kubernetes-pod-service-account-name"] == "default"
        assert re.fullmatch(r"[0-9.]+", facts["kubernetes-node-ip"])
        ended = await here.ended(task)
        name, pod = facts["kubernetes-job-name"], facts["kubernetes-pod-name"]
        assert ended.tail == [f"1234 $(x) /tm {pod} []".encode(), b"$(GIVEN) True 1"]
        job = await here.api.get(here.path("jobs", name))
        spec = job["spec"]["template"]["spec"]
        container = spec["containers"][0]
        amounts = {"cpu": "100m", "memory": "120M", "ephemeral-storage": "100M"}
        assert container["resources"]["requests"].items() >= amounts.items()
        assert container["resources"]["limits"] == {**amounts, "nvidia.com/gpu": "1"}
        assert (await here.api.get(here.path("pods", pod)))["status"]["qosClass"] == "Guaranteed"
        assert job["metadata"]["labels"]["team"] == "x"
        assert job["metadata"]["annotations"]["note"] == "a b"
        assert job["metadata"]["annotations"]["metaflow/run_id"] == here.run
        assert spec["nodeSelector"] == {"accelerator": "fake"}
        assert spec["tolerations"] == options["tolerations"]
        assert spec["imagePullSecrets"] == [{"name": "registry"}]
        assert spec["serviceAccountName"] == "default"
        assert container["imagePullPolicy"] == "IfNotPresent"
        assert container["ports"] == [{"containerPort": 8080, "protocol": "TCP"}]
        assert container["securityContext"] == options["security_context"]
        sizes = [volume["emptyDir"]["sizeLimit"] for volume in spec["volumes"]]
        assert sizes == ["7Mi", "5Mi"]

    play(namespace, scene)


class Wire:
    """A way to the API server that can be cut."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0

    async def mend(self) -> None:
        self._server = await asyncio.start_server(self._pass, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await self._server.wait_closed()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there = await asyncio.open_connection(*self._target)
        ends = {writer, there}
        self._writers |= ends
        try:
            await asyncio.gather(self._copy(reader, there), self._copy(there_reader, writer))
        finally:
            self._writers -= ends
            for end in ends:
                end.close()

    async def _copy(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                target.write(data)
                await target.drain()
        except OSError:
            pass
        target.transport.abort()


def test_an_api_server_that_is_away(namespace: str) -> None:
    cluster = load()
    host, _, port = cluster.server.partition("://")[2].partition(":")

    async def main() -> None:
        wire = Wire(host, int(port or 443))
        await wire.mend()
        reached = cluster._replace(server=f"https://127.0.0.1:{wire.port}", server_name=host)
        async with ground(namespace, cluster=reached) as here:
            task = here.submit("import time; time.sleep(2); raise SystemExit(5)")
            await here.started(task)
            await wire.cut()
            later = here.submit()
            await here.until(lambda: here.of(Waiting, later))
            assert "has not taken the job yet" in here.of(Waiting, later).reason
            await asyncio.sleep(4)  # the job ends meanwhile
            await wire.mend()
            assert (await here.ended(task)).code == 5
            assert (await here.ended(later)).code == 0
        await wire.cut()

    asyncio.run(main())


LAUNCHER = """
import asyncio, sys
from metaflow.compute.kubernetes.backend import KubernetesBackend
from metaflow.compute.jobs.protocol import Job, JobStarted
from metaflow.compute.resources import ResourceRequest
from metaflow.settings.values import Values

async def main(namespace, run, image, code):
    def hear(report):
        if isinstance(report, JobStarted):
            print("started", flush=True)
    backend = KubernetesBackend(Values({}))
    await backend.open(hear)
    request = ResourceRequest("kubernetes", 0.05, 100, 100, image=image, options={"namespace": namespace})
    labels = {"flow": "LiveFlow", "run": run, "step": "go", "task": "1", "attempt": "0", "user": "ann"}
    backend.submit(Job(1, 0, "go", ("python", "-c", code), {}, labels, request, 600.0))
    await asyncio.sleep(600)

asyncio.run(main(*sys.argv[1:]))
"""


def test_what_a_killed_launcher_left_is_found_and_ended(namespace: str) -> None:
    async def scene(here: Ground) -> None:
        command = [sys.executable, "-c", LAUNCHER, namespace, here.run, IMAGE, POLITE]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as launcher:
            assert launcher.stdout is not None
            assert await asyncio.to_thread(launcher.stdout.readline) == "started\n"
            launcher.send_signal(signal.SIGKILL)
        (job,) = await here.backend.unfinished({"flow": "LiveFlow", "run": here.run})
        assert job.status.startswith("running on ")
        assert job.labels["user"] == "ann"
        assert await here.backend.unfinished({"flow": "OtherFlow", "run": here.run}) == []
        await here.backend.end([job])
        assert await here.backend.unfinished({"flow": "LiveFlow", "run": here.run}) == []

    play(namespace, scene)


def test_many_at_once(namespace: str) -> None:
    async def scene(here: Ground) -> None:
        tasks = [here.submit(cpu=0.01, memory=20, disk=1) for _ in range(30)]
        assert {(await here.ended(task)).code for task in tasks} == {0}

    play(namespace, scene)
