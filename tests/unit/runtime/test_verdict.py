"""What is made of the end of an attempt: how it counts, why it failed, and the record of a process that died."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from metaflow.compute.endings import PEAK_FACT
from metaflow.compute.protocol import Ended
from metaflow.compute.report import TaskReport
from metaflow.exception import StorageUnavailable, TaskFailed, TaskKilled, TaskOutOfMemory
from metaflow.metadata_provider.local import LocalMetadata
from metaflow.metadata_provider.protocol import TaskPath
from metaflow.runtime.events import Launch, TaskRef
from metaflow.runtime.record import AttemptRecord
from metaflow.runtime.verdict import Judge, Verdict
from metaflow.store.artifacts import Artifacts, TaskIndex, read_index, save_artifacts
from metaflow.store.blobs import Blobs
from metaflow.store.layout import PARAMETERS
from metaflow.store.local import LocalStorage
from support.sketch import graph_of

FLOW = "Numbers"
SKETCH = "start > work * xs; work > join; join(inputs) > end; end"
LAUNCH = Launch(2, "work", 1, 3, (TaskRef("start", 1),), 1)


class Court:
    """A run in which the task 2 has its second attempt."""

    def __init__(self, directory: Path) -> None:
        root = str(directory / ".metaflow")
        self.storage, self.provider = LocalStorage(root), LocalMetadata(root)
        self.run = self.provider.new_run(FLOW, tags=[], system_tags=[])
        self.judge = Judge(FLOW, self.run, graph_of(directory, SKETCH), self.storage, self.provider, ["s"])
        self.path = TaskPath(FLOW, self.run, "work", "2")

    def store(self, step: str, task: str, attempt: int, *, done: bool = True, **values: Any) -> None:
        record = AttemptRecord(
            TaskPath(FLOW, self.run, step, task), attempt, self.storage, self.provider, tags=[], system_tags=[]
        )
        record.begin()
        index = TaskIndex({}, {}, attempt)
        save_artifacts(Blobs(self.storage, FLOW), values.items(), index)
        if done:
            record.close(index, ok=bool(values.get("_task_ok")))
        else:
            record.store.write(record.store.index(index))

    def of(self, *, told: TaskReport | None = None, stopped: bool = False, **ending: Any) -> Verdict:
        ended = Ended(
            2, 1, ending.get("code"), ending.get("signal"), told, ending.get("failure"), ending.get("facts", {})
        )
        return self.judge.of(LAUNCH, ended, ["t"], is_stopped=stopped)

    def stored(self) -> Artifacts:
        index = read_index(self.storage, str(self.path))
        assert index is not None
        assert index.attempt == 1
        return Artifacts(Blobs(self.storage, FLOW), index)

    def facts(self) -> dict[str, Any]:
        return {fact["field_name"]: fact["value"] for fact in self.provider.facts(self.path)}


def failure_in(verdict: Verdict) -> TaskFailed:
    assert verdict.report.failure is not None
    return verdict.report.failure


@pytest.fixture
def court(tmp_path: Path) -> Court:
    return Court(tmp_path)


def test_a_word_of_success_is_believed(court: Court) -> None:
    verdict = court.of(told=TaskReport(("join",)), code=0)
    assert verdict == Verdict(TaskReport(("join",)))


def test_a_transition_that_the_source_does_not_have(court: Court) -> None:
    verdict = court.of(told=TaskReport(("end",)), code=0)
    assert verdict.report.failure is not None
    assert "went on to end" in verdict.report.failure.message


def test_a_failure_that_was_told(court: Court) -> None:
    court.store("work", "2", 1, _task_ok=False)
    failure = TaskOutOfMemory("the step 'work' got no more memory", peak_mb=9.0)
    verdict = court.of(told=TaskReport(failure=failure), code=1)
    assert verdict.is_told
    assert verdict.report.failure is failure
    assert "_exception" not in court.stored(), "the task closed its attempt itself"


def test_a_dead_attempt_is_closed(court: Court) -> None:
    court.store("start", "1", 0, _task_ok=True, _foreach_stack=[], _foreach_var="xs", _foreach_num_splits=9)
    court.store("work", "2", 0, _task_ok=False)
    verdict = court.of(signal=9, facts={PEAK_FACT: "512"})
    assert not verdict.is_told
    failure = verdict.report.failure
    assert type(failure) is TaskKilled
    assert failure.values == {"signal": 9, "peak_mb": 512.0}
    values = court.stored()
    assert (values["_task_ok"], values["_success"]) == (False, False)
    assert values["_exception"].type == "metaflow.exception.TaskKilled"
    assert TaskFailed.from_record(values["_failure"]).record() == failure.record()
    (frame,) = values["_foreach_stack"]
    assert frame == ("work", "xs", 9, 3, None)
    assert json.loads(court.facts()["failure"]) == failure.record()
    assert court.facts()["attempt_ok"] == "False"


def test_a_task_that_never_began_is_registered_and_closed(court: Court) -> None:
    assert failure_in(court.of(code=None, failure=TaskFailed("no process for it"))).message == "no process for it"
    document = court.provider.get(court.path)
    assert document is not None
    assert (document["tags"], document["system_tags"]) == (["t"], ["s"])
    assert court.stored()["_exception"].exception == "no process for it"
    assert court.facts()["attempt"] == "1"


def test_an_index_without_a_done_marker_is_not_the_end(court: Court) -> None:
    court.store("work", "2", 1, done=False, _task_ok=True, _transition=(["join"], None))
    assert failure_in(court.of(signal=9)).kind == "killed"
    assert court.stored()["_task_ok"] is False


def test_a_process_that_died_after_its_last_word_to_the_storage(court: Court) -> None:
    court.store("work", "2", 1, _task_ok=True, _transition=(["join"], None), _foreach_num_splits=None)
    assert court.of(signal=9) == Verdict(TaskReport(("join",)))


def test_a_failed_attempt_that_closed_itself_and_told_nobody(court: Court) -> None:
    failure = TaskOutOfMemory("the step 'work' got no more memory")
    court.store("work", "2", 1, _task_ok=False, _failure=failure.record())
    verdict = court.of(signal=9)
    assert verdict.is_told
    assert failure_in(verdict).kind == "memory"


def test_what_the_engine_ended_is_cancelled(court: Court) -> None:
    assert failure_in(court.of(signal=15, stopped=True)).kind == "cancelled"


def test_a_storage_that_takes_nothing(court: Court, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise StorageUnavailable("Cannot write: No space left on device.")

    monkeypatch.setattr(LocalStorage, "put", full)
    verdict = court.of(signal=9)
    assert failure_in(verdict).kind == "killed"
    assert "No space left" in str(verdict.trouble)


def test_parameters_are_before_the_first_task(court: Court) -> None:
    court.store(PARAMETERS, "0", 0, _foreach_stack=[])
    verdict = court.judge.of(Launch(1, "start", 0, None, (TaskRef(PARAMETERS, 0),)), Ended(1, 0, 3, None), [])
    assert failure_in(verdict).kind == "exited"
