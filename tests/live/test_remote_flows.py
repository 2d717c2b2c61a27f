"""Whole flows on Kubernetes and AWS Batch, in real containers: shapes, ends, logs, metadata, mixed runs.

The places are found by the environment (KUBECONFIG, AWS_ENDPOINT_URL, METAFLOW_*). Results are compared with those of
the same flow run locally; metadata are local, data in the object store that the environment names.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from support import processes
from support.certificates import certificate, tls_before
from support.founding import BIG_SUM, HYBRID_CLOUD, with_batch
from support.interpreter import PYTHON
from support.present import present
from support.remote_site import PATIENCE, RemoteSite
from support.site import Finished

PLACES = {
    "kubernetes": ("KUBECONFIG", "kubernetes:cpu=0.1,memory=256"),
    "batch": ("METAFLOW_BATCH_JOB_QUEUE", "batch:cpu=1,memory=256"),
}

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif("METAFLOW_DATASTORE_SYSROOT_S3" not in os.environ, reason="the environment names no S3 store"),
]


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[RemoteSite]:
    site = RemoteSite(tmp_path, "fork")
    yield site
    processes.assert_gone(site.mark)


@pytest.fixture(params=sorted(PLACES))
def backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if PLACES[name][0] not in os.environ:
        pytest.skip(f"the environment names no {name} to test with")
    return name


def run_on(site: RemoteSite, backend: str, flow: str, *args: str, **options: Any) -> Finished:
    return site.run_flow(flow, "run", "--with", PLACES[backend][1], *args, within=PATIENCE, **options)


def results(finished: Finished) -> dict[str, list[str]]:
    """Return what all tasks stored, by step."""
    return {
        step.id: sorted(
            repr(sorted((artifact.id, artifact.data) for artifact in task if artifact.id != "trail")) for task in step
        )
        for step in finished.run
    }


COMPOSED = """
import os

from metaflow import Config, FlowSpec, config_expr, resources, step
from teamdecorators import Sized, stamped


@Sized
class Composed(FlowSpec):
    config = Config("config", default="size.txt", parser="launcheronly.parse")

    @stamped
    @resources(memory=config_expr("config.size"))
    @step
    def start(self):
        self.seen = [os.environ["SIZE"], self.config.size, os.path.exists("size.txt")]
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Composed()
"""

TEAM = """
from metaflow import FlowMutator, user_step_decorator

from .words import WORD


@user_step_decorator
def stamped(step_name, flow, inputs=None, attributes=None):
    flow.stamps = [*getattr(flow, "stamps", []), f"{WORD} {step_name}"]
    yield


class Sized(FlowMutator):
    def mutate(self, mutable_flow):
        for _, mutable_step in mutable_flow.steps:
            mutable_step.add_decorator("environment", deco_kwargs={"vars": {"SIZE": str(mutable_flow.config.size)}})
"""


def test_configs_mutators_and_decorators_of_a_package_elsewhere(
    backend: str, remote: RemoteSite, tmp_path: Path
) -> None:
    """The config's file and its parser stay here; the decorators' package goes along."""
    for name, text in (
        ("shared/teamdecorators/__init__.py", TEAM),
        ("shared/teamdecorators/words.py", 'WORD = "by team:"\n'),
        ("here/launcheronly.py", "def parse(text):\n    return {'size': int(text)}\n"),
    ):
        path = tmp_path / "elsewhere" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    remote.write("size.txt", "300")
    found = [str(tmp_path / "elsewhere" / name) for name in ("shared", "here")]
    words = ("--with", "teamdecorators.stamped")
    flow = remote.write("composed.py", COMPOSED)
    finished = run_on(remote, backend, str(flow), *words, env={"PYTHONPATH": os.pathsep.join(found)}).succeeded()
    assert finished.task("start").data.seen == ["300", 300, False]
    assert finished.data.stamps == ["by team: start", "by team: end"]


ADDING = """
import os

