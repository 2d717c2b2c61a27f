"""A place to run flows in whose steps may go to the services that the environment names, and the other side of these.

KUBECONFIG, AWS_* and METAFLOW_* are handed on to the flows. `Cluster` is what an operator does to pods and jobs.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

from metaflow import registry
from metaflow.compute.jobs.protocol import JobBackend, RunningJob
from metaflow.compute.kubernetes.client import Client, StatusError
from metaflow.settings.kubeconfig import load
from metaflow.settings.values import Values
from support import processes
from support.site import Site

PATIENCE = 240.0


class RemoteSite(Site):
    """A site whose flows may go to a cluster."""

    @property
    def environment(self) -> dict[str, str]:
        names = ("KUBECONFIG", *(name for name in os.environ if name.startswith(("METAFLOW_", "AWS_"))))
        given = {name: os.environ[name] for name in names if name in os.environ}
        return {**given, **super().environment}


def assert_no_jobs(backend: str, flow: str, run: str | None, *, within: float = 30.0) -> None:
    """Fail if a run that has ended has unfinished jobs, but for those whose task has ended and that are about to."""
    processes.eventually(
        lambda: not unfinished(backend, flow, str(run)), f"no job of {flow}/{run} is left", within=within
    )


def unfinished(backend: str, flow: str, run: str) -> list[RunningJob]:
    """Return the unfinished jobs of a run."""

    settings = {name: value for name, value in os.environ.items() if name.startswith("METAFLOW_")}

    async def ask() -> list[RunningJob]:
        jobs: JobBackend = registry.load("job backend", backend)(Values(settings))
        await jobs.open(lambda report: None)
        try:
            return await jobs.unfinished({"flow": flow, "run": run})
        finally:
            await jobs.close()

    return asyncio.run(ask())


def end_batch_job(id: str, reason: str) -> None:
    """End a job on AWS Batch, as its operator would."""
    import boto3

    boto3.client("batch").terminate_job(jobId=id, reason=reason)


class Cluster:
    """The cluster, as its operator sees it.

    Parameters
    ----------
    namespace : str
        Where the pods are.
    """

    def __init__(self, namespace: str = os.environ.get("METAFLOW_KUBERNETES_NAMESPACE", "default")) -> None:
        self._namespace = namespace

    def evict(self, pod: str) -> None:
        """Do what draining a node does."""
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": self._namespace}}
        path = f"/api/v1/namespaces/{self._namespace}/pods/{pod}/eviction"
        try:
            self.call("POST", path, body=body)
        except StatusError as refused:
            if refused.status not in (400, 404, 415):
                raise
            self.call("POST", path, body={**body, "apiVersion": "policy/v1beta1"})  # before Kubernetes 1.22

    def delete_pod(self, pod: str) -> None:
        self.call("DELETE", f"/api/v1/namespaces/{self._namespace}/pods/{pod}")

    def delete_pod_at_once(self, pod: str) -> None:
        body = {"kind": "DeleteOptions", "gracePeriodSeconds": 0}
        self.call("DELETE", f"/api/v1/namespaces/{self._namespace}/pods/{pod}", body=body)

    def delete_job_of(self, pod: str) -> None:
        found = self.call("GET", f"/api/v1/namespaces/{self._namespace}/pods/{pod}")
        job = found["metadata"]["labels"]["job-name"]
        body = {"kind": "DeleteOptions", "propagationPolicy": "Background"}
        self.call("DELETE", f"/apis/batch/v1/namespaces/{self._namespace}/jobs/{job}", body=body)

    def call(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        async def once() -> dict[str, Any]:
            api = Client(load())
            try:
                return await api.call(method, path, **options)
            finally:
                await api.close()

        return asyncio.run(once())
