"""Whole runs on Kubernetes and AWS Batch while something goes wrong: each completes or ends named, and no job is left.

The faults are made where they hurt nobody else: by an operator's calls on the run's own pods and jobs, and by proxies
in front of the API server and the object store.
"""

from __future__ import annotations

import json
import os
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from metaflow import Task
from support import processes
from support.fault_proxy import Answer, FaultProxy
from support.remote_site import PATIENCE, Cluster, RemoteSite, assert_no_jobs, end_batch_job, unfinished
from support.site import Finished, Running
from support.wire import Wire

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif("METAFLOW_DATASTORE_SYSROOT_S3" not in os.environ, reason="the environment names no S3 store"),
]
on_kubernetes = pytest.mark.skipif("KUBECONFIG" not in os.environ, reason="the environment names no Kubernetes")
on_batch = pytest.mark.skipif("METAFLOW_BATCH_JOB_QUEUE" not in os.environ, reason="the environment names no AWS Batch")
both = pytest.mark.parametrize(
    "backend", [pytest.param("kubernetes", marks=on_kubernetes), pytest.param("batch", marks=on_batch)]
)
SMALL = {"kubernetes": "kubernetes:cpu=0.05,memory=128", "batch": "batch:cpu=1,memory=256"}


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[RemoteSite]:
    site = RemoteSite(tmp_path, "fork")
    yield site
    processes.assert_gone(site.mark)


def ticks(text: str) -> list[tuple[int, float]]:
    """Return number and moment of each line that a task has printed."""
    return [(int(number), float(moment)) for number, moment in re.findall(r"tick (\d+) (\d+\.\d+)", text)]


def assert_whole(text: str, until: float = 0.0) -> None:
    """Fail if the log of ticks has a gap, or ends more than a second before this moment."""
    seen = ticks(text)
    assert [number for number, _ in seen] == list(range(len(seen)))
    assert seen[-1][1] > until - 1.0


def started(running: Running, step: str) -> dict[int, str]:
    """Return where the tasks of a step run, by id."""
    found = re.findall(rf"/{step}/(\d+) \((?:pod|Batch job) ([^)]+)\)\] Task starts", running.stdout)
    return {int(task): where for task, where in found}


def first_attempt(finished: Finished, step: str, task: int) -> Task:
    finished.site.look()
    return Task(f"{finished.flow_name}/{finished.run_id}/{step}/{task}", attempt=0)


DISTURBED = """
import itertools, signal, sys, time
from metaflow import FlowSpec, Parameter, batch, catch, current, kubernetes, resources, retry, step

def work():
    "Print numbers until somebody puts an end to it."
    for number in itertools.count():
        print("tick", number, time.time(), flush=True)
        time.sleep(0.1)
        if number > 900:
            sys.exit("nobody came")

class Disturbed(FlowSpec):
    kept_fates = Parameter("kept", default="")
    lost_fates = Parameter("lost", default="")

    @step
    def start(self):
        self.next(self.open_kept, self.open_lost)

    @step
    def open_kept(self):
        self.fates = self.kept_fates.split(",")
        self.next(self.kept, foreach="fates")

    @retry(times=2, minutes_between_retries=0.02, only=["lost", "cancelled"])
    @kubernetes(cpu=0.05, memory=128)
    @step
    def kept(self):
        def leave(*_):
            self.saved = "its work"
            sys.exit(9)

        if current.retry_count == 0:
            signal.signal(signal.SIGTERM, leave)
            work()
        self.attempt = current.retry_count
        self.next(self.join_kept)

    @step
    def join_kept(self, inputs):
        self.attempts = {each.input: each.attempt for each in inputs}
        self.next(self.both)

    @step
    def open_lost(self):
        self.fates = self.lost_fates.split(",")
        self.next(self.lost, foreach="fates")

    @catch(var="failure")
    @resources(memory_limit="request")
    @kubernetes(cpu=0.05, memory=128)
    @step
    def lost(self):
        if self.input == "memory":
            for number in range(500):
                print("tick", number, time.time(), flush=True)
            hoard = [bytearray(10_000_000) for _ in range(100)]
        work()
        self.next(self.join_lost)

    @step
    def join_lost(self, inputs):
        self.failures = {each.index: str(each.failure) for each in inputs}
        self.next(self.both)

    @step
    def both(self, inputs):
        self.attempts, self.failures = inputs.join_kept.attempts, inputs.join_lost.failures
        self.next(self.end)

    @step
    def end(self):
        pass

if __name__ == "__main__":
    Disturbed()
"""


