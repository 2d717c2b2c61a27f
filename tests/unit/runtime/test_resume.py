"""What of an earlier run stands for a task of the new one, on runs written by hand."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from metaflow.compute.report import TaskReport
from metaflow.exception import CommandException, StorageUnavailable
from metaflow.flow.frames import ForeachFrame
from metaflow.flow.graph import Graph
from metaflow.metadata_provider.local import LocalMetadata
from metaflow.metadata_provider.protocol import TaskPath
from metaflow.runtime.events import Launch, TaskRef
from metaflow.runtime.record import AttemptRecord, Copy
from metaflow.runtime.resume import Origin, Resumption
from metaflow.runtime.reuse import Answer, NotReused, Reused
from metaflow.store import layout
from metaflow.store.artifacts import Artifacts, TaskIndex, TaskStore, read_index, save_artifacts
from metaflow.store.blobs import Blobs
from metaflow.store.layout import PARAMETERS
from metaflow.store.local import LocalStorage
from support.present import present
from support.sketch import graph_of

LINE = "start > middle; middle > end; end"
FOREACH = "start > work * xs; work > join; join(inputs) > end; end"
LOOP = "start > loop; loop > ? more a:loop b:end; end"
ROOT = TaskRef(PARAMETERS, 0)
FLOW = "Sketch"


class Runs:
    """A datastore in which runs are written by hand."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.storage = LocalStorage(str(directory / ".metaflow"))
        self.metadata = LocalMetadata(str(directory / ".metaflow"), "ann")
        self.blobs = Blobs(self.storage, FLOW)
        self.origin = self.metadata.new_run(FLOW, tags=[], system_tags=[])
        self.task(PARAMETERS, "0", to=None)

    def task(
        self,
        step: str,
        id: str,
        *,
        to: str | None,
        frames: tuple[int, ...] = (),
        ok: bool = True,
        attempt: int = 0,
        done: bool = True,
        **artifacts: Any,
    ) -> None:
        """Write an attempt as it stands in the datastore; `to` is the step that follows."""
        index = TaskIndex({}, {}, attempt)
        values = {
            "_task_ok": ok,
            "_transition": ([to], artifacts.get("_foreach_var")) if to else None,
            "_foreach_stack": [ForeachFrame("work", "xs", 9, place, "") for place in frames],
            **artifacts,
        }
        save_artifacts(self.blobs, values.items(), index)
        record = AttemptRecord(
            TaskPath(FLOW, self.origin, step, id), attempt, self.storage, self.metadata, tags=[], system_tags=[]
        )
        record.begin()
        if done:
            record.close(index, ok=ok)
        else:
            record.store.write(record.store.index(index))

    def ask(self, launch: Launch) -> Answer:
        return asyncio.run(self.going_on.ask(launch))

    def write(self) -> None:
        asyncio.run(self.going_on.written())

    def resumption(self, sketch: str, rerun: str | None = None) -> Resumption:
        self.run = self.metadata.new_run(FLOW, tags=[], system_tags=[])
        graph: Graph = graph_of(self.directory, sketch)
        origin = Origin(self.storage, FLOW, self.origin)
        self.going_on = Resumption(origin, graph, rerun, self.metadata, self.run, tags=["t"], system_tags=[])
        return self.going_on

    def new(self, step: str, id: int) -> Artifacts:
        """Return the artifacts of a task of the new run."""
        self.write()
        index = read_index(self.storage, f"{FLOW}/{self.run}/{step}/{id}")
        assert index is not None
        return Artifacts(self.blobs, index)


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runs:
    monkeypatch.setattr(sys.modules["__main__"], "ForeachFrame", ForeachFrame, raising=False)  # where its pickles are
    return Runs(tmp_path)


def launch(id: int, step: str, *inputs: TaskRef, split: int | None = None) -> Launch:
    return Launch(id, step, 0, split, inputs or (ROOT,))


def counterpart(resumption: Resumption, launch: Launch) -> str | None:
    """Ask for a task; return step/task of its counterpart."""
    answer = asyncio.run(resumption.ask(launch))
    return answer.origin.partition("/")[2] if isinstance(answer, Reused) else None


