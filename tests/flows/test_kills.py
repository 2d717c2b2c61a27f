"""`kill -9` and Ctrl-C at any moment: nothing lives on, nothing half-written is readable, the client tells the truth.

The moments are drawn from a seed, from before the first task to after the last; MILLRACE_TEST_KILLS sets how many.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

from support import processes
from support.present import present
from support.processes import eventually
from support.site import Running, Site
from support.soundness import assert_sound, faults

pytestmark = pytest.mark.ours

ROUNDS = int(os.environ.get("MILLRACE_TEST_KILLS", "3"))
MOMENTS = [*(("fork", seed) for seed in range(ROUNDS)), *(("exec", seed) for seed in range(ROUNDS)[::3])]
"""Ways to make a task, and seeds."""

BUSY = """
    import os
    import time
    from metaflow import FlowSpec, step

    class BusyFlow(FlowSpec):
        @step
        def start(self):
            self.items = list(range(16))
            self.next(self.work, foreach="items")

        @step
        def work(self):
            print("begin", flush=True)
            self.noise = os.urandom(1_200_000)
            self.text = "compressible " * 10_000 + str(self.input)
            time.sleep(0.02)
            self.result = self.input
            self.next(self.join)

        @step
        def join(self, inputs):
            self.total = sum(one.result for one in inputs)
            self.next(self.end)

        @step
        def end(self):
            pass

    if __name__ == "__main__":
        BusyFlow()
