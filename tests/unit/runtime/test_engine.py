"""The engine with launchers that follow a script: no processes, no signals, and the time that the test says it is."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from metaflow.compute.command import FlowCommand, FlowOptions
from metaflow.compute.protocol import TaskRequest
from metaflow.compute.report import TaskReport
from metaflow.exception import MetaflowException, StepRaised, StorageUnavailable
from metaflow.metadata_provider.local import LocalMetadata
from metaflow.metadata_provider.protocol import Fact, TaskPath
from metaflow.runtime.clock import Clock
from metaflow.runtime.console import StepCount, TaskLabel
from metaflow.runtime.engine import Engine, EngineOptions, Target
from metaflow.runtime.events import Finish, Launch, Retries, TaskRef
from metaflow.runtime.policy import StepPolicy
from metaflow.runtime.record import AttemptRecord
from metaflow.runtime.reuse import Answer, NotReused, Reused
from metaflow.store.artifacts import TaskIndex
from metaflow.store.layout import PARAMETERS
from metaflow.store.local import LocalStorage
from support.scripted_launcher import End, ScriptedLauncher
from support.sketch import graph_of

FLOW = "Sketch"
LINE = "start > middle; middle > end; end"
SUCCESSORS = {"start": ("middle",), "middle": ("end",), "end": ()}


def well(request: TaskRequest) -> End:
    return TaskReport(SUCCESSORS[request.step])


class Lines:
    """A console that keeps what it is told (`metaflow.runtime.console.Console`)."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.counts: Callable[[], list[StepCount]] = list

    def task(self, label: TaskLabel, lines: Iterable[str], now: float) -> None:
        self.lines += [f"{label.step}| {line}" for line in lines]

    def status(self, label: TaskLabel, text: str) -> None:
        self.lines.append(f"{label.step}: {text}")

    def run(self, text: str) -> None:
        self.lines.append(text)

    def progress(self, steps: Callable[[], list[StepCount]]) -> None:
        self.counts = steps

    def close(self) -> None:
        pass


class Run:
    """A run of a sketched flow, carried out by a script."""

    def __init__(self, directory: Path, script: Callable[[TaskRequest], End] = well) -> None:
        root = str(directory / ".metaflow")
        self.storage, self.metadata = LocalStorage(root), LocalMetadata(root)
        self.id = self.metadata.new_run(FLOW, tags=[], system_tags=[])
        parameters = TaskPath(FLOW, self.id, PARAMETERS, "0")
        record = AttemptRecord(parameters, 0, self.storage, self.metadata, tags=[], system_tags=[])
        record.begin()
        record.close(TaskIndex({}, {}), ok=True)
        self.graph = graph_of(directory, LINE)
        self.launcher = ScriptedLauncher(script)
        self.console = Lines()
        self.seconds = 0.0

    def engine(self, *, carries: bool = False, **options: Any) -> Engine:
        command = FlowCommand("flow.py", "/flow.py", FlowOptions(), self.id, None, ("t",))
        return Engine(
            FLOW,
            self.id,
            self.graph,
            {"local": Target(self.launcher, command, carries)},
            self.storage,
            options.pop("recorder", self.metadata),
            EngineOptions(),
            clock=Clock(lambda: self.seconds, lambda: 0.0),
            **options,
        )

    def play(self, engine: Engine) -> Finish:
        return asyncio.run(engine.run(lambda loop: self.console, handle_signals=False))

    def facts(self, step: str, task: int) -> dict[str, Any]:
        return {fact["field_name"]: fact["value"] for fact in self.metadata.facts((FLOW, self.id, step, str(task)))}


def test_a_run_from_start_to_end(tmp_path: Path) -> None:
    run = Run(tmp_path)
    assert run.play(run.engine()) == Finish(True)
    assert [request.step for request in run.launcher.requests] == ["start", "middle", "end"]
    assert run.console.lines[0] == f"Workflow starts (run-id {run.id})."
    assert run.console.lines[-1] == "Workflow done in 0.00 s: 3 tasks."
    assert [count.done for count in run.console.counts()] == [1, 1, 1]
    assert run.facts("start", 1)["by"] == "script"
    assert run.launcher.is_closed


