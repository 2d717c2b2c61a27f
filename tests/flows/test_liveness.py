"""A run whose process is gone does not look alive: what the client and `status` say of runs that live, end and die."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from support import processes
from support.present import present
from support.site import Running, Site

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

FLOW = """
import os, time
from metaflow import FlowSpec, Parameter, step

class LiveFlow(FlowSpec):
    how = Parameter("how", default="wait")

    @step
    def start(self):
        self.next(self.work)

    @step
    def work(self):
        open("at-work", "w").close()
        while self.how == "wait" and not os.path.exists("go-on"):
            time.sleep(0.01)
        if self.how == "fail":
            raise ValueError("no good")
        self.next(self.end)

    @step
    def end(self):
        pass

if __name__ == "__main__":
    LiveFlow()
"""


def at_work(site: Site) -> Running:
    """Start a run and wait until its second step runs."""
    running = site.start_flow(FLOW, "run")
    processes.eventually((site.directory / "at-work").exists, "the step runs")
    return running


def lease(running: Running) -> Path:
    return running.site.root / "LiveFlow" / str(running.run_id) / "_meta" / "lease.json"


def status(running: Running) -> str:
    """Return what the command says of the run."""
    return running.site.run_flow(running.flow_file.name, "status", str(running.run_id)).succeeded().stdout


def test_a_run_that_lives_and_ends(one_site: Site) -> None:
    running = at_work(one_site)
    run = one_site.flow("LiveFlow")[str(running.run_id)]
    assert (run.status, run.finished, run.successful, run.failure) == ("running", False, False, None)
    assert present(run["work"].task).status == "running"
    assert "running." in status(running)
    (one_site.directory / "go-on").touch()
    running.wait().succeeded()
    assert (run.status, run.finished, run.successful, run.failure) == ("successful", True, True, None)
    assert "1 successful" in status(running)


def test_a_killed_engine(one_site: Site) -> None:
    running = at_work(one_site)
    running.process.kill()
    running.process.wait()
    processes.assert_gone(one_site.mark)
    run = one_site.flow("LiveFlow")[str(running.run_id)]
    assert (run.status, run.finished, run.successful) == ("lost", False, False)
    assert f"pid {running.process.pid} " in str(run.failure)
    assert present(run["start"].task).status == "successful"
    task = present(run["work"].task)
    assert (task.status, task.finished, present(task.failure).kind) == ("lost", False, "lost")
    said = status(running)
    assert "lost." in said
    assert f"resume --origin-run-id {run.id}" in said
    (one_site.directory / "go-on").touch()
    resumed = one_site.run_flow(running.flow_file.name, "resume", "--origin-run-id", run.id).succeeded()
    assert "Task taken over" in resumed.stdout
    assert present(one_site.flow("LiveFlow").latest_run).status == "successful"


def test_after_a_reboot_and_seen_from_another_host(one_site: Site) -> None:
    running = at_work(one_site)
    run = one_site.flow("LiveFlow")[str(running.run_id)]
    document = json.loads(lease(running).read_bytes())
    for changes, expected in (
        ({"boot": "another"}, "lost"),
        ({"host": "other"}, "running"),
        ({"pid": os.getpid()}, "lost"),  # its process id belongs to another process now
    ):
        lease(running).write_text(json.dumps({**document, "holder": {**document["holder"], **changes}}))
        assert run.status == expected, changes
    (one_site.directory / "go-on").touch()
    running.wait().succeeded()


def test_an_interrupted_run_and_a_failed_one(one_site: Site) -> None:
    running = at_work(one_site)
    running.process.send_signal(signal.SIGINT)
    running.wait().failed()
    run = one_site.flow("LiveFlow")[str(running.run_id)]
    assert run.status == "interrupted"
    assert "Ctrl-C" in str(run.failure)
    task = present(run["work"].task)
    assert (task.status, present(task.failure).kind) == ("failed", "cancelled")

    failed = one_site.run_flow(running.flow_file.name, "run", "--how", "fail").failed()
    run = failed.run
    assert run.status == "failed"
    assert str(run.failure) == "ValueError: no good"
    values = dict(present(run.failure).values)
    where = values.pop("where")
    assert values == {"step": "work", "task": "2", "cause": "user code"}
    assert str(where).startswith(f"{running.flow_file}:")
    told = one_site.run_flow(running.flow_file.name, "status").succeeded().stdout
    assert all(f"    ValueError: no good\n    {where}\n" in text for text in (told, failed.stderr))


def test_status_of_nothing(one_site: Site) -> None:
    finished = one_site.run_flow(FLOW, "status").failed()
    assert "no run" in finished.stderr
    one_site.run_flow(FLOW, "run", "--how", "fail").failed()
    finished = one_site.run_flow(FLOW, "status", "12").failed()
    assert "There is no run 12" in finished.stderr