from metaflow import FlowSpec, StepMutator, current, package_sources, project, step
from metaflow.packaging_sys import ContentType


class Model(StepMutator):
    def add_to_package(self):
        yield os.path.abspath("model.bin"), "models/model.bin", ContentType.USER_CONTENT
        yield "model.bin", "added_module.py"


@project(name="shop")
@package_sources(["../src/forecasting", ("../src/data", "vendor/data")], suffixes=[".py", ".json"])
class AddingFlow(FlowSpec):
    @Model
    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        import importlib

        self.found = importlib.import_module("forecasting").FOUND
        self.module = importlib.import_module("added_module").FOUND
        self.files = [open(name).read() for name in ("vendor/data/x.json", "models/model.bin")]
        self.place = [current.project_flow_name, current.is_production, current.is_user_branch]


if __name__ == "__main__":
    AddingFlow()
"""


def test_what_decorators_add_to_package_and_run(backend: str, remote: RemoteSite) -> None:
    remote.write("model.bin", "FOUND = 'module'\n")
    for name, text in (("forecasting/__init__.py", "FOUND = 'package'\n"), ("data/x.json", "{}")):
        path = remote.directory / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (remote.directory / "flows").mkdir()
    flow = remote.write("flows/adding.py", ADDING)
    words = ("--branch", "x", "--production", "run", "--with", PLACES[backend][1])
    finished = remote.run_flow(str(flow), *words, within=PATIENCE).succeeded()
    end = finished.values("end")
    assert (end["found"], end["module"]) == ("package", "module")
    assert end["files"] == ["{}", "FOUND = 'module'\n"]
    assert end["place"] == ["shop.prod.x.AddingFlow", True, False]
    assert {"project:shop", "project_branch:prod.x"} <= set(finished.task("end").system_tags)


@pytest.mark.parametrize("flow", ["linear", "branches", "foreach", "nested", "switch", "recursion", "parameters"])
def test_a_remote_run_has_the_results_of_a_local_one(flow: str, backend: str, remote: RemoteSite) -> None:
    remote.write("included.txt", "included\n")
    numpy = {"METAFLOW_DEFAULT_CONTAINER_IMAGE": f"{os.environ['METAFLOW_DEFAULT_CONTAINER_IMAGE']}-numpy"}
    local = remote.run_flow(f"{flow}.py", "run").succeeded()
    away = run_on(remote, backend, f"{flow}.py", env=numpy if flow == "foreach" else None).succeeded()
    assert results(away) == results(local)
    for step in away.run:
        for task in step:
            assert present(task.finished_at) >= task.created_at
            assert task.metadata_dict["ds-type"] == "s3"


def test_a_remote_task_plans_the_flow_as_its_launcher_has(backend: str, remote: RemoteSite) -> None:
    planned = run_on(remote, backend, "planned.py", "--without", "retry").succeeded().values("end")["decorators"]
    assert [decorator["name"] for decorator in planned["start"]] == ["environment", backend]


@pytest.mark.parametrize("how", ["default", "option"])
def test_the_datastore_that_was_named(how: str, backend: str, remote: RemoteSite) -> None:
    env = {"METAFLOW_DEFAULT_DATASTORE": "s3" if how == "default" else None, "METAFLOW_DATASTORE_SYSROOT_GS": "gs://x"}
    option = ["--datastore=s3"] if how == "option" else []
    words = [*option, "run", "--with", PLACES[backend][1]]
    remote.run_flow("linear.py", *words, within=PATIENCE, env=env).succeeded()


FATES = """
import os, signal, sys, time
from metaflow import FlowSpec, catch, current, retry, step, timeout

