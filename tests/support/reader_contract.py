"""The contract of `RunReader`: tests that every implementation over stored runs passes.

A module that wants them run makes a fixture `library` and imports all names from here. Runs are written as the engine
and tasks write them, without processes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from metaflow.exception import MetaflowNotFound, StepRaised, TaskFailed, TaskOutOfMemory
from metaflow.flow.frames import ForeachFrame, PicklableFrames
from metaflow.metadata_provider.protocol import Fact, Recorder, TaskPath
from metaflow.runtime.record import AttemptRecord
from metaflow.serve.reading.filters import RunFilter
from metaflow.serve.reading.protocol import CardRow, RunReader, TaskRow
from metaflow.store import layout
from metaflow.store.artifacts import TaskIndex, save_artifacts
from metaflow.store.blobs import Blobs
from metaflow.store.layout import PARAMETERS
from metaflow.store.logs.lines import format_line
from metaflow.store.protocol import Storage

GRAPH = {
    "start_step": "start",
    "end_step": "end",
    "parameters": [{"name": "alpha", "type": "Parameter"}],
    "steps": {
        "start": {"type": "foreach", "next": ["train"], "doc": "", "decorators": []},
        "train": {
            "type": "linear",
            "next": ["end"],
            "doc": "",
            "decorators": [{"name": "kubernetes", "attributes": {"cpu": 2, "memory": None}}],
        },
        "end": {"type": "end", "next": [], "doc": "", "decorators": []},
    },
}


@dataclass
class Library:
    """A reader, and what writes the runs that it reads."""

    reader: RunReader
    recorder: Recorder
    storage: Storage
    settle: Callable[[], object] = lambda: None
    """Waits until what was recorded can be read."""

    def add_run(self, flow: str = "F", tags: Sequence[str] = (), user: str = "ann", **parameters: Any) -> str:
        run = self.recorder.new_run(flow, tags=list(tags), system_tags=[f"user:{user}", "project:p"])
        values = {**parameters, "name": flow, "_graph_info": GRAPH, "_foreach_stack": [], "_task_ok": True}
        self.add(TaskPath(flow, run, PARAMETERS, "0"), values, facts=[Fact("end_step", "end", "graph_structure")])
        return run

    def add(
        self,
        path: TaskPath,
        values: dict[str, Any] | None = None,
        *,
        attempt: int = 0,
        frames: Sequence[ForeachFrame] = (),
        failure: TaskFailed | None = None,
        caught: bool = False,
        ends: bool = True,
        facts: Sequence[Fact] = (),
    ) -> TaskPath:
        record = AttemptRecord(path, attempt, self.storage, self.recorder, tags=(), system_tags=())
        record.begin()
        record.add_location(frames, None, [Fact("script-name", "f.py", "script-name"), *facts])
        if ends:
            index = TaskIndex({}, {}, attempt)
            stored = {"_success": failure is None, "_task_ok": failure is None or caught, **(values or {})}
            with PicklableFrames():
                save_artifacts(Blobs(self.storage, path.flow), stored.items(), index)
            record.close(index, ok=failure is None or caught, failure=failure)
        self.settle()
        return path

    def write_log(self, path: TaskPath, lines: Sequence[str], stream: str = "stdout", source: str = "runtime") -> None:
        text = b"".join(
            format_line(line.encode(), 1_700_000_000 + index, f"{index:012x}", source.encode())
            for index, line in enumerate(lines)
        )
        key = layout.log(str(path), 0, stream, source)  # type: ignore[arg-type]  # one of the two
        self.storage.put([(key, text)], overwrite=True)

    def add_wide_run(self) -> str:
        """Add a run whose third train task has failed, after one that was tried twice and one that was caught."""
        run = self.add_run(alpha=0.5, tags=["nightly"])
        self.add(TaskPath("F", run, "start", "1"), {"models": ["a", "b", "c"]})
        frames = [ForeachFrame("train", "models", 3, index, value) for index, value in enumerate("abc")]
        first = TaskPath("F", run, "train", "2")
        self.add(first, failure=StepRaised("ValueError: no"), frames=frames[:1])
        self.add(first, {"score": 1}, attempt=1, frames=frames[:1])
        self.add(TaskPath("F", run, "train", "3"), failure=StepRaised("ValueError: b"), caught=True, frames=frames[1:2])
        self.add(
            TaskPath("F", run, "train", "4"), failure=TaskOutOfMemory("out of memory", hint="more"), frames=frames[2:]
        )
        return run


def rows_of(library: Library, run: str) -> list[tuple[str, str, str, int, str]]:
    return [(row.step, row.task, row.state, row.attempts, row.item) for row in library.reader.tasks("F", run).rows]


def test_there_may_be_nothing(library: Library) -> None:
    assert library.reader.flows() == []
    assert library.reader.runs(RunFilter()).rows == ()
    for ask in (
        lambda: library.reader.run("F", "1"),
        lambda: library.reader.tasks("F", "1"),
        lambda: library.reader.task(TaskPath("F", "1", "start", "1")),
        lambda: library.reader.log(TaskPath("F", "1", "start", "1"), 0, "stdout"),
        lambda: library.reader.preview(TaskPath("F", "1", "start", "1"), "x"),
        lambda: library.reader.card(TaskPath("F", "1", "start", "1"), "x"),
        lambda: library.reader.run("..", "."),
        lambda: library.reader.tasks("F/1", ""),
        lambda: library.reader.task(TaskPath("F", "..", "..", "x\0")),
    ):
        with pytest.raises(MetaflowNotFound):
            ask()


def test_runs_are_listed_newest_first_page_by_page(library: Library) -> None:
    made = [("G" if number % 3 else "F", number) for number in range(7)]
    ids = [(flow, library.add_run(flow)) for flow, _ in made][::-1]
    seen: list[tuple[str, str]] = []
    after = None
    while True:
        page = library.reader.runs(RunFilter(), after, 3)
        seen += [(row.flow, row.run) for row in page.rows]
        after = page.after
        if after is None:
            break
        assert len(page.rows) == 3
    assert seen == ids
    assert library.reader.flows() == ["F", "G"]
    assert library.reader.runs(RunFilter(), "nonsense", 3).rows[0][:2] == ids[0]


def test_filters(library: Library) -> None:
    plain = library.add_run()
    nightly = library.add_run(tags=["nightly"], user="bob")
    other = library.add_run("G")

    def found(**wanted: Any) -> list[str]:
        return [row.run for row in library.reader.runs(RunFilter(**wanted)).rows]

    assert found(flow="F") == [nightly, plain]
    assert found(flow="G") == [other]
    assert found(flow="../F") == found(flow="H") == []
    assert found(tags=frozenset({"nightly"})) == found(text="NIGHT f") == [nightly]
    assert found(tags=frozenset({"user:bob"})) == [nightly]
    assert found(since="2001-01-01") == [other, nightly, plain]
    assert found(until="2001-01-01") == found(since="2999-01-01") == []


def test_the_tasks_of_a_run_with_what_needs_a_look_first(library: Library) -> None:
    run = library.add_wide_run()
    assert sorted(rows_of(library, run)) == [
        ("start", "1", "successful", 1, ""),
        ("train", "2", "successful", 2, "models[0] = a"),
        ("train", "3", "caught", 1, "models[1] = b"),
        ("train", "4", rows_of(library, run)[0][2], 1, "models[2] = c"),
    ]
    assert rows_of(library, run)[0][:2] == ("train", "4")
    assert rows_of(library, run)[1][:2] == ("train", "3")
    row: TaskRow = library.reader.tasks("F", run).rows[0]
    assert row.started is not None
    assert row.ended is not None
    assert row.started <= row.ended


def test_a_table_changes_with_its_tasks(library: Library) -> None:
    run = library.add_run()
    state, table = library.reader.run_state("F", run), library.reader.tasks("F", run)
    assert table.rows == ()
    path = library.add(TaskPath("F", run, "start", "1"), ends=False)
    began = library.reader.tasks("F", run)
    assert [row.state for row in began.rows] == ["running"]
    assert library.reader.run_state("F", run) != state
    library.add(path)
    ended = library.reader.tasks("F", run)
    assert [row.state for row in ended.rows] == ["successful"]
    assert len({table.version, began.version, ended.version}) == 3
    assert library.reader.tasks("F", run).version == ended.version


def test_a_run(library: Library) -> None:
    run = library.add_wide_run()
    found = library.reader.run("F", run)
    assert found.row.user == "ann"
    assert found.row.project == "p"
    assert found.row.tags == ("nightly",)
    assert list(found.graph["steps"]) == ["start", "train", "end"]
    assert [(each.name, each.summary) for each in found.parameters] == [("alpha", "0.5")]
    assert found.code.script == "f.py"
    assert [step.name for step in found.steps] == ["start", "train"]
    assert found.steps[1].counts["caught"] == 1


def test_a_task(library: Library) -> None:
    run = library.add_wide_run()
    found = library.reader.task(TaskPath("F", run, "train", "2"))
    assert [(each.number, each.state) for each in found.attempts] == [(0, "failed"), (1, "successful")]
    assert found.attempts[0].failure is not None
    assert found.attempts[0].failure.message == "ValueError: no"
    assert found.attempts[1].facts["attempt_ok"] == "True"
    assert [phase.name for phase in found.attempts[1].phases] == ["ran"]
    assert [(each.name, each.type) for each in found.artifacts] == [("score", "int")]
    assert found.request == {"backend": "kubernetes", "cpu": "2"}
    assert found.cards == ()


def test_previews(library: Library) -> None:
    run = library.add_run()
    path = library.add(TaskPath("F", run, "start", "1"), {"text": "a\nb", "bytes": b"x" * 3_000_000})
    assert library.reader.preview(path, "text").text == "a\nb"
    assert library.reader.preview(path, "bytes").is_cut
    assert library.reader.preview(path, "text", 0).summary == "'a\\nb'"
    for name, attempt in (("nope", None), ("text", 1)):
        with pytest.raises(MetaflowNotFound):
            library.reader.preview(path, name, attempt)


def test_logs(library: Library) -> None:
    run = library.add_run()
    path = library.add(TaskPath("F", run, "start", "1"), ends=False)
    assert library.reader.log(path, 0, "stdout").lines == ()
    library.write_log(path, ["one", "\x1b[31mtwo\x1b[0m"])
    state = library.reader.task_state(path)
    first = library.reader.log(path, 0, "stdout")
    assert [line.text for line in first.lines] == ["one", "\x1b[31mtwo\x1b[0m"]
    assert first.is_last
    assert not first.is_over
    library.write_log(path, ["one", "\x1b[31mtwo\x1b[0m", "three"])
    assert library.reader.task_state(path) != state
    assert [line.text for line in library.reader.log(path, 0, "stdout", first.end).lines] == ["three"]
    assert [line.text for line in library.reader.search_log(path, 0, "stdout", "TWO").lines] == ["\x1b[31mtwo\x1b[0m"]
    assert b"".join(library.reader.raw_log(path, 0, "stdout")) == b"one\n\x1b[31mtwo\x1b[0m\nthree\n"
    with pytest.raises(MetaflowNotFound):
        library.reader.log(path, 3, "stdout")


def test_cards(library: Library) -> None:
    run = library.add_run()
    path = library.add(TaskPath("F", run, "start", "1"))
    name = layout.CardName("default", "mine", "0" * 32)
    library.storage.put([(layout.card_page(str(path), name), b"<p>card</p>")])
    card = library.reader.task(path).cards[0]
    assert card == CardRow("default", "mine", "0" * 32)
    assert library.reader.card(path, card.hash) == "<p>card</p>"
    assert library.reader.card_data(path, card.hash) is None
    library.storage.put([(layout.card_data(str(path), name), json.dumps({"data": 1}).encode())])
    assert library.reader.card_data(path, card.hash) == {"data": 1}


def test_two_runs_side_by_side(library: Library) -> None:
    runs = [library.add_run(alpha=0.5, beta=number) for number in (1, 2)]
    for number, run in enumerate(runs):
        library.add(TaskPath("F", run, "start", "1"), {"same": "x", "other": number})
    found = library.reader.compare(("F", runs[0]), ("F", runs[1]))
    assert [(pair.name, pair.left, pair.right) for pair in found.parameters] == [("alpha", "0.5", "0.5")]
    assert [(pair.name, pair.is_same) for pair in found.artifacts] == [("start/other", False), ("start/same", True)]
    assert [pair.name for pair in found.durations] == ["start"]
    with pytest.raises(MetaflowNotFound):
        library.reader.compare(("F", runs[0]), ("F", "999"))
