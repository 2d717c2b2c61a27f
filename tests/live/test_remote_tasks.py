"""What a step can do, done remotely: odd tasks, all of them in one run, and a wide join.

The places are found by the environment (KUBECONFIG, AWS_*, METAFLOW_*).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import processes
from support.remote_site import PATIENCE, RemoteSite, assert_no_jobs

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif("METAFLOW_DATASTORE_SYSROOT_S3" not in os.environ, reason="the environment names no S3 store"),
]
NEEDED = {"kubernetes": "KUBECONFIG", "batch": "METAFLOW_BATCH_JOB_QUEUE"}


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[RemoteSite]:
    site = RemoteSite(tmp_path, "fork")
    yield site
    processes.assert_gone(site.mark)


ODDS = """
import os, signal, subprocess, sys, time
from metaflow import FlowSpec, IncludeFile, Parameter, batch, catch, current, environment
from metaflow import kubernetes, retry, step, timeout

class Odds(FlowSpec):
    text = IncludeFile("text", default="included.txt")
    number = Parameter("number", default=3)

    @step
    def start(self):
        self.large = os.urandom(50_000_000)
        self.kinds = ["facts", "chatty", "daemon", "large", "slow", "hard", "again"]
        self.next(self.meet, foreach="kinds")

    @kubernetes(cpu=0.05, memory=400)
    @environment(vars={"COLOUR": "blue"})
    @catch(var="failure")
    @timeout(seconds=10)
    @retry(times=1, minutes_between_retries=0.02)
    @step
    def meet(self):
        self.kind = self.input
        self.value = getattr(self, "do_" + self.input)()
        self.next(self.join)

    def do_facts(self):
        names = ["flow_name", "run_id", "step_name", "task_id", "retry_count", "username", "pathspec", "origin_run_id"]
        return {**{name: str(getattr(current, name)) for name in names},
                "colour": os.environ["COLOUR"], "number": self.number, "text": self.text, "tags": sorted(current.tags)}

    def do_chatty(self):
        for number in range(200_000):
            print(f"{number:099d}")

    def do_daemon(self):
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
        return "left alone"

    def do_large(self):
        return self.large[::-1]

    def do_slow(self):
        time.sleep(60)

    def do_hard(self):
        os.kill(os.getpid(), signal.SIGKILL)

    def do_again(self):
        if current.retry_count == 0:
            os._exit(3)
        return current.retry_count

    @step
    def join(self, inputs):
        self.failures = {each.kind: str(each.failure) for each in inputs if hasattr(each, "kind")}
        self.next(self.end)

    @step
    def end(self):
        pass

if __name__ == "__main__":
    Odds()
"""


@pytest.mark.parametrize("backend", sorted(NEEDED))
def test_odd_tasks(backend: str, remote: RemoteSite) -> None:
    if NEEDED[backend] not in os.environ:
        pytest.skip(f"the environment names no {backend} to test with")
    remote.write("included.txt", "included\n")
    source = ODDS if backend == "kubernetes" else ODDS.replace("@kubernetes(cpu=0.05,", "@batch(cpu=1,")
    finished = remote.run_flow(
        source, "run", "--tag", "odd", "--number", "4", "--max-log-size", "2", within=PATIENCE
    ).succeeded()
    run = finished.run
    tasks = {task.index: task for task in run["meet"]}
    facts, chatty, daemon, large, slow, hard, again = (tasks[index] for index in range(7))
    assert facts["value"].data == {
        "flow_name": "Odds",
        "run_id": run.id,
        "step_name": "meet",
        "task_id": facts.id,
        "retry_count": "0",
        "username": "tester",
        "pathspec": facts.pathspec,
        "origin_run_id": "None",
        "colour": "blue",
        "number": 4,
        "text": "included\n",
        "tags": ["odd"],
    }
    lines = chatty.stdout.splitlines()
    cut = next(place for place, line in enumerate(lines) if "--max-log-size" in line)
    assert lines[:cut] == [f"{number:099d}" for number in range(cut)]
    last = int(lines[-1])
    assert lines[cut + 1 :] == [f"{number:099d}" for number in range(last - (len(lines) - cut - 2), last + 1)]
    assert 19_990 <= len(lines) <= 20_001
    assert finished.stdout.count(f"/meet/{chatty.id} (") < 20_100
    assert daemon["value"].data == "left alone"
    (start,) = run["start"]
    assert large["value"].data == start["large"].data[::-1]
    assert "10 s" in str(slow["failure"].data)
    assert "SIGKILL" in str(hard["failure"].data)
    assert again["value"].data == 1
    assert_no_jobs(backend, "Odds", run.id)


WIDE = """
from metaflow import FlowSpec, kubernetes, step

class Wide(FlowSpec):
    @step
    def start(self):
        self.numbers = list(range(30))
        self.next(self.work, foreach="numbers")

    @kubernetes(cpu=0.01, memory=100)
    @step
    def work(self):
        self.square = self.input ** 2
        self.next(self.join)

    @kubernetes(cpu=0.05, memory=128)
    @step
    def join(self, inputs):
        self.squares = [each.square for each in inputs]
        self.next(self.end)

    @step
    def end(self):
        pass

if __name__ == "__main__":
    Wide()
"""


@pytest.mark.skipif("KUBECONFIG" not in os.environ, reason="the environment names no Kubernetes")
def test_a_join_of_thirty(remote: RemoteSite) -> None:
    finished = remote.run_flow(WIDE, "run", "--max-workers", "30", within=PATIENCE).succeeded()
    assert finished.values("join")["squares"] == [number**2 for number in range(30)]
    assert_no_jobs("kubernetes", "Wide", finished.run_id)