class Fates(FlowSpec):
    @step
    def start(self):
        self.fates = ["fine", "raised", "exits", "vanishes", "crashes", "is killed", "takes long"]
        self.next(self.meet, foreach="fates")

    @catch(var="failure")
    @timeout(seconds=6)
    @step
    def meet(self):
        self.before = self.input
        print("about to meet", self.input)
        print("to stderr", file=sys.stderr)
        match self.input:
            case "raised":
                raise ValueError("on purpose")
            case "exits":
                sys.exit("no more")
            case "vanishes":
                os._exit(7)
            case "crashes":
                os.kill(os.getpid(), signal.SIGSEGV)
            case "is killed":
                os.kill(os.getpid(), signal.SIGKILL)
            case "takes long":
                time.sleep(60)
        self.fine = True
        self.next(self.join)

    @step
    def join(self, inputs):
        self.failures = {each.input: str(each.failure) if getattr(each, "failure", None) else None for each in inputs}
        self.next(self.again)

    @retry(times=2, minutes_between_retries=0)
    @step
    def again(self):
        self.attempt = current.retry_count
        if current.retry_count < 1:
            raise RuntimeError("the first time")
        self.next(self.end)

    @step
    def end(self):
        pass

if __name__ == "__main__":
    Fates()
"""


def test_every_end_is_told_caught_or_tried_again(backend: str, remote: RemoteSite) -> None:
    finished = run_on(remote, backend, FATES).succeeded()
    values = finished.values("join")["failures"]
    assert values.pop("fine") is None
    expected = {
        "raised": "on purpose",
        "exits": "no more",
        "vanishes": "exit status 7",
        "crashes": "SIGSEGV",
        "is killed": "SIGKILL",
        "takes long": "imeout",
    }
    assert {fate: words in (values[fate] or "") for fate, words in expected.items()} == dict.fromkeys(expected, True), (
        values
    )
    assert finished.values("again")["attempt"] == 1
    for task in finished.run["meet"]:
        fate = task["before"].data if "before" in task else None
        if fate is not None:
            assert f"about to meet {fate}" in task.stdout
            assert "to stderr" in task.stderr


@pytest.mark.parametrize("where", ["at the top", "in the step"])
def test_an_import_that_fails_in_the_container(where: str, backend: str, remote: RemoteSite) -> None:
    top, within = ("import numpy", "pass") if where == "at the top" else ("", "import numpy")
    flow = f"""
    from metaflow import FlowSpec, step
    {top}

    class Imports(FlowSpec):
        @step
        def start(self):
            {within}
            self.next(self.end)

        @step
        def end(self):
            pass

    if __name__ == "__main__":
        Imports()
    """
    finished = run_on(remote, backend, flow).failed()
    image = os.environ["METAFLOW_DEFAULT_CONTAINER_IMAGE"]
    hint = f"neither the image '{image}' nor the code package has a module 'numpy'"
    assert finished.stdout.count(hint) == 1
    assert "/millrace-" not in finished.output
    failure = present(finished.task("start").failure)
    assert str(failure.values["where"]).startswith("flow.py:")
    assert failure.message == "ModuleNotFoundError: No module named 'numpy'"
    assert present(failure.hint).startswith(hint)
    status = remote.run_flow("flow.py", "status").output
    assert "ModuleNotFoundError: No module named 'numpy'" in status
    assert hint in status


@pytest.mark.parametrize("setting", ["METAFLOW_S3_VERIFY_CERTIFICATE", "AWS_CA_BUNDLE"])
def test_a_private_authority_before_the_store(setting: str, backend: str, remote: RemoteSite) -> None:
    store = urlsplit(os.environ["METAFLOW_S3_ENDPOINT_URL"])
    host, port = str(store.hostname), store.port or 80
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((host, port))
        here = probe.getsockname()[0]  # this machine, as those beside the store see it
    authority = certificate(remote.home / "authority.pem", is_authority=True)
    shown = certificate(remote.home / "server.pem", here, authority)
    with tls_before(host, port, shown, "0.0.0.0") as secure:
        env = {"METAFLOW_S3_ENDPOINT_URL": f"https://{here}:{secure}", setting: str(authority.path)}
        finished = run_on(remote, backend, "linear.py", env=env).succeeded()
    assert finished.run.successful


# As Metaflow 2.19 records them.
FACTS_OF_METAFLOW: dict[str | None, set[str]] = {
    None: set(),
    "kubernetes": {
        "kubernetes-pod-name", "kubernetes-pod-namespace", "kubernetes-pod-id", "kubernetes-pod-service-account-name",
        "kubernetes-node-ip",
    },
    "batch": {"aws-batch-job-id", "aws-batch-job-attempt", "aws-batch-jq-name", "aws-batch-ce-name"},
}  # fmt: skip

OOM = """
from metaflow import FlowSpec, resources, step