"""


def the_client_tells_the_truth(site: Site) -> None:
    """Everything that the client calls successful can be read; every run, step and task can be asked about."""
    for run in site.flow("BusyFlow"):
        assert run.finished == run.successful
        for step in run:
            for task in step:
                task.exception, task.stdout, task.stderr, task.finished_at, task.metadata_dict
                artifacts = {artifact.id: artifact.data for artifact in task}
                if task.successful:
                    assert task.finished
                    if step.id == "work":
                        assert artifacts["text"].endswith(str(artifacts["result"]))
                        assert len(artifacts["noise"]) == 1_200_000
        if run.successful:
            assert present(run.data).total == sum(range(16))


def tasks_of(running: Running) -> list[processes.Process]:
    """Return the living processes that are neither the engine nor a zygote nor its keeper."""
    mark = running.site.mark
    makers = [*processes.keepers(mark), *processes.zygotes(mark)]
    others = {running.process.pid, *(process.pid for process in makers)}
    return [process for process in processes.marked(running.site.mark) if process.pid not in others]


def at_a_random_moment(running: Running, seed: int) -> None:
    """Wait until the run has come some way, drawn from the seed: a number of tasks that are done, and a bit."""
    draw = random.Random(seed)
    done, pause = draw.randrange(0, 18), draw.random() * 0.02
    root = running.site.root / "BusyFlow"
    if done:
        eventually(
            lambda: running.process.poll() is not None or len(list(root.glob("*/*/*/0.DONE.lock"))) >= done,
            f"{done} tasks are done",
        )
    time.sleep(pause)  # not to wait for anything: to come at any point of a task


@pytest.mark.parametrize(("mode", "seed"), MOMENTS)
def test_the_engine_is_killed(site: Site, seed: int) -> None:
    running = site.start_flow(BUSY, "run", "--max-workers", "4")
    at_a_random_moment(running, seed)
    running.process.kill()
    running.process.wait()
    processes.assert_gone(site.mark, within=2.0)
    assert_sound(site.root)
    if running.run_id is not None:
        the_client_tells_the_truth(site)


@pytest.mark.parametrize(("mode", "seed"), MOMENTS)
def test_the_process_that_makes_tasks_is_killed(site: Site, seed: int) -> None:
    running = site.start_flow(BUSY, "run", "--max-workers", "4")
    at_a_random_moment(running, 100 + seed)
    for zygote in processes.zygotes(site.mark):
        try:
            os.kill(zygote.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    finished = running.wait(within=20)
    processes.assert_gone(site.mark, within=2.0)
    assert_sound(site.root)
    the_client_tells_the_truth(site)
    run = finished.run
    assert run.successful == (finished.returncode == 0), finished.output
    if finished.returncode:
        assert finished.returncode == 1
        assert "Workflow failed." in finished.stdout
        assert "Traceback" not in finished.output


@pytest.mark.parametrize(("mode", "seed"), MOMENTS)
def test_a_task_is_killed(site: Site, seed: int) -> None:
    running = site.start_flow(BUSY, "run", "--max-workers", "4")
    at_a_random_moment(running, 200 + seed)
    victims = eventually(lambda: tasks_of(running) or running.process.poll() is not None, "a task lives")
    killed = False
    if isinstance(victims, list):
        try:
            os.kill(victims[0].pid, signal.SIGKILL)
            killed = True
        except ProcessLookupError:
            pass
    finished = running.wait(within=20)
    processes.assert_gone(site.mark, within=2.0)
    assert_sound(site.root)
    the_client_tells_the_truth(site)
    assert finished.run.successful == (finished.returncode == 0), finished.output
    if finished.returncode:
        assert killed
        assert "SIGKILL" in finished.output
        assert "Workflow failed." in finished.stdout


def _kills_at_moments(site: Site, variable: str) -> None:
    """Kill a process before each of some of its calls that change a file, spread over all that it makes."""
    site.run_flow("mined.py", "run", env={variable: "1000000"}).succeeded()
    last = max(map(int, (site.directory / "counts.txt").read_text().split()))
    assert last > 30
    moments = sorted({round(last * part / (4 * ROUNDS)) for part in range(4 * ROUNDS)} | {last - 1})
    for moment in moments:
        finished = site.run_flow("mined.py", "run", env={variable: str(moment)}, within=20)
        processes.assert_gone(site.mark, within=2.0)
        assert faults(site.root) == [], f"killed before call {moment} of {last}"
        _the_latest_mined_run_can_be_read(site)
        assert finished.returncode != 0 or finished.run.successful
    resumed = site.run_flow("mined.py", "resume")  # the last of them, wherever its engine was killed
    assert resumed.returncode == 0 or "it has nothing to resume" in resumed.stderr


def _the_latest_mined_run_can_be_read(site: Site) -> None:
    assert {run.status for run in site.flow("MinedFlow")} <= {"successful", "failed", "lost"}
    for step in next(iter(site.flow("MinedFlow"))):
        for task in step:
            task.exception, task.stdout, task.stderr, task.metadata_dict
            values = {artifact.id: artifact.data for artifact in task}
            if task.successful and step.id == "work":
                assert (len(values["noise"]), len(values["text"]), values["number"]) == (300_000, 650_000, 1)


def test_a_task_is_killed_at_each_part_of_its_end(one_site: Site) -> None:
    _kills_at_moments(one_site, "MOMENT_IN_TASK")


def test_the_engine_is_killed_at_each_part_of_its_life(one_site: Site) -> None:
    _kills_at_moments(one_site, "MOMENT_IN_ENGINE")


WAITING = """
    import os
    import pathlib
    import signal
    import time
    from metaflow import FlowSpec, Parameter, step

    class WaitingFlow(FlowSpec):
        deaf = Parameter("deaf", default=False)

        @step
        def start(self):
            self.items = range(3)
            self.next(self.wait, foreach="items")

        @step
        def wait(self):
            if self.deaf:
                for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                    signal.signal(number, signal.SIG_IGN)
            print("waiting", flush=True)
            pathlib.Path(f"waiting{self.index}").touch()
            time.sleep(300)
            self.next(self.join)

        @step
        def join(self, inputs):
            self.next(self.end)

        @step
        def end(self):
            pass

    if __name__ == "__main__":
        WaitingFlow()
