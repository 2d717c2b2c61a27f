"""What cannot work on Kubernetes or AWS Batch: one message each, when it matters; nothing is left running.

The places are found by the environment (KUBECONFIG, AWS_*, METAFLOW_*); each case breaks one thing of it.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from support import processes
from support.remote_site import PATIENCE, RemoteSite, assert_no_jobs, unfinished
from support.site import Finished

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(
        not {"KUBECONFIG", "METAFLOW_BATCH_JOB_QUEUE", "METAFLOW_DATASTORE_SYSROOT_S3"} <= set(os.environ),
        reason="the environment does not name Kubernetes, AWS Batch and an S3 store to test with",
    ),
]
SMALL = {"kubernetes": "kubernetes:cpu=0.05,memory=128", "batch": "batch:cpu=1,memory=256"}

HELLO = """
from metaflow import FlowSpec, step

class Hello(FlowSpec):
    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass

if __name__ == "__main__":
    Hello()
"""


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[RemoteSite]:
    site = RemoteSite(tmp_path, "fork")
    yield site
    processes.assert_gone(site.mark)


class Case(NamedTuple):
    """What is wrong, and what is said.

    Attributes
    ----------
    words : tuple of str
        The message has all of them.
    spec : str
        Of --with: ``kubernetes`` and ``batch`` stand for small tasks there.
    env : mapping
        What differs in the environment; None: is not there.
    before : tuple of str
        Options before ``run``.
    source : str
        The flow.
    large : str
        Name of a file beside it, of 2 MB.
    """

    words: tuple[str, ...]
    spec: str = "kubernetes"
    env: Mapping[str, str | None] = {}
    before: tuple[str, ...] = ()
    source: str = HELLO
    large: str = ""


TWICE = HELLO.replace("    @step", "    @kubernetes\n    @step", 1).replace("step\n", "kubernetes, step\n", 1)

AT_START = {
    "no store": Case(
        ("no object store that both", "METAFLOW_DATASTORE_SYSROOT_S3"), env={"METAFLOW_DATASTORE_SYSROOT_S3": None}
    ),
    "two stores": Case(("several object stores", "s3, gs"), env={"METAFLOW_DATASTORE_SYSROOT_GS": "gs://b/x"}),
    "local store": Case(("local datastore cannot be reached",), before=("--datastore=local",)),
    "no bucket": Case(("no-such-bucket-of-ours",), env={"METAFLOW_DATASTORE_SYSROOT_S3": "s3://no-such-bucket-of-ours/x"}),
    "no server": Case(("cannot be reached", "kubectl cluster-info"), env={"KUBECONFIG": "closed.yaml"}),
    "no kubeconfig": Case(("nowhere.yaml does not exist", "KUBECONFIG"), env={"KUBECONFIG": "nowhere.yaml"}),
    "kubeconfig without sense": Case(("bad.yaml",), env={"KUBECONFIG": "bad.yaml"}),
    "expired token": Case(("does not accept our credentials",), env={"KUBECONFIG": "expired.yaml"}),
    "context": Case(("no Kubernetes context 'other'",), env={"METAFLOW_KUBERNETES_CONTEXT": "other"}),
    "namespace": Case(("no namespace 'nowhere'",), "kubernetes:namespace=nowhere"),
    "secret": Case(("no secret 'nothing'",), "kubernetes:secrets=nothing"),
    "service account": Case(("no service account 'nobody'",), "kubernetes:service_account=nobody"),
    "memory": Case(
        ("start, end", "9999999 MB of memory is more than any node has", "the largest, '"),
        "kubernetes:memory=9999999",
        {"METAFLOW_PREFLIGHT": "fail"},
    ),
    "gpus": Case(
        ("5 nvidia.com/gpu are more", "has 4 nvidia.com/gpu"), "kubernetes:gpu=5", {"METAFLOW_PREFLIGHT": "fail"}
    ),
    "preflight mode": Case(("'nonsense'", "off, warn, fail"), env={"METAFLOW_PREFLIGHT": "nonsense"}),
    "queue": Case(("queue", "'no-queue'"), "batch:queue=no-queue"),
    "role": Case(("role", "nobody"), "batch:iam_role=arn:aws:iam::123456789012:role/nobody"),
    "no server of Batch": Case(("127.0.0.1:9",), "batch", {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}),
    "key of kubernetes": Case(("memroy", "memory"), "kubernetes:memroy=5"),
    "key of batch": Case(("queeu", "queue"), "batch:queeu=x"),
    "value": Case(("memory", "lots"), "kubernetes:memory=lots"),
    "backend": Case(("kubernets", "kubernetes"), "kubernets"),
    "large package": Case(
        ("large.py", "METAFLOW_CODE_PACKAGE_LIMIT"), env={"METAFLOW_CODE_PACKAGE_LIMIT": "1"}, large="large.py"
    ),
    "both backends": Case(("kubernetes", "batch", "start"), "batch", source=TWICE),
}  # fmt: skip


LITTLE = {"kubernetes": "kubernetes:cpu=0.05,memory=128,", "batch": "batch:memory=256,"}
OFF = {"METAFLOW_PREFLIGHT": "off"}
LATER = {
    "image of kubernetes": Case(
        ("image 'nowhere/none:1'", "cannot be pulled"), "kubernetes:image=nowhere/none:1,image_pull_policy=Never"
    ),
    "image of batch": Case(("could not start", "image"), "batch:image=nowhere/none:1"),
    "no python on kubernetes": Case(("no program `python`", "executable="), "kubernetes:executable=/nowhere/python"),
    "no python on batch": Case(("could not start", "image"), "batch:executable=/nowhere/python"),
    "namespace": Case(("namespace", "'nowhere'"), "kubernetes:namespace=nowhere", OFF),
    "queue": Case(("no-queue",), "batch:queue=no-queue", OFF),
    "pending deadline": Case(
        ("Warning: Steps start, end: 99999 cores", "has waited", "Insufficient cpu", "PENDING_DEADLINE"),
        "kubernetes:cpu=99999",
        {"METAFLOW_KUBERNETES_PENDING_DEADLINE": "4"},
    ),
}  # fmt: skip


def assert_told(finished: Finished, words: tuple[str, ...]) -> None:
    """Fail if it is not told, or told with a traceback, or something is left."""
    finished.failed()
    missing = [word for word in words if word not in finished.output]
    assert not missing, f"{missing} in:\n{finished.output}"
    assert "Traceback" not in finished.output
    assert "Millrace error" not in finished.output


def _kubeconfigs(site: RemoteSite) -> None:
    with open(os.environ["KUBECONFIG"]) as file:
        config = yaml.safe_load(file)
    server = config["clusters"][0]["cluster"]["server"]
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:9"
    site.write("closed.yaml", yaml.safe_dump(config))
    config["clusters"][0]["cluster"]["server"] = server
    config["users"][0]["user"] = {"token": "expired"}
    site.write("expired.yaml", yaml.safe_dump(config))
    site.write("bad.yaml", "clusters: [unfinished")


@pytest.mark.parametrize("name", AT_START)
def test_it_is_told_before_the_first_task(name: str, remote: RemoteSite) -> None:
    case = AT_START[name]
    _kubeconfigs(remote)
    if case.large:
        remote.write(case.large, f"# {random.Random(5).randbytes(1_500_000).hex()}\n")
    spec = SMALL.get(case.spec, case.spec)
    finished = remote.run_flow(case.source, *case.before, "run", "--with", spec, env=case.env, within=PATIENCE)
    assert_told(finished, case.words)
    assert "Task starts" not in finished.output
    if finished.run_id is not None:
        assert unfinished("kubernetes", "Hello", finished.run_id) + unfinished("batch", "Hello", finished.run_id) == []


def test_a_run_with_local_data_is_not_resumed_elsewhere(remote: RemoteSite) -> None:
    failing = HELLO.replace("        pass", "        1 / 0")
    first = remote.run_flow(failing, "run").failed()
    finished = remote.run_flow("flow.py", "resume", "--with", SMALL["kubernetes"], within=PATIENCE)
    assert_told(finished, (f"The data of the run {first.run_id} is in {remote.root}", "resume it on this machine"))


@pytest.mark.parametrize("name", LATER)
def test_it_is_told_of_the_task(name: str, remote: RemoteSite) -> None:
    case = LATER[name]
    backend, _, attributes = case.spec.partition(":")
    spec = f"{backend}:{attributes}" if "cpu=" in attributes else f"{LITTLE[backend]}{attributes}"
    finished = remote.run_flow(case.source, "run", "--with", spec, env=case.env, within=PATIENCE)
    assert_told(finished, case.words)
    assert "Step start (task-id 1) failed" in finished.output
    assert_no_jobs(backend, "Hello", finished.run_id)