class TooMuch(FlowSpec):
    @step
    def start(self):
        burst = [bytearray(10_000_000) for _ in range(40)]
        self.next(self.fill)

    @resources(memory=150, memory_limit=200)
    @step
    def fill(self):
        print("filling", flush=True)
        self.data = [bytearray(10_000_000) for _ in range(100)]
        self.next(self.end)

    @step
    def end(self):
        pass

if __name__ == "__main__":
    TooMuch()
"""


@pytest.mark.skipif("KUBECONFIG" not in os.environ, reason="the environment names no Kubernetes to test with")
def test_a_step_may_use_more_memory_than_it_requests_up_to_its_limit(remote: RemoteSite) -> None:
    finished = remote.run_flow(OOM, "run", "--with", "kubernetes:cpu=0.1,memory=100", within=PATIENCE).failed()
    assert "lack of memory" in finished.output
    assert "200 MB" in finished.output
    assert "@resources(memory=" in finished.output
    (task,) = finished.run["fill"]
    assert "filling" in task.stdout
    assert "lack of memory" in task.stderr
    assert task.metadata_dict["attempt_ok"] == "False"


@pytest.mark.skipif(
    not {"KUBECONFIG", "METAFLOW_BATCH_JOB_QUEUE"} <= set(os.environ), reason="the environment names not both places"
)
def test_the_hybrid_flow_of_the_documentation(remote: RemoteSite) -> None:
    """As printed there, with `batch` imported; the node of the stack may be smaller than 16 GB asks for."""
    for country in ("US", "BR", "IT"):
        remote.write(f"{country}.data", f"data of {country}\n")
    finished = remote.run_flow(with_batch(HYBRID_CLOUD), "run", within=PATIENCE).succeeded()
    assert "produced best results" in finished.stdout
    run = finished.run
    (end,) = run["end"]
    best = max(run["train"], key=lambda task: task["score"].data)
    assert end["best"].data in {
        task["country"].data for task in run["train"] if task["score"].data == best["score"].data
    }
    for step, kind in {"start": None, "prepare_data": "kubernetes", "train": "batch", "join": "batch"}.items():
        for task in run[step]:
            facts = set(task.metadata_dict)
            assert any(name.startswith(kind or "kubernetes") for name in facts) == (kind is not None), (step, facts)
            assert facts >= FACTS_OF_METAFLOW[kind]
    for task in run["prepare_data"]:
        assert "processing a shard of data data of" in task.stdout


def test_a_remote_run_that_failed_is_resumed(backend: str, remote: RemoteSite) -> None:
    flow = """
    import os
    from metaflow import FlowSpec, environment, step

    class Twice(FlowSpec):
        @step
        def start(self):
            self.x = 1
            print("x is", self.x)
            self.next(self.work)

        @environment(vars={"LUCK": os.environ.get("LUCK", "bad")})
        @step
        def work(self):
            open("luck.txt" if os.environ["LUCK"] == "bad" else "flow.py").close()
            self.y = self.x + 1
            self.next(self.end)

        @step
        def end(self):
            print("y is", self.y)

    if __name__ == "__main__":
        Twice()
    """
    remote.write("luck.txt", "bad")
    first = run_on(remote, backend, flow).failed()
    assert "FileNotFoundError: [Errno 2] No such file or directory: 'luck.txt'" in first.output
    assert first.output.count("--package-suffixes=.txt") == 2  # in the log, and at the end
    assert "/millrace-" not in first.output + present(first.task("work").stderr)
    assert re.search(r"^ +flow.py:\d+$", first.output, re.MULTILINE)
    second = remote.run_flow("flow.py", "resume", "--with", PLACES[backend][1], within=PATIENCE, env={"LUCK": "good"})
    second.succeeded()
    assert "y is 2" in second.output
    taken_over = re.search(r"\[(\d+)/start/1\] Task taken over from", second.output)
    assert taken_over is not None
    assert replace(second, run_id=taken_over[1]).task("start").stdout == "x is 1\n"


def test_an_interrupt_ends_the_jobs(backend: str, remote: RemoteSite) -> None:
    flow = """
    import time
    from metaflow import FlowSpec, step

    class Sleepy(FlowSpec):
        @step
        def start(self):
            print("sleeping", flush=True)
            time.sleep(600)
            self.next(self.end)

        @step
        def end(self):
            pass

    if __name__ == "__main__":
        Sleepy()
    """
    running = remote.start_flow(flow, "run", "--with", PLACES[backend][1])
    processes.eventually(lambda: "sleeping" in running.stdout, "the task sleeps", within=60)
    running.interrupt(group=True)
    finished = running.wait(60)
    assert finished.returncode == 130
    listed = remote.run_flow("flow.py", backend, "list", within=60)
    assert listed.output.startswith("No unfinished")


def test_the_code_of_a_flow_that_is_started_as_a_module_comes_along(backend: str, remote: RemoteSite) -> None:
    remote.write("company/__init__.py", "")
    remote.write("company/helpers/words.py", "WORD = 'found'\n")
    elsewhere = remote.write("elsewhere/sibling.py", "WORD = 'sibling found'\n").parent
    flow = """
    from metaflow import FlowSpec, step
    from ..helpers.words import WORD
    import sibling

    class Imports(FlowSpec):
        @step
        def start(self):
            self.words = [WORD, sibling.WORD, __spec__.name]
            self.next(self.end)

        @step
        def end(self):
            print(self.words)

    if __name__ == "__main__":
        Imports()
    """
    shutil.copytree(elsewhere, remote.home / "monorepo")
    shutil.rmtree(elsewhere)
    remote.write("company/team/flow.py", flow)
    command = ["sh", "-c", f'shift; exec {PYTHON} -m company.team.flow "$@"', "sh"]
    env = {"PYTHONPATH": str(remote.home / "monorepo")}
    finished = run_on(remote, backend, "company/team/flow.py", command=command, env=env).succeeded()
    assert finished.values("start")["words"] == ["found", "sibling found", "company.team.flow"]


SMALL_SUM = BIG_SUM.replace("(80000, 80000)", "(2000, 2000)").replace("memory=60000, cpu=1", "memory=512, cpu=0.2")


def test_the_big_sum_of_the_documentation(backend: str, remote: RemoteSite) -> None:
    """As printed there, with a matrix that fits; then with the step's own decorator, mixed with a local step."""
    numpy = {"METAFLOW_DEFAULT_CONTAINER_IMAGE": f"{os.environ['METAFLOW_DEFAULT_CONTAINER_IMAGE']}-numpy"}
    finished = run_on(remote, backend, SMALL_SUM, env=numpy).succeeded()
    assert "Computing it took" in finished.stdout
    (start,) = finished.run["start"]
    assert 1.9e6 < start["sum"].data < 2.1e6
    own = SMALL_SUM.replace("@resources", f"@{backend}").replace("step, resources", f"step, {backend}")
    if backend == "batch":
        own = own.replace("cpu=0.2", "cpu=1")
    mixed = remote.run_flow(own, "run", env=numpy, within=PATIENCE).succeeded()
    (start,), (end,) = mixed.run["start"], mixed.run["end"]
    assert any(name.startswith(backend) for name in start.metadata_dict)
    assert not any(name.startswith(backend) for name in end.metadata_dict)
    assert "The sum is" in end.stdout