def test_a_finished_task_is_taken_over_with_names_and_no_data(runs: Runs) -> None:
    runs.task("start", "1", to="middle", x=[1, 2])
    blobs = sorted((runs.directory / ".metaflow" / FLOW / "data").rglob("*"))
    runs.resumption(LINE)
    assert runs.ask(launch(1, "start")) == Reused(f"{runs.origin}/start/1", TaskReport(("middle",)))
    assert runs.new("start", 1)["x"] == [1, 2]
    assert sorted((runs.directory / ".metaflow" / FLOW / "data").rglob("*")) == blobs
    facts = {fact["field_name"]: fact["value"] for fact in runs.metadata.facts((FLOW, runs.run, "start", "1"))}
    assert facts["origin-run-id"] == runs.origin
    assert facts["origin-task-id"] == "1"
    assert facts["attempt-done"] == "0"
    assert "python_version" not in facts, "a client takes what is not here from the origin"
    document = runs.metadata.get((FLOW, runs.run, "start", "1"))
    assert document is not None
    assert document["tags"] == ["t"]


def test_the_logs_of_the_attempt_come_along_whoever_stamped_them(runs: Runs) -> None:
    runs.task("start", "1", to=None, ok=False)
    runs.task("start", "1", to="middle", attempt=1)
    path = f"{FLOW}/{runs.origin}/start/1"
    runs.storage.put([(f"{path}/0.runtime_stdout.log", b"of the failed one")])
    runs.storage.put([(f"{path}/1.task_stdout.log", b"of a container"), (f"{path}/1.runtime_stderr.log", b"ours")])
    assert counterpart(runs.resumption(LINE), launch(1, "start")) is not None
    runs.write()
    directory = runs.directory / ".metaflow" / FLOW / runs.run / "start" / "1"
    assert {file.name: file.read_bytes() for file in directory.glob("*.log")} == {
        "0.task_stdout.log": b"of a container",
        "0.runtime_stderr.log": b"ours",
    }


@pytest.mark.parametrize("attempt", [0, 1])
def test_an_artifact_is_as_old_as_at_the_origin_and_the_end_of_the_task_is_new(runs: Runs, attempt: int) -> None:
    runs.task("start", "1", to="middle", attempt=attempt, x=1)
    assert counterpart(runs.resumption(LINE), launch(1, "start")) is not None
    runs.write()
    path = (FLOW, runs.run, "start", "1")
    documents = {name: present(runs.metadata.get((*path, name))) for name in ("x", "_task_ok", "_transition")}
    before = present(runs.metadata.get((FLOW, runs.origin, "start", "1", "x"), attempt))
    assert all(document["attempt_id"] == 0 for document in documents.values())
    assert documents["x"]["sha"] == before["sha"]
    assert documents["_task_ok"]["run_number"] == runs.run
    assert (documents["x"] == before) == (attempt == 0)
    assert runs.metadata.get((*path, "_exception")) is None


SHARED = "start > a, b; a > ? v x:s y:c; b > ? v x:s y:d; c > j; d > j; s > j; j(inputs) > end; end"


@pytest.mark.parametrize("told", [True, False])
def test_a_step_of_two_branches_goes_on_from_the_task_of_its_own(runs: Runs, told: bool) -> None:
    runs.task("start", "1", to="a", _transition=(["a", "b"], None))
    runs.task("a", "2", to="s")
    runs.task("b", "3", to="s")
    for id, branch in ("4", "b"), ("5", "a"):
        stored: dict[str, Any] = {"_branches": (branch,)} if told else {}
        runs.task("s", id, to="j", **stored)
    resumption = runs.resumption(SHARED)
    start = TaskRef("start", 1)
    first = [launch(1, "start"), launch(2, "a", start), launch(3, "b", start)]
    assert [counterpart(resumption, each) for each in first] == ["start/1", "a/2", "b/3"]
    of_a = runs.ask(launch(4, "s", TaskRef("a", 2)))
    of_b = runs.ask(launch(5, "s", TaskRef("b", 3)))
    if told:
        assert isinstance(of_a, Reused)
        assert isinstance(of_b, Reused)
        assert (of_a.origin[-3:], of_b.origin[-3:]) == ("s/5", "s/4")
    else:
        assert "several branches come to it" in of_a.remark
        assert of_b == NotReused()


def test_nothing_is_written_before_it_is_settled_and_then_all(runs: Runs) -> None:
    runs.task("start", "1", to="middle", x=1)
    resumption = runs.resumption(LINE)
    assert counterpart(resumption, launch(1, "start")) is not None
    directory = runs.directory / ".metaflow" / FLOW / runs.run / "start" / "1"
    assert not directory.exists()
    runs.write()
    before = runs.directory / ".metaflow" / FLOW / runs.origin / "start" / "1"
    assert (directory / "0.data.json").read_bytes() == (before / "0.data.json").read_bytes()
    assert {path.name for path in directory.iterdir()} == {"0.attempt.json", "0.data.json", "0.DONE.lock", "_meta"}
    runs.write()


