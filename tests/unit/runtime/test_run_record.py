"""What the engine writes about an attempt, and how it closes one whose process died."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from metaflow.compute.protocol import Ended, Started
from metaflow.compute.report import TaskReport
from metaflow.exception import StorageUnavailable, TaskFailed, TaskKilled
from metaflow.metadata_provider.entries import FactsEntry
from metaflow.metadata_provider.local import LocalMetadata
from metaflow.metadata_provider.protocol import Fact, TaskPath
from metaflow.runtime.events import Launch, TaskRef
from metaflow.runtime.record import AttemptRecord
from metaflow.runtime.run_record import RunRecord
from metaflow.store.artifacts import Artifacts, TaskIndex, read_index, save_artifacts
from metaflow.store.blobs import Blobs
from metaflow.store.layout import PARAMETERS
from metaflow.store.local import LocalStorage
from support.present import present
from support.sketch import graph_of

FLOW = "Numbers"
SKETCH = "start > work * xs; work > join; join(inputs) > end; end"
LAUNCH = Launch(2, "work", 1, 3, (TaskRef("start", 1),), 1)
KILLED = TaskKilled("the step 'work' did not finish: it was killed", signal=9)


class Run:
    """A run in which the task 2 has its second attempt."""

    def __init__(self, directory: Path) -> None:
        root = str(directory / ".metaflow")
        self.storage, self.metadata = LocalStorage(root), LocalMetadata(root)
        self.id = self.metadata.new_run(FLOW, tags=[], system_tags=[])
        self.failures: list[Exception] = []
        graph = graph_of(directory, SKETCH)
        self.record = RunRecord(FLOW, self.id, graph, self.storage, self.metadata, ["s"], self.failures.append)
        self.path = TaskPath(FLOW, self.id, "work", "2")

    def store(self, step: str, task: str, attempt: int, *, done: bool = True, **values: Any) -> None:
        record = AttemptRecord(
            TaskPath(FLOW, self.id, step, task), attempt, self.storage, self.metadata, tags=[], system_tags=[]
        )
        record.begin()
        index = TaskIndex({}, {}, attempt)
        save_artifacts(Blobs(self.storage, FLOW), values.items(), index)
        if done:
            record.close(index, ok=bool(values.get("_task_ok")))
        else:
            record.store.write(record.store.index(index))

    def close(self, failure: TaskFailed = KILLED, launch: Launch = LAUNCH) -> None:
        asyncio.run(self.record.close(launch, failure, ["t"]))

    def stored(self) -> TaskReport | None:
        return asyncio.run(self.record.stored(LAUNCH))

    def artifacts(self) -> Artifacts:
        index = read_index(self.storage, str(self.path))
        assert index is not None
        assert index.attempt == 1
        return Artifacts(Blobs(self.storage, FLOW), index)

    def facts(self) -> dict[str, Any]:
        return {fact["field_name"]: fact["value"] for fact in self.metadata.facts(self.path)}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def test_an_attempt_without_a_done_marker_has_not_ended(run: Run) -> None:
    assert run.stored() is None
    run.store("work", "2", 1, done=False, _task_ok=True, _transition=(["join"], None))
    assert run.stored() is None
    run.close()
    assert run.artifacts()["_task_ok"] is False


def test_an_attempt_that_closed_itself(run: Run) -> None:
    run.store("work", "2", 0, _task_ok=False)
    run.store("work", "2", 1, _task_ok=True, _transition=(["join"], None), _foreach_num_splits=None)
    assert run.stored() == TaskReport(("join",))


def test_a_failed_attempt_that_closed_itself(run: Run) -> None:
    run.store("work", "2", 1, _task_ok=False, _failure=KILLED.record())
    assert present(present(run.stored()).failure).record() == KILLED.record()


def test_a_dead_attempt_is_closed(run: Run) -> None:
    run.store("start", "1", 0, _task_ok=True, _foreach_stack=[], _foreach_var="xs", _foreach_num_splits=9)
    run.store("work", "2", 0, _task_ok=False)
    run.close()
    values = run.artifacts()
    assert (values["_task_ok"], values["_success"]) == (False, False)
    assert values["_exception"].type == "metaflow.exception.TaskKilled"
    assert TaskFailed.from_record(values["_failure"]).record() == KILLED.record()
    (frame,) = values["_foreach_stack"]
    assert frame == ("work", "xs", 9, 3, None)
    assert json.loads(run.facts()["failure"]) == KILLED.record()
    assert run.facts()["attempt_ok"] == "False"


def test_a_task_that_never_began_is_registered_and_closed(run: Run) -> None:
    run.close(TaskFailed("no process for it"))
    document = present(run.metadata.get(run.path))
    assert (document["tags"], document["system_tags"]) == (["t"], ["s"])
    assert run.artifacts()["_exception"].exception == "no process for it"
    assert run.facts()["attempt"] == "1"


def test_parameters_are_before_the_first_task(run: Run) -> None:
    run.store(PARAMETERS, "0", 0, _foreach_stack=[])
    run.close(launch=Launch(1, "start", 0, None, (TaskRef(PARAMETERS, 0),)))
    index = present(read_index(run.storage, f"{FLOW}/{run.id}/start/1"))
    assert Artifacts(Blobs(run.storage, FLOW), index)["_foreach_stack"] == []


def test_a_storage_that_takes_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise StorageUnavailable("Cannot write: No space left on device.")

    monkeypatch.setattr(LocalStorage, "put", full)
    with pytest.raises(StorageUnavailable, match="No space left"):
        run.close()


def test_a_task_elsewhere_is_registered_when_it_starts_and_what_it_carries_home_is_written(run: Run) -> None:
    async def live() -> None:
        run.record.started(LAUNCH, Started(2, 1, "pod x", {"pod": "x"}), ["t"])
        await run.record.written()
        assert run.record.is_readable(LAUNCH)
        assert run.facts() == {"attempt": "1", "ds-type": "local", "ds-root": run.storage.root, "pod": "x"}
        carried = FactsEntry(run.path, 1, [Fact("attempt", "1", "attempt"), Fact("node", "n", "node")])
        run.record.ended(LAUNCH, Ended(2, 1, 0, None, TaskReport(("join",), entries=(carried,)), facts={"peak": "9"}))
        await run.record.written()

    asyncio.run(live())
    assert run.facts().items() >= {"node": "n", "peak": "9"}.items()
    assert len(run.metadata.facts(run.path, "attempt")) == 1, "the engine had recorded it already"
    assert present(run.metadata.get(run.path))["tags"] == ["t"]


def test_a_retry_says_why(run: Run) -> None:
    async def live() -> None:
        run.record.retried(LAUNCH, KILLED, 90.0)
        await run.record.written()

    asyncio.run(live())
    assert run.facts() == {
        "retry-reason": f"killed: {KILLED.message}",
        "retry-of": "attempt 0 of at most 2",
        "minutes_between_retries": "1.5",
    }