"""


def waiting(site: Site, *words: str, grace: int = 1) -> Running:
    running = site.start_flow(WAITING, "run", *words, env={"METAFLOW_LOCAL_GRACE": str(grace)})
    eventually(lambda: len(list(site.directory.glob("waiting?"))) == 3, "three tasks wait")
    return running


@pytest.mark.parametrize("group", [True, False], ids=["terminal", "engine only"])
def test_ctrl_c(one_site: Site, group: bool) -> None:
    check_interrupted(one_site, group=group, deaf=False)


def test_ctrl_c_to_the_engine_of_deaf_tasks(one_site: Site) -> None:
    check_interrupted(one_site, group=False, deaf=True)


def test_ctrl_c_in_the_terminal_of_deaf_tasks(site: Site) -> None:
    check_interrupted(site, group=True, deaf=True)


def check_interrupted(site: Site, *, group: bool, deaf: bool) -> None:
    running = waiting(site, *(["--deaf", "true"] if deaf else []))
    begun = time.monotonic()
    running.interrupt(group=group)
    finished = running.wait(within=10)
    assert time.monotonic() - begun < 3.5
    processes.assert_gone(site.mark, within=0.5)
    assert finished.returncode == 130
    assert "resume" in finished.output
    assert "Traceback" not in finished.stderr
    assert_sound(site.root)
    run = finished.run
    assert not run.finished
    assert present(run["start"].task).successful
    for task in run["wait"]:
        assert not task.successful
        assert task.stdout.startswith("waiting\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_the_engine_is_asked_to_end(site: Site, number: signal.Signals) -> None:
    """As a service manager or a closing terminal does."""
    running = waiting(site)
    running.process.send_signal(number)
    finished = running.wait(within=10)
    processes.assert_gone(site.mark, within=0.5)
    assert finished.returncode != 0
    assert_sound(site.root)
    assert not finished.run.successful


def test_ctrl_c_twice(one_site: Site) -> None:
    """The first allows tasks a long time to end, the second does not."""
    running = waiting(one_site, "--deaf", "true", grace=1000)
    running.interrupt(group=True)
    eventually(lambda: "Interrupted (Ctrl-C)" in running.stdout, "the first is heard")
    time.sleep(0.6)  # not to wait for anything: to be told from the first
    running.interrupt(group=True)
    finished = running.wait(within=10)
    processes.assert_gone(one_site.mark, within=1.0)
    assert finished.returncode == 130


def test_ctrl_c_while_the_run_starts(one_site: Site) -> None:
    """Whatever the moment between the start of Python and the first task."""
    for pause in (0.03, 0.06, 0.1, 0.15):
        running = one_site.start_flow(BUSY, "run")
        time.sleep(pause)  # not to wait for anything: to come at any point of the start
        running.interrupt(group=True)
        finished = running.wait(within=10)
        processes.assert_gone(one_site.mark, within=1.0)
        assert finished.returncode != 0
        assert "src/metaflow" not in finished.stdout
    assert faults(one_site.root) == []


PARENT = """
    import pathlib
    import subprocess
    import time
    from metaflow import FlowSpec, step

    class ParentFlow(FlowSpec):
        @step
        def start(self):
            subprocess.Popen(["sleep", "300"])
            subprocess.Popen(["sleep", "300"], start_new_session=True)
            pathlib.Path("started").touch()
            time.sleep(300)
            self.next(self.end)

        @step
        def end(self):
            pass

    if __name__ == "__main__":
        ParentFlow()
"""


@pytest.mark.parametrize("victims", ["engine", "engine zygote", "engine keeper", "zygote keeper", "zygote", "keeper"])
def test_what_a_task_has_started_dies_whoever_is_killed(site: Site, victims: str) -> None:
    """Whoever is left cleans up."""
    running = site.start_flow(PARENT, "run")
    eventually((site.directory / "started").exists, "the task's children are there")
    makers = {"zygote": processes.zygotes, "keeper": processes.keepers}
    pids = [process.pid for name in victims.split()[::-1] if name in makers for process in makers[name](site.mark)]
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in [*pids, *([running.process.pid] if "engine" in victims else [])]:
            os.kill(pid, number)
    finished = running.wait(within=20)
    processes.assert_gone(site.mark, within=3.0)
    assert finished.returncode == (-signal.SIGKILL if "engine" in victims else 1)


def test_two_containers_share_one_directory(one_site: Site) -> None:
    """Their processes have the same numbers; the big artifacts of both are whole."""
    alone = ["unshare", "--pid", "--fork", "--mount-proc"]
    if shutil.which("unshare") is None or subprocess.run([*alone, "true"], capture_output=True).returncode:
        pytest.skip("needs the right to make pid namespaces")
    one_site.write("busy.py", BUSY)
    runs = [one_site.start_flow("busy.py", "run", command=[*alone, sys.executable]) for _ in range(2)]
    for run in runs:
        assert run.wait().succeeded().run.successful
    assert_sound(one_site.root)


def test_a_run_after_a_killed_run_is_none_the_worse(one_site: Site) -> None:
    running = waiting(one_site)
    running.process.kill()
    running.process.wait()
    processes.assert_gone(one_site.mark, within=2.0)
    finished = one_site.run_flow(BUSY, "run").succeeded()
    assert finished.data.total == sum(range(16))
    assert_sound(one_site.root)
