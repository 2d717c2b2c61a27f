"""Runs that a Python program carries out: as often as it likes, from wherever it likes, without a trace left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from metaflow import FlowSpec, Run, namespace
from metaflow.app.driver import StartedRun
from metaflow.app.options import RunOptions
from metaflow.app.run import FinishedRun, RunCallbacks, resume, run
from metaflow.app.workspace import Workspace
from metaflow.compute.command import FlowOptions
from metaflow.exception import CommandException
from support import processes
from support.site import Site
from support.sketch import flow_class

SOURCE = """
import os

from metaflow import FlowSpec, Parameter, current, retry, step


class Twice(FlowSpec):
    width = Parameter("width", default=lambda context: 2, type=int)

    @step
    def start(self):
        self.elements = list(range(self.width))
        self.next(self.work, foreach="elements")

    @retry(times=1)
    @step
    def work(self):
        self.attempt = current.retry_count
        if self.input == 1 and not os.path.exists("fine"):
            raise ValueError("not yet")
        self.next(self.join)

    @step
    def join(self, inputs):
        self.attempts = sorted(each.attempt for each in inputs)
        self.tags = sorted(current.tags)
        self.next(self.end)

    @step
    def end(self):
        print("attempts", self.attempts)


if __name__ == "__main__":
    Twice()
"""


@pytest.fixture
def twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[FlowSpec]]:
    """The flow, in a directory of its own that is the working directory; its processes are gone afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("METAFLOW_DATASTORE_SYSROOT_LOCAL", str(tmp_path))
    monkeypatch.setenv(processes.VARIABLE, str(tmp_path))
    yield flow_class(tmp_path, SOURCE)
    processes.assert_gone(str(tmp_path))


def data(finished: FinishedRun) -> Any:
    namespace(None)
    return Run(f"Twice/{finished.id}").data


def signals() -> list[Any]:
    return [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]


def test_twice_in_one_process_with_other_options(twice: type[FlowSpec], tmp_path: Path) -> None:
    before, threads = signals(), threading.active_count()
    begun: list[StartedRun] = []
    failed = run(Workspace(twice), callbacks=RunCallbacks(started=begun.append))
    assert (failed.ok, failed.status.state) == (False, "failed")
    assert failed.cause is not None
    assert "not yet" in failed.cause.message
    assert failed.finish.culprit is not None
    assert failed.finish.culprit.step == "work"

    plain = Workspace(twice, FlowOptions(without=("retry",)))
    shorter = run(plain, {"width": 1}, RunOptions(tags=("other",), max_workers=1), RunCallbacks(started=begun.append))
    assert shorter.ok
    assert data(shorter).tags == ["other"]
    assert data(shorter).attempts == [0]
    assert [run.id for run in begun] == [failed.id, shorter.id]

    Path("fine").touch()
    resumed = resume(Workspace(twice), failed.id)
    assert resumed.ok
    assert data(resumed).attempts == [0, 0]
    assert signals() == before
    assert threading.active_count() == threads


def test_from_a_thread_and_with_signals_left_alone(twice: type[FlowSpec]) -> None:
    Path("fine").touch()
    before, ended = signals(), []
    thread = threading.Thread(target=lambda: ended.append(run(Workspace(twice), {"width": "1"})))
    thread.start()
    thread.join(60)
    assert [finished.ok for finished in ended] == [True]
    assert signals() == before


def test_where_an_event_loop_is_running(twice: type[FlowSpec]) -> None:
    Path("fine").touch()

    async def cell() -> FinishedRun:
        return run(Workspace(twice), {"width": 1}, handle_signals=False)

    assert asyncio.run(cell()).ok


def test_ctrl_c_where_an_event_loop_is_running_ends_the_run_in_good_order(twice: type[FlowSpec]) -> None:
    Path("fine").touch()

    async def cell() -> FinishedRun:
        threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        return run(Workspace(twice), {"width": 40}, RunOptions(max_workers=1))

    loop = asyncio.new_event_loop()  # `asyncio.run` would take the signal itself
    try:
        finished = loop.run_until_complete(cell())
    finally:
        loop.close()
    assert (finished.ok, finished.status.state) == (False, "interrupted")


def test_signals_cannot_be_handled_beside_the_main_thread(twice: type[FlowSpec], tmp_path: Path) -> None:
    async def cell() -> FinishedRun:
        return run(Workspace(twice), handle_signals=True)

    with pytest.raises(ValueError, match="in the main thread only"):
        asyncio.run(cell())
    assert not (tmp_path / ".metaflow").exists()


def test_files_that_the_options_ask_for(twice: type[FlowSpec]) -> None:
    Path("fine").touch()
    finished = run(Workspace(twice), {"width": 1}, RunOptions(run_id_file="id"))
    assert Path("id").read_text() == finished.id


def test_lines_go_to_the_callbacks(twice: type[FlowSpec], capfd: pytest.CaptureFixture[str]) -> None:
    Path("fine").touch()
    remarks: list[str] = []
    run(Workspace(twice, FlowOptions(without=("retry",))), {"width": 1}, callbacks=RunCallbacks(remark=remarks.append))
    assert remarks == ["Without @retry: work."]
    assert capfd.readouterr() == ("", "")


def test_what_cannot_be_run_is_said_before_anything_is_written(twice: type[FlowSpec], tmp_path: Path) -> None:
    with pytest.raises(CommandException, match="no parameter 'wdith'") as caught:
        run(Workspace(twice), {"wdith": 1})
    assert caught.value.hint == "did you mean 'width'?"
    with pytest.raises(CommandException, match="Parameter 'width': \\[1\\] is not an integer"):
        run(Workspace(twice), {"width": [1]})
    with pytest.raises(CommandException, match="has no run here"):
        resume(Workspace(twice))
    assert not (tmp_path / ".metaflow").exists()


def test_a_task_plans_the_flow_as_its_launcher_has(site: Site) -> None:
    run = site.run_flow("planned.py", "run", "--with", "resources:cpu=2", "--without", "catch").succeeded()
    planned = run.values("end")["decorators"]
    names = {step: [decorator["name"] for decorator in decorators] for step, decorators in planned.items()}
    assert names == {"start": ["environment", "retry", "resources"], "end": ["resources"]}
