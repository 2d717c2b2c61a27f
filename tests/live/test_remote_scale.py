"""Many remote tasks in one launcher: its memory, its work while nothing happens, and that all results are right.

60 at once on the cluster that the environment names, whose nodes have to take as many small pods (MILLRACE_WIDE_PODS
has another number: on two cores each costs seconds); and 1,000 in flight on a simulated API server, where memory and
idle work would show first, and which needs nothing but this machine.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from metaflow.store.local import LocalStorage
from metaflow.store.logs.lines import format_line
from support import processes
from support.remote_site import RemoteSite

WIDTH = int(os.environ.get("MILLRACE_WIDE_PODS", "60"))
PATIENCE = 1500.0
MOST_MB = 200.0

pytestmark = [pytest.mark.live, pytest.mark.alone]

WIDE = """
from metaflow import FlowSpec, step
from metaflow.settings.values import Values

class Wide(FlowSpec):
    @step
    def start(self):
        self.numbers = range(WIDTH)
        self.next(self.work, foreach="numbers")

    @step
    def work(self):
        print("line of", self.input)
        self.square = self.input * self.input
        self.next(self.join)

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


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[RemoteSite]:
    site = RemoteSite(tmp_path, "fork")
    yield site
    processes.assert_gone(site.mark)


def resident_mb(pids: list[int]) -> float:
    """Return what processes have in memory together; pages that they share count for each."""
    total = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))
    return total / 1e6


@pytest.mark.skipif(
    not {"KUBECONFIG", "METAFLOW_DATASTORE_SYSROOT_S3"} <= set(os.environ),
    reason="the environment names no Kubernetes with an S3 store",
)
def test_many_pods_at_once_in_one_small_launcher(remote: RemoteSite) -> None:
    words = ("--max-workers", str(WIDTH), "--max-num-splits", str(WIDTH), "--with", "kubernetes:cpu=0.005,memory=90")
    running = remote.start_flow(WIDE.replace("WIDTH", str(WIDTH)), "run", *words)
    peak = 0.0
    while True:
        peak = max(peak, resident_mb([process.pid for process in processes.marked(remote.mark)]))
        try:
            running.process.wait(0.5)
            break
        except subprocess.TimeoutExpired:
            continue
    finished = running.wait(PATIENCE).succeeded()
    assert finished.values("join")["squares"] == [number * number for number in range(WIDTH)]
    assert {task.stdout for task in finished.run["work"]} == {f"line of {number}\n" for number in range(WIDTH)}
    assert peak < MOST_MB
    assert remote.run_flow("flow.py", "kubernetes", "list", within=60).output.startswith("No unfinished")
    print(f"peak memory of the launcher: {peak:.0f} MB")


IN_FLIGHT, SEGMENTS = 1000, 6

MANY = """
import asyncio, os, sys, time
from metaflow.compute.command import TaskCommand
from metaflow.compute.kubernetes.backend import KubernetesBackend
from metaflow.compute.protocol import Output, Started, TaskRequest
from metaflow.compute.jobs.launcher import RemoteLauncher, RunLabels
from metaflow.compute.resources import ResourceRequest
from metaflow.settings.values import Values
from metaflow.settings.kubeconfig import Cluster
from metaflow.store.local import LocalStorage

address, root, count, lines = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
SECONDS = 10.0

def peak_mb():
    # getrusage would also count the process that started this one, before it became another program
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024 / 1e6

async def main():
    started, printed, ready = set(), 0, asyncio.Event()
    def hear(report):
        nonlocal printed
        if isinstance(report, Started):
            started.add(report.task)
        elif isinstance(report, Output):
            printed += len(report.lines)
        if len(started) == count and printed == lines:
            ready.set()
    backend = KubernetesBackend(Values({}), cluster=Cluster(address, "the test"))
    launcher = RemoteLauncher(backend, LocalStorage(root), RunLabels("Many", "1", "ann"), lambda: [], {})
    await launcher.open(hear)
    request = ResourceRequest("kubernetes", image="python:3.12")
    command = TaskCommand("flow.py", "flow.py", ("step", "work", "--run-id", "1"), {})
    for task in range(count):
        launcher.submit(TaskRequest(task, "work", 0, command, request))
    await ready.wait()
    begin = time.process_time()
    await asyncio.sleep(SECONDS)
    busy = (time.process_time() - begin) / SECONDS
    print(busy, peak_mb(), flush=True)
    os._exit(0)

asyncio.run(main())
"""


def test_a_thousand_in_flight_in_one_small_idle_launcher(tmp_path: Path) -> None:
    """All pods run, each has printed some lines that are still in segments, and nothing happens any more."""
    storage = LocalStorage(str(tmp_path))
    for task in range(IN_FLIGHT):
        line = format_line(b"a line", 1000.0, f"{task:012x}", b"task")
        prefix = f"Many/1/_live/{task}.0.stdout"
        storage.put([(f"{prefix}.{number * len(line):012d}", line) for number in range(SEGMENTS)])
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-m", "support.kubernetes_server"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            address = server.stdout.readline().strip()
            words = (address, str(tmp_path), str(IN_FLIGHT), str(IN_FLIGHT * SEGMENTS))
            done = subprocess.run(
                [sys.executable, "-c", MANY, *words], capture_output=True, text=True, timeout=300, env=environment
            )
        finally:
            server.stdin.close()
    assert done.returncode == 0, done.stderr
    busy, peak = map(float, done.stdout.split())
    print(f"{busy:.1%} of a core, {peak:.0f} MB at the peak")
    assert busy < 0.1, "of a core, while nothing happens"
    assert peak < MOST_MB