def test_what_is_recorded_can_be_read_when_the_next_task_is_submitted(tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []

    def script(request: TaskRequest) -> End:
        if request.step == "middle":
            seen.append(run.facts("start", 1))
        return well(request)

    run = Run(tmp_path, script)
    run.play(run.engine(carries=True))
    assert seen == [{"attempt": "0", "ds-type": "local", "ds-root": run.storage.root, "by": "script"}]


def test_a_process_that_dies_gets_a_class_a_sentence_and_a_record(tmp_path: Path) -> None:
    run = Run(tmp_path, lambda request: 9 if request.step == "middle" else well(request))
    engine = run.engine()
    finish = run.play(engine)
    assert (finish.ok, finish.culprit) == (False, TaskRef("middle", 2))
    assert engine.failures[2].kind == "killed"
    assert "middle: Task failed." in run.console.lines
    assert any(line.startswith("middle| The step 'middle' did not finish") for line in run.console.lines)
    assert run.facts("middle", 2)["attempt_ok"] == "False"


def test_a_failure_is_tried_again_and_the_retry_says_why(tmp_path: Path) -> None:
    def script(request: TaskRequest) -> End:
        fails = request.step == "middle" and request.attempt == 0
        return TaskReport(failure=StepRaised("ValueError: bad luck")) if fails else well(request)

    run = Run(tmp_path, script)
    assert run.play(run.engine(policy=lambda step: StepPolicy(Retries(1)))) == Finish(True)
    assert [(request.step, request.attempt) for request in run.launcher.requests][1:3] == [("middle", 0), ("middle", 1)]
    assert run.facts("middle", 2)["retry-reason"] == "user code: ValueError: bad luck"
    assert "middle: Task starts (retry)." in run.console.lines


def test_how_long_it_took_is_read_from_the_clock(tmp_path: Path) -> None:
    def script(request: TaskRequest) -> End:
        run.seconds += 2.5
        return well(request)

    run = Run(tmp_path, script)
    run.play(run.engine())
    assert "start: Task done in 2.50 s." in run.console.lines
    assert run.console.lines[-1] == "Workflow done in 7.50 s: 3 tasks."


def test_a_run_in_a_thread_is_cancelled_from_another_and_no_signal_handler_is_touched(tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    running = threading.Event()

    def script(request: TaskRequest) -> End:
        running.set()
        return None

    run = Run(tmp_path, script)
    engine = run.engine()
    finishes: list[Finish] = []
    thread = threading.Thread(target=lambda: finishes.append(run.play(engine)))
    thread.start()
    assert running.wait(60)
    engine.cancel("enough")
    thread.join(60)
    assert finishes == [Finish(False, None, "interrupted (enough)")]
    assert engine.interrupted == signal.SIGINT
    assert "start: Task ended, since the run ends." in run.console.lines
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


def test_a_run_that_is_cancelled_before_it_begins(tmp_path: Path) -> None:
    run = Run(tmp_path)
    engine = run.engine()
    engine.cancel()
    assert not run.play(engine).ok
    assert run.launcher.requests == []


def test_the_signal_handlers_of_a_run_are_gone_after_it(tmp_path: Path) -> None:
    async def live() -> bool:
        await engine.run(lambda loop: run.console)
        return asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)

    run = Run(tmp_path)
    engine = run.engine()
    assert not asyncio.run(live())


class FullMetadata(LocalMetadata):
    """Metadata on a full disk."""

    def record(self, task: TaskPath, attempt: int | None, facts: Sequence[Fact]) -> None:
        raise StorageUnavailable("The metadata cannot be written: no space left.")


def test_metadata_that_cannot_be_written_end_the_run_with_their_name(tmp_path: Path) -> None:
    run = Run(tmp_path)
    with pytest.raises(StorageUnavailable, match="metadata cannot be written"):
        run.play(run.engine(recorder=FullMetadata(run.metadata.root)))
    assert run.launcher.is_closed


class Memory:
    """Reuses `start` (`metaflow.runtime.reuse.Reuse`)."""

    origin_run = "7"

    def __init__(self) -> None:
        self.unwritten = 0
        self.written_before_each_run: list[bool] = []

    async def ask(self, launch: Launch) -> Answer:
        await asyncio.sleep(0)
        if launch.step != "start":
            return NotReused("It runs again.")
        self.unwritten += 1
        return Reused("7/start/1", TaskReport(("middle",)))

    async def written(self) -> None:
        await asyncio.sleep(0)
        self.unwritten = 0


def test_a_task_that_is_reused_does_not_run_and_what_was_reused_is_written_before_another_runs(tmp_path: Path) -> None:
    unwritten: list[int] = []

    def script(request: TaskRequest) -> End:
        unwritten.append(memory.unwritten)
        return well(request)

    run, memory = Run(tmp_path, script), Memory()
    assert run.play(run.engine(reuse=memory)).ok
    assert [request.step for request in run.launcher.requests] == ["middle", "end"]
    assert unwritten == [0, 0]
    assert f"[{run.id}/start/1] Task taken over from 7/start/1." in run.console.lines
    assert run.console.lines.count("It runs again.") == 2
    assert "--clone-run-id=7" in run.launcher.requests[0].command.arguments


def test_an_error_in_a_report_ends_the_run_rather_than_to_vanish_in_the_loop(tmp_path: Path) -> None:
    def script(request: TaskRequest) -> End:
        return TaskReport(("nowhere",)) if request.step == "start" else well(request)

    run = Run(tmp_path, script)
    engine = run.engine()
    assert not run.play(engine).ok
    assert "went on to nowhere" in engine.failures[1].message

    class Broken(Lines):
        def status(self, label: TaskLabel, text: str) -> None:
            raise MetaflowException("the terminal is on fire")

    run = Run(tmp_path)
    run.console = Broken()
    with pytest.raises(MetaflowException, match="on fire"):
        run.play(run.engine())