ENDS = {
    "evict": (Cluster.evict, {"preempted"}, "evicted"),
    # Kubernetes tells since 1.26 that a pod was taken away; one that was deleted otherwise, somebody has deleted.
    "delete": (Cluster.delete_pod, {"preempted", "cancelled"}, "deleted"),
    "delete at once": (Cluster.delete_pod_at_once, {"preempted", "cancelled"}, "deleted"),
    "delete the job": (Cluster.delete_job_of, {"cancelled"}, "somebody deleted its job"),
}


@on_kubernetes
def test_pods_that_are_taken_away(remote: RemoteSite) -> None:
    fates = {"kept": ["evict", "delete"], "lost": [*ENDS, "memory"]}
    given = [f"--{step}={','.join(fates[step])}" for step in fates]
    running = remote.start_flow(DISTURBED, "run", *given)
    processes.eventually(lambda: running.stdout.count("] tick 9 ") >= 7, "the pods work", within=120)
    cluster = Cluster()
    places = {step: sorted(started(running, step).items()) for step in fates}
    ended: dict[int, float] = {}
    for step in fates:
        for (task, pod), fate in zip(places[step], fates[step], strict=True):
            ended[task] = time.time()
            if fate in ENDS:
                ENDS[fate][0](cluster, pod)
    finished = running.wait(PATIENCE).succeeded()
    failures = finished.values("join_lost")["failures"]
    for step in fates:
        for number, ((task, _), fate) in enumerate(zip(places[step], fates[step], strict=True)):
            _, kinds, words = ENDS.get(fate, (None, {"memory"}, "lack of memory"))
            first = first_attempt(finished, step, task)
            assert_whole(first.stdout, ended[task] if fate in ENDS else 0.0)
            assert words in first.stderr
            assert first["saved"].data == "its work" if step == "kept" else "saved" not in first
            assert words in str(first.exception)
            assert json.loads(first.metadata_dict["failure"])["kind"] in kinds
            assert step == "kept" or words in failures[number]
    assert finished.values("join_kept")["attempts"] == {"evict": 1, "delete": 1}
    printed = remote.run_flow("flow.py", "logs", "--attempt", "0", f"{finished.run_id}/lost/{places['lost'][0][0]}")
    assert_whole(printed.succeeded().stdout, ended[places["lost"][0][0]])
    assert_no_jobs("kubernetes", "Disturbed", finished.run_id)


@on_batch
def test_batch_jobs_that_are_terminated(remote: RemoteSite) -> None:
    source = DISTURBED.replace("@kubernetes(cpu=0.05, memory=128)", "@batch(cpu=1, memory=256)")
    running = remote.start_flow(source, "run", "--kept=again", "--lost=never")
    processes.eventually(lambda: running.stdout.count("] tick 9 ") >= 2, "the jobs work", within=120)
    places = {**started(running, "kept"), **started(running, "lost")}
    moment = time.time()
    for job in places.values():
        end_batch_job(job, "by an operator")
    finished = running.wait(PATIENCE).succeeded()
    assert "by an operator" in finished.values("join_lost")["failures"][0]
    assert finished.values("join_kept")["attempts"] == {"again": 1}
    for step in ("kept", "lost"):
        (task,) = finished.run[step]
        first = first_attempt(finished, step, int(task.id))
        assert_whole(first.stdout, moment)
        assert "by an operator" in first.stderr
    assert_no_jobs("batch", "Disturbed", finished.run_id)


SIX = """
import os, time
from metaflow import FlowSpec, environment, step

class Six(FlowSpec):
    @step
    def start(self):
        self.numbers = list(range(6))
        self.next(self.work, foreach="numbers")

    @environment(vars={"LONG": os.environ.get("LONG", "1")})
    @step
    def work(self):
        print("at work on", self.input, flush=True)
        time.sleep(float(os.environ["LONG"]) if self.input % 2 else 1)
        self.square = self.input ** 2
        print("done with", self.input, flush=True)
        self.next(self.join)

    @step
    def join(self, inputs):
        self.squares = sorted(each.square for each in inputs)
        self.next(self.end)

    @step
    def end(self):
        print("squares", self.squares)

if __name__ == "__main__":
    Six()
"""


def assert_six(finished: Finished, backend: str) -> None:
    """Fail if the run, or the log of one of its tasks, is not as it should be, or a job is left."""
    assert finished.succeeded().values("join")["squares"] == [0, 1, 4, 9, 16, 25]
    for task in finished.run["work"]:
        assert task.stdout == f"at work on {task.index}\ndone with {task.index}\n"
    assert_no_jobs(backend, "Six", finished.run_id)