@pytest.mark.parametrize("how", [{"ok": False}, {"done": False}])
def test_what_has_not_finished_well_runs(runs: Runs, how: dict[str, Any]) -> None:
    runs.task("start", "1", to="middle", **how)
    assert counterpart(runs.resumption(LINE), launch(1, "start")) is None


class HeldStorage(LocalStorage):
    """Copies nothing until `go` is set."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self.go = threading.Event()

    def copy(self, keys: Iterable[tuple[str, str]]) -> None:
        assert self.go.wait(30)
        super().copy(keys)


class FullStorage(LocalStorage):
    """Has no room for copies."""

    def copy(self, keys: Iterable[tuple[str, str]]) -> None:
        raise StorageUnavailable("full")


def test_writes_that_fail_are_told_once_and_leave_no_complaint(runs: Runs) -> None:
    complaints: list[dict[str, Any]] = []
    runs.storage = FullStorage(runs.storage.root)
    resumption = runs.resumption(LINE)
    path, index = TaskPath(FLOW, runs.run, "start", "1"), TaskIndex({}, {})

    async def fail_twice() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
        for _ in range(2):
            resumption._unwritten.append(Copy(path, path, index, index))
            resumption._write_soon()
        with pytest.raises(StorageUnavailable, match="full"):
            await resumption.written()

    asyncio.run(fail_twice())
    resumption._writes.clear()
    gc.collect()
    assert complaints == []


def test_several_tasks_wait_for_the_same_writes(runs: Runs) -> None:
    runs.task("start", "1", to="middle")
    runs.storage = held = HeldStorage(runs.storage.root)
    resumption = runs.resumption(LINE)

    async def two_tasks_that_read_it() -> None:
        await resumption.ask(launch(1, "start"))
        waiting = [asyncio.create_task(resumption.written()) for _ in range(2)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not any(each.done() for each in waiting)
        waiting[0].cancel()
        held.go.set()
        await waiting[1]
        assert read_index(held, f"{FLOW}/{runs.run}/start/1") is not None

    asyncio.run(two_tasks_that_read_it())


def test_the_latest_attempt_counts_and_becomes_the_first(runs: Runs) -> None:
    runs.task("start", "1", to=None, ok=False, x="bad")
    runs.task("start", "1", to="middle", attempt=1, x="good")
    store = TaskStore(runs.storage, f"{FLOW}/{runs.origin}/start/1")
    runs.storage.put([(layout.log(store.prefix, 1, "stdout", "runtime"), b"of the second attempt")])
    assert counterpart(runs.resumption(LINE), launch(1, "start")) is not None
    assert runs.new("start", 1)["x"] == "good"
    copy = TaskStore(runs.storage, f"{FLOW}/{runs.run}/start/1")
    assert copy.attempts() == ([0], [0])
    ((_, log),) = runs.storage.get([layout.log(copy.prefix, 0, "stdout", "runtime")])
    assert log == b"of the second attempt"


def test_what_follows_a_task_that_runs_runs(runs: Runs) -> None:
    for step, id, to in (("start", "1", "middle"), ("middle", "2", "end"), ("end", "3", None)):
        runs.task(step, id, to=to)
    resumption = runs.resumption(LINE, rerun="middle")
    assert counterpart(resumption, launch(1, "start")) == "start/1"
    assert counterpart(resumption, launch(2, "middle", TaskRef("start", 1))) is None
    assert counterpart(resumption, launch(3, "end", TaskRef("middle", 2))) is None


def test_a_step_that_goes_elsewhere_now_runs(runs: Runs) -> None:
    runs.task("start", "1", to="middle")
    assert counterpart(runs.resumption("start > added; added > middle; middle > end; end"), launch(1, "start")) is None
    foreach = runs.resumption("start > middle * xs; middle > j; j(inputs) > end; end")
    assert counterpart(foreach, launch(1, "start")) is None


def test_tasks_of_a_foreach_are_known_by_their_place(runs: Runs) -> None:
    runs.task("start", "1", to="work", xs="ab", _foreach_var="xs", _foreach_num_splits=2, _foreach_values="ab")
    runs.task("work", "7", to="join", frames=(1,))
    runs.task("work", "8", to="join", frames=(0,))
    resumption = runs.resumption(FOREACH)
    assert runs.ask(launch(1, "start")) == Reused(f"{runs.origin}/start/1", TaskReport(("work",), 2))
    start = TaskRef("start", 1)
    assert counterpart(resumption, launch(2, "work", start, split=0)) == "work/8"
    assert counterpart(resumption, launch(3, "work", start, split=1)) == "work/7"
    runs.task("join", "9", to="end")
    again = runs.resumption(FOREACH)
    counterpart(again, launch(1, "start"))
    refs = []
    for id, split in ((2, 0), (3, 1)):
        counterpart(again, launch(id, "work", start, split=split))
        refs.append(TaskRef("work", id))
    assert counterpart(again, launch(4, "join", *refs)) == "join/9"


def test_a_join_of_which_one_input_runs_runs(runs: Runs) -> None:
    runs.task("start", "1", to="work", xs="ab", _foreach_var="xs", _foreach_num_splits=2, _foreach_values="ab")
    runs.task("work", "2", to="join", frames=(0,))
    runs.task("join", "9", to="end")
    resumption = runs.resumption(FOREACH)
    counterpart(resumption, launch(1, "start"))
    assert counterpart(resumption, launch(2, "work", TaskRef("start", 1), split=0)) is not None
    assert counterpart(resumption, launch(3, "work", TaskRef("start", 1), split=1)) is None
    assert counterpart(resumption, launch(4, "join", TaskRef("work", 2), TaskRef("work", 3))) is None


@pytest.mark.parametrize(
    ("stacks", "order"),
    [
        (([], [], []), ["2", "10", "11"]),  # by id
        (([2], [0], [1]), ["10", "11", "2"]),  # by turn, as Metaflow numbers them
        (([], [], [1]), ["2", "10", "11"]),
    ],
)
def test_turns_of_a_recursion_stand_in_order(runs: Runs, stacks: tuple[list[int], ...], order: list[str]) -> None:
    runs.task("start", "1", to="loop")
    for id, stack in zip(("2", "10", "11"), stacks, strict=True):
        runs.task("loop", id, to="loop", _iteration_stack=stack)
    resumption = runs.resumption(LOOP)
    counterpart(resumption, launch(1, "start"))
    found, before = [], TaskRef("start", 1)
    for number in (2, 3, 4):
        found.append(counterpart(resumption, launch(number, "loop", before)))
        before = TaskRef("loop", number)
    assert found == [f"loop/{id}" for id in order]
    assert counterpart(resumption, launch(5, "loop", before)) is None


class Rows:
    """Iterable, and no sequence."""

    def __iter__(self) -> Any:
        return iter([1, 2.5])


@pytest.mark.parametrize(
    ("value", "stored", "elements"),
    [
        ([1, None], ["1", "None"], [1, None]),
        (["long" * 20, "b"], ["longlong", "b"], ["long" * 20, "b"]),
        (Rows(), ["1", "2.5"], [1, 2.5]),
        ({"b", "a"}, ["b", "a"], ["b", "a"]),
        ({3, 1}, [3, 1], [3, 1]),  # ours: the order in which the run had them
        ("ab", ["a", "b"], "ab"),
    ],
)
def test_elements_of_a_foreach_that_metaflow_opened(runs: Runs, value: Any, stored: list[Any], elements: Any) -> None:
    """It stores their strings where a task here looks for the elements, and nothing in the tasks below."""
    runs.task("start", "1", to="work", xs=value, _foreach_var="xs", _foreach_num_splits=2, _foreach_values=stored)
    runs.task("work", "2", to="join", frames=(1,), xs="spoiled")
    resumption = runs.resumption(FOREACH)
    counterpart(resumption, launch(1, "start"))
    counterpart(resumption, launch(2, "work", TaskRef("start", 1), split=1))
    assert runs.new("start", 1)["_foreach_values"] == elements
    assert runs.new("work", 2)["_foreach_values_0"] == elements


def test_a_run_that_is_not_there(runs: Runs) -> None:
    with pytest.raises(CommandException, match="no run 17 of the flow Sketch"):
        Origin(runs.storage, FLOW, "17")
    runs.metadata.new_run("Other", tags=[], system_tags=[])
    with pytest.raises(CommandException, match="no run"):
        Origin(runs.storage, "Other", runs.origin)


def test_parameters_under_another_id(runs: Runs) -> None:
    """The original names the pseudo-task by the id that its metadata gives out."""
    run = runs.metadata.new_run(FLOW, tags=[], system_tags=[])
    runs.origin = run
    runs.task(PARAMETERS, "17", to=None, alpha=1)
    assert "alpha" in Origin(runs.storage, FLOW, run).parameters.objects
