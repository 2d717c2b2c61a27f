"""Runs of the scheduler as documents: the events that it heard in a real run, and the instructions that it gave.

``python -m support.recording FILE flow.py run …`` carries out a run and writes its recording; without arguments all
recordings in `DIRECTORY` are made anew.
"""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from metaflow.compute.report import TaskReport
from metaflow.metadata_provider.task_ids import NUMBERS, TaskNumbering
from metaflow.runtime.events import (
    Cancelled,
    Event,
    Finish,
    Instruction,
    Retries,
    RetryDue,
    Start,
    TaskEnded,
    TaskRef,
)
from metaflow.runtime.scheduler import Scheduler

TESTS = Path(__file__).parent.parent
DIRECTORY = TESTS / "unit" / "runtime" / "recordings"
RUNS = {
    "foreach": ["foreach.py", "run"],
    "nested": ["nested.py", "run", "--max-workers=2"],
    "branches": ["branches.py", "run"],
    "switch": ["switch.py", "run", "--value=3"],
    "recursion": ["recursion.py", "run"],
    "retry": ["attempts.py", "run", "--mode=retry"],
    "catch": ["attempts.py", "run", "--mode=catch", "--max-workers=1"],
    "failure": ["attempts.py", "run", "--mode=failure"],
    "cancel": ["attempts.py", "run", "--mode=cancel"],
    "resume": ["branches.py", "resume", "inner_join"],
}
"""By name: the words of a command."""


class RecordingScheduler(Scheduler):
    """A scheduler that writes what it hears and says into the file RECORDING, when the run ends."""

    def __init__(
        self,
        joins: Collection[str],
        *,
        slots: int,
        max_splits: int,
        retries: Callable[[str], Retries] = lambda step: Retries(),
        lists_of_one: Collection[tuple[str, str]] = (),
        numbering: TaskNumbering = NUMBERS,
    ) -> None:
        super().__init__(
            joins,
            slots=slots,
            max_splits=max_splits,
            retries=retries,
            lists_of_one=lists_of_one,
            numbering=numbering,
        )
        self._retries_of = retries
        self._recording: dict[str, Any] = {
            "joins": sorted(joins), "slots": slots, "max_splits": max_splits, "retries": {}, "turns": [],
            "lists_of_one": sorted(lists_of_one),
        }  # fmt: skip

    def handle(self, event: Event) -> list[Instruction]:
        instructions = super().handle(event)
        self._recording["turns"].append([to_json(event), [to_json(each) for each in instructions]])
        for each in instructions:
            step = getattr(each, "step", None)
            if step is not None:
                retries = self._retries_of(step)._asdict()
                self._recording["retries"][step] = {**retries, "only": sorted(retries["only"])}
            if isinstance(each, Finish):
                text = json.dumps(self._recording, indent=1).replace(f"{TESTS.parent}/", "")
                Path(os.environ["RECORDING"]).write_text(f"{text}\n")
        return instructions


def to_json(item: Event | Instruction) -> list[Any]:
    """Return an event or an instruction as a JSON array: its name and its fields."""
    fields = [field.to_json() if isinstance(field, TaskReport) else field for field in item]
    document = json.loads(json.dumps([type(item).__name__, *fields]))
    assert isinstance(document, list)
    return document


def event_from_json(document: list[Any]) -> Event:
    """Make the event that `to_json` has described."""
    name, *fields = document
    match name:
        case "Start":
            return Start(fields[0], TaskRef(*fields[1]))
        case "TaskEnded":
            task, attempt, report, taken_over = fields
            return TaskEnded(task, attempt, TaskReport.from_json(report), taken_over)
        case "RetryDue":
            return RetryDue(*fields)
        case _:
            return Cancelled(*fields)


def scheduler_of(recording: dict[str, Any]) -> Scheduler:
    """Return a scheduler as it was at the beginning of a recorded run."""
    retries = {
        step: Retries(**{**fields, "only": frozenset(fields["only"])}) for step, fields in recording["retries"].items()
    }
    return Scheduler(
        set(recording["joins"]),
        slots=recording["slots"],
        max_splits=recording["max_splits"],
        retries=retries.__getitem__,
        lists_of_one={(step, successor) for step, successor in recording.get("lists_of_one", ())},
    )


def replay(path: Path) -> None:
    """Check that the events of a recording lead to its instructions."""
    recording = json.loads(path.read_text())
    scheduler = scheduler_of(recording)
    for event, instructions in recording["turns"]:
        assert [to_json(each) for each in scheduler.handle(event_from_json(event))] == instructions
        scheduler.validate()
    assert instructions[-1][0] == "Finish"


def record(target: Path, words: list[str], directory: str) -> None:
    """Carry out a run of a flow of `tests/flows/sources` in a directory, and write its recording."""
    flow = str(TESTS / "flows" / "sources" / words[0])
    environment = {**os.environ, "RECORDING": str(target), "PYTHONPATH": str(TESTS), "METAFLOW_USER": "tester"}
    subprocess.run([sys.executable, "-m", "support.recording", flow, *words[1:]], cwd=directory, env=environment)
    assert target.exists(), f"{words} has come to no end"


def main() -> None:
    if len(sys.argv) == 1:
        with tempfile.TemporaryDirectory() as directory:
            for name, words in RUNS.items():
                record(DIRECTORY / f"{name}.json", words, directory)
        return
    from metaflow.runtime import engine

    vars(engine)["Scheduler"] = RecordingScheduler
    os.environ["ENGINE_PID"] = str(os.getpid())
    sys.argv = sys.argv[1:]
    sys.path.insert(0, os.path.dirname(sys.argv[0]))
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