@on_kubernetes
def test_an_api_server_that_does_not_answer(remote: RemoteSite) -> None:
    """The tasks end meanwhile, which the object store tells; the next one waits."""
    path = os.environ["KUBECONFIG"]
    with open(path) as file:
        config = yaml.safe_load(file)
    cluster = config["clusters"][0]["cluster"]
    server = urlsplit(cluster["server"])
    with Wire(server.hostname or "", server.port or 443) as wire:
        cluster |= {"server": f"https://127.0.0.1:{wire.port}", "tls-server-name": server.hostname}
        remote.write("kubeconfig", yaml.safe_dump(config))
        running = remote.start_flow(
            SIX, "run", "--with", SMALL["kubernetes"], env={"KUBECONFIG": "kubeconfig", "LONG": "5"}
        )
        processes.eventually(lambda: len(started(running, "work")) == 6, "the tasks run", within=120)
        wire.hold()
        processes.eventually(lambda: running.stdout.count("Task done") == 7, "all of them end", within=60)
        processes.eventually(lambda: "has not taken the job yet" in running.stdout, "the join waits", within=60)
        wire.let_go()
        assert_six(running.wait(PATIENCE), "kubernetes")


def _reachable(proxy: FaultProxy) -> str:
    """Return the URL of a proxy as containers reach it: by that address of this machine which talks to the store."""
    store = proxy.upstream
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((store.hostname or "", store.port or 80))
        return proxy.url.replace("127.0.0.1", probe.getsockname()[0])


@on_kubernetes
def test_a_store_that_is_slow_and_overloaded(remote: RemoteSite) -> None:
    """For the launcher and for tasks: every fifth request is refused with 503, each answer is half a second late."""
    proxy = FaultProxy(os.environ["METAFLOW_S3_ENDPOINT_URL"], host="0.0.0.0")
    proxy.latency = 0.5
    slow_down = Answer(503, "SlowDown", "Please reduce your request rate.")
    proxy.fault = lambda number, method, path: slow_down if number % 5 == 4 else None
    try:
        url = _reachable(proxy)
        finished = remote.run_flow(
            SIX, "run", "--with", SMALL["kubernetes"], env={"METAFLOW_S3_ENDPOINT_URL": url}, within=PATIENCE
        )
        assert_six(finished, "kubernetes")
        assert len([each for each in proxy.seen() if each.status == 503]) > 10
    finally:
        proxy.go()


@both
def test_a_launcher_that_is_killed(backend: str, remote: RemoteSite) -> None:
    """Its jobs run on; they are found and ended, and the next run takes over what has finished."""
    running = remote.start_flow(SIX, "run", "--with", SMALL[backend], env={"LONG": "600"})
    processes.eventually(lambda: running.stdout.count("Task done") == 4, "half of them are done", within=120)
    processes.eventually(lambda: len(started(running, "work")) == 6, "the others run", within=60)
    running.process.kill()
    running.process.wait()
    run = running.run_id
    done = re.findall(r"/work/(\d+) \([^)]*\)\] Task done", running.stdout)
    left = sorted(set(started(running, "work")) - {int(task) for task in done})
    processes.eventually(lambda: len(unfinished(backend, "Six", str(run))) == 3, "those that are done end", within=60)
    listed = remote.run_flow("flow.py", backend, "list").succeeded()
    assert sorted(re.findall(rf"^Six/{run}/work/(\d+) \(attempt 0\)", listed.stdout, re.M)) == [str(n) for n in left]
    assert "3 unfinished jobs" in listed.output
    killed = remote.run_flow("flow.py", backend, "kill").succeeded()
    assert "3 unfinished jobs" in killed.output
    processes.eventually(lambda: not unfinished(backend, "Six", str(run)), "they end", within=60)
    resumed = remote.start_flow("flow.py", "resume", "--with", SMALL[backend], "--run-id-file", "resumed")
    finished = resumed.wait(PATIENCE).succeeded()
    assert finished.output.count("taken over") >= 4
    assert "squares [0, 1, 4, 9, 16, 25]" in finished.output
    assert_no_jobs(backend, "Six", (remote.directory / "resumed").read_text().strip())


LATENCY = """
import time
from metaflow import FlowSpec, step

class Ticking(FlowSpec):
    @step
    def start(self):
        for number in range(12):
            print("tick", number, time.time())
            time.sleep(0.5)
        self.next(self.end)

    @step
    def end(self):
        pass

if __name__ == "__main__":
    Ticking()
"""


@pytest.mark.alone
@both
def test_lines_are_on_the_console_within_two_seconds(backend: str, remote: RemoteSite) -> None:
    running = remote.start_flow(LATENCY, "run", "--with", SMALL[backend])
    seen: dict[int, float] = {}

    def look() -> bool:
        for number, printed in ticks(running.stdout):
            seen.setdefault(number, time.time() - printed)
        return running.process.poll() is not None

    processes.eventually(look, "the run ends", within=PATIENCE)
    running.wait().succeeded()
    assert sorted(seen) == list(range(12))
    assert max(seen.values()) < 2.0, seen
