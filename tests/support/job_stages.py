"""Services that run jobs, for the contract of `JobBackend`: processes, simulated and real Kubernetes and AWS Batch.

A simulated service knows the three programs of the contract and plays what a container would do.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from metaflow.compute.batch.backend import BatchBackend
from metaflow.compute.batch.client import Description
from metaflow.compute.jobs.protocol import JobBackend
from metaflow.compute.jobs.retry import RetryPolicy, Unavailable
from metaflow.compute.jobs.shell import Pace
from metaflow.compute.jobs.tracked import Timeouts
from metaflow.compute.kubernetes.backend import KubernetesBackend
from metaflow.compute.resources import ResourceRequest
from metaflow.settings.values import Values
from support.batch_service import QUEUE, BatchInMemory
from support.kubernetes_server import JSON, KubernetesServer
from support.process_backend import ProcessBackend, ProcessHost

GOOD = "print('fine')"
BAD = "print('one'); print('two'); raise SystemExit(3)"
LONG = "import signal, time; signal.signal(15, lambda *a: exit(143)); print('up', flush=True); time.sleep(600)"

PACE = Pace(RetryPolicy(0.02, 0.2), answer=1.0, silence=0.1, told=5.0, gone=5.0, tick=0.05)

Say = Callable[[str], None]


class Stage(ABC):
    """A service and backends for it.

    Attributes
    ----------
    has_outages : bool
        Whether `away` can be.
    has_limits : bool
        Whether there is something that `impossible` asks for too much of.
    """

    has_outages = False
    has_limits = True

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Have the service run."""
        yield

    @abstractmethod
    def backend(self, say: Say) -> JobBackend:
        """Return a new backend: each is like another launch."""

    @abstractmethod
    def request(self) -> ResourceRequest:
        """Return what a small job asks for."""

    def impossible(self) -> ResourceRequest:
        """Return what no job can have."""
        return self.request()._replace(cpu=100_000.0)

    @asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        """Have the service not answer; jobs that run there go on."""
        raise NotImplementedError
        yield


class Processes(Stage):
    """Processes of this machine."""

    has_limits = False

    def __init__(self) -> None:
        self._host = ProcessHost()

    def backend(self, say: Say) -> JobBackend:
        return ProcessBackend(host=self._host)

    def request(self) -> ResourceRequest:
        return ResourceRequest("process")


class PlayingServer(KubernetesServer):
    """A cluster whose pods do what the programs of the contract do."""

    def make_pod(self, job: JSON, suffix: str = "abcde") -> JSON:
        pod = super().make_pod(job, suffix)
        asyncio.get_running_loop().call_later(0.02, self._play, pod)
        return pod

    def _play(self, pod: JSON) -> None:
        program = pod["spec"]["containers"][0]["command"][-1]
        self.start(pod)
        if program != LONG:
            self.logs[pod["metadata"]["name"]] = "one\ntwo\n" if program == BAD else "fine\n"
            asyncio.get_running_loop().call_later(0.1, self.finish, pod, 3 if program == BAD else 0)

    def take(self, pod: JSON) -> None:
        super().take(pod)
        asyncio.get_running_loop().call_later(0.02, self.finish, pod, 143)


class SimulatedKubernetes(Stage):
    """An API server in this process."""

    has_outages = True

    def __init__(self) -> None:
        self._server = PlayingServer()
        allocatable = {"cpu": "8", "memory": "32Gi", "ephemeral-storage": "100Gi"}
        node = {"metadata": {"name": "node1", "labels": {}}, "spec": {}, "status": {"allocatable": allocatable}}
        self._server.objects["/api/v1/nodes"] = {"metadata": {}, "items": [node]}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with self._server.running():
            yield

    def backend(self, say: Say) -> JobBackend:
        return KubernetesBackend(
            Values({}), say=say, cluster=self._server.cluster, timeouts=Timeouts(explain=0.2, ending=5.0), pace=PACE
        )

    def request(self) -> ResourceRequest:
        return ResourceRequest("kubernetes", image="python:3.12", options={"namespace": "default"})

    @asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        await self._server.down()
        yield
        await self._server.up()


class PlayingBatch(BatchInMemory):
    """A Batch whose jobs do what the programs of the contract do."""

    is_away = False

    def _called(self, name: str, effect: Callable[[], Any]) -> Any:
        if self.is_away:
            raise Unavailable("it is away")
        return super()._called(name, effect)

    def _grown(self, id: str) -> Description:
        job = self.jobs[id]
        definition = self.definitions[str(job["jobDefinition"]).removeprefix("arn:")]
        program = definition["containerProperties"]["command"][-1]
        self._ages[id] += 1
        container: dict[str, Any] = {"image": "some-image", "logStreamName": "s"}
        if job["status"] in ("SUCCEEDED", "FAILED"):
            pass
        elif self._ages[id] == 1:
            job["status"] = "RUNNABLE"
        elif self._ages[id] == 2 or program == LONG:
            job.update(status="RUNNING", startedAt=1)
        elif program == BAD:
            container["exitCode"] = 3
            job.update(status="FAILED", statusReason="Essential container in task exited", container=container)
        else:
            job.update(status="SUCCEEDED", container={**container, "exitCode": 0})
        return dict(job)


class SimulatedBatch(Stage):
    """A Batch in this process."""

    has_outages = True

    def __init__(self) -> None:
        self._client = PlayingBatch()

    def backend(self, say: Say) -> JobBackend:
        return BatchBackend(
            Values({}), say=say, client=self._client, timeouts=Timeouts(explain=60.0, missing=60.0), pace=PACE
        )

    def request(self) -> ResourceRequest:
        role = "arn:aws:iam::111122223333:role/flows"
        return ResourceRequest("batch", 1, 512, image="python:3.11", options={"queue": QUEUE, "iam_role": role})

    @asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        self._client.is_away = True
        yield
        self._client.is_away = False


class Kubernetes(Stage):
    """The cluster that KUBECONFIG names, in a namespace of its own."""

    def __init__(self) -> None:
        self._namespace = f"millrace-{secrets.token_hex(4)}"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        from metaflow.compute.kubernetes.client import Client
        from metaflow.settings.kubeconfig import load

        client = Client(load())
        body: dict[str, Any] = {"kind": "Namespace", "metadata": {"name": self._namespace}}
        await client.call("POST", "/api/v1/namespaces", body=body)
        try:
            yield
        finally:
            await client.call("DELETE", f"/api/v1/namespaces/{self._namespace}")
            await client.close()

    def backend(self, say: Say) -> JobBackend:
        return KubernetesBackend(Values({}), say=say)

    def request(self) -> ResourceRequest:
        image = os.environ["METAFLOW_DEFAULT_CONTAINER_IMAGE"]
        return ResourceRequest("kubernetes", 0.02, 100, 100, image=image, options={"namespace": self._namespace})


class Batch(Stage):
    """The AWS Batch that the environment names."""

    def backend(self, say: Say) -> JobBackend:
        return BatchBackend(Values({}), say=say)

    def request(self) -> ResourceRequest:
        role, queue = os.environ["METAFLOW_ECS_S3_ACCESS_IAM_ROLE"], os.environ["METAFLOW_BATCH_JOB_QUEUE"]
        image = os.environ["METAFLOW_DEFAULT_CONTAINER_IMAGE"]
        return ResourceRequest("batch", 1, 256, image=image, options={"queue": queue, "iam_role": role})
