"""Step and Task: attempts, states, data, logs, lineage."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime
from typing import Any

import pytest

from metaflow.client import DataArtifact, Run, Step, Task
from metaflow.exception import MetaflowExceptionWrapper, MetaflowNotFound, StepRaised, TaskKilled
from metaflow.store.local import LocalStorage
from support.present import present

from .written import Place

ERROR = MetaflowExceptionWrapper(ValueError("first try"))


def test_tasks_come_latest_first(place: Place) -> None:
    run = Run(place.foreach(12).path)
    assert [task.id for task in run["work"]] == [str(id) for id in range(13, 1, -1)]
    assert present(run["work"].task) == run["work"]["13"]
    assert Step(f"{run.pathspec}/work").parent == run
    assert "13" in run["work"]
    assert "14" not in run["work"]


def test_data_of_a_task(place: Place) -> None:
    run = Run(place.foreach().path)
    task = run["work"]["3"]
    assert task["doubled"].data == 2
    assert task.data.doubled == 2
    assert [artifact.id for artifact in task] == ["doubled"]
    assert task.artifacts.doubled == task["doubled"]
    assert repr(task.data) == "<MetaflowData: doubled>"
    assert "doubled" in task.data
    assert "doubled" in dir(task.data)
    assert "_foreach_stack" not in task.data
    assert "_foreach_stack" in task
    assert task["_success"].data is True
    assert task.index == 1
    assert present(run["end"].task).index is None
    with pytest.raises(AttributeError, match="did you mean 'doubled'"):
        task.data.dubled
    with pytest.raises(AttributeError, match="'_success'"):
        task.data._success


def test_an_artifact(place: Place) -> None:
    written = place.foreach()
    artifact = DataArtifact(f"{written.path}/work/3/doubled")
    same = Task(f"{written.path}/start/1")["items"]
    assert artifact.data == 2
    assert artifact.size == len(pickle.dumps(2, 5))
    assert len(artifact.sha) == 40
    assert artifact.sha != same.sha
    assert artifact.created_at == artifact.finished_at
    assert artifact.parent == Task(f"{written.path}/work/3")
    assert artifact.path_components == [*written.path.split("/"), "work", "3", "doubled"]


def test_attempts(place: Place) -> None:
    written = place.run()
    written.task("start", "1", error=ERROR, tried=0, gone=True)
    written.task("start", "1", attempt=1, tried=1)
    written.begin("start", "1", 2)
    path = f"{written.path}/start/1"
    task, first = Task(path), Task(path, attempt=0)
    assert (task.current_attempt, first.current_attempt) == (2, 0)
    assert (task.data.tried, first.data.tried) == (1, 0)
    assert (task.successful, first.successful) == (True, False)
    assert (task.finished, first.finished) == (True, False)
    assert task.exception is None
    assert first.exception.exception == "first try"
    assert "gone" in first
    assert "gone" not in task
    assert DataArtifact(f"{path}/gone", attempt=0).data is True
    assert first["gone"].parent == first
    assert [fact.value for fact in first.metadata if fact.name == "attempt-done"] == ["0"]
    assert [fact.value for fact in task.metadata if fact.name == "attempt-done"] == ["0", "1"]
    assert task.metadata_dict["attempt"] == "2"
    assert repr(first) == f"Task('{path}', attempt=0)"
    assert list(Task(path, attempt=2).data.__dir__())
    assert Task(path, attempt=2).finished_at is None
    for wrong in (-1, "x", 1.5):
        with pytest.raises(MetaflowNotFound, match="number of an attempt"):
            Task(path, attempt=wrong)  # type: ignore[arg-type]
    with pytest.raises(MetaflowNotFound, match="no attempts"):
        Run(written.path, attempt=0)
    with pytest.raises(MetaflowNotFound, match="in attempt 1"):
        DataArtifact(f"{path}/gone", attempt=1)


def test_a_task_is_seen_as_it_goes_on(place: Place) -> None:
    written = place.run()
    written.begin("start", "1")
    task = Task(f"{written.path}/start/1")
    assert (task.finished, task.successful, task.finished_at, list(task)) == (False, False, None, [])
    written.task("start", "1", error=ERROR)
    assert (task.finished, task.successful, task.exception is not None) == (False, False, True)
    written.task("start", "1", attempt=1, x=1)
    assert (task.finished, task.successful, task.exception, task.data.x) == (True, True, None, 1)


def test_facts(place: Place) -> None:
    written = place.run()
    written.task("start", "1")
    written.facts("start", "1", 0, runtime="dev", fact="one")
    written.facts("start", "1", 0, fact="two")
    task = Task(f"{written.path}/start/1")
    assert task.metadata_dict["fact"] == "two"
    last = [fact for fact in task.metadata if fact.name == "fact"][-1]
    assert (last.value, last.type, last.task) == ("two", "fact", task)
    assert abs(last.created_at / 1000 - datetime.now(UTC).timestamp()) < 60
    assert task.runtime_name == "dev"
    assert task.code is None
    assert task.environment_info is None


def test_logs(place: Place) -> None:
    written = place.run()
    written.task("start", "1", error=ERROR)
    written.print("start", "1", b"one", b"", b"\xff\r")
    written.print("start", "1", b"trouble", stream="stderr")
    task = Task(f"{written.path}/start/1")
    assert task.stdout == "one\n\n\ufffd\r\n"
    assert task.stderr == "trouble\n"
    assert task.stdout_size > len(task.stdout)
    lines = list(task.loglines("stdout"))
    assert lines[:2] == [(datetime(1970, 1, 1), "one"), (datetime(1970, 1, 1, 0, 0, 1), "")]
    assert list(task.loglines("stdout", as_unicode=False))[2][1] == b"\xff\r"
    written.begin("start", "1", 1)
    assert task.stdout == ""
    written.print("start", "1", b"again", attempt=1)
    assert task.stdout == "again\n"
    assert Task(task.pathspec, attempt=0).stderr == "trouble\n"
    assert [line for _, line in task.loglines("stderr", meta_dict={"attempt": "0"})] == ["trouble"]
    with pytest.raises(ValueError, match="stdlog"):
        list(task.loglines("stdlog"))


def test_when_a_step_finished(place: Place) -> None:
    written = place.run()
    written.task("work", "1")
    step = Step(f"{written.path}/work")
    assert step.finished_at == step["1"].finished_at
    written.begin("work", "2")
    assert step.finished_at is None
    written.task("work", "2")
    assert step.finished_at == step["2"].finished_at


def test_lineage(place: Place) -> None:
    run = Run(place.foreach().path)
    assert [step.id for step in run["work"].parent_steps] == ["start"]
    assert [step.id for step in run["work"].child_steps] == ["join"]
    assert list(run["start"].parent_steps) == []
    middle = run["work"]["3"]
    assert list(middle.parent_tasks) == [run["start"]["1"]]
    assert list(middle.child_task_pathspecs) == [f"{run.pathspec}/join/5"]
    assert {task.id for task in present(run["join"].task).parent_tasks} == {"2", "3", "4"}
    assert {task.id for task in present(run["start"].task).child_tasks} == {"2", "3", "4"}


def test_lineage_in_nested_foreaches(place: Place) -> None:
    written = place.run()
    written.task("start", "1", frames=[("start", 0)])
    written.task("start", "2", frames=[("start", 1)])
    for id, (outer, inner) in enumerate([(0, 0), (0, 1), (1, 0)], start=3):
        written.task("work", str(id), frames=[("start", outer), ("work", inner)])
    run = Run(written.path)
    assert [task.id for task in run["work"]["4"].parent_tasks] == ["1"]
    assert {task.id for task in run["start"]["1"].child_tasks} == {"3", "4"}
    assert {task.id for task in run["start"]["2"].child_tasks} == {"5"}


def test_lineage_where_several_branches_come_to_one_step(place: Place) -> None:
    shared: dict[str, dict[str, Any]] = {
        "start": {"type": "split-static", "next": ["side", "s"]},
        "side": {"type": "split-switch", "next": ["s", "join"], "switch_cases": {"x": "s", "y": "join"}},
        "s": {"type": "linear", "next": ["t"]},
        "t": {"type": "linear", "next": ["join"]},
        "join": {"type": "join", "next": ["end"]},
        "end": {"type": "end", "next": []},
    }
    written = place.run()
    written.task("_parameters", "0", _graph_info={"steps": shared})
    written.task("start", "1")
    written.task("side", "2")
    for name, of_side, of_s in ("s", "3", "4"), ("t", "5", "6"):
        written.task(name, of_side, _branches=("side",))
        written.task(name, of_s, _branches=("s",))
    written.task("join", "7")
    written.task("end", "8")
    run = Run(written.path)
    ways = {"1": "24", "2": "37", "3": "5", "4": "6", "5": "7", "6": "7", "7": "8", "8": ""}
    tasks = {task.id: task for name in shared for task in run[name]}
    assert {id: "".join(sorted(child.id for child in task.child_tasks)) for id, task in tasks.items()} == ways
    parents = {id: {parent.id for parent in task.parent_tasks} for id, task in tasks.items()}
    assert parents == {id: {before for before, after in ways.items() if id in after} for id in ways}


def test_control_tasks(place: Place) -> None:
    written = place.foreach()
    written.facts("work", "2", 0, internal_task_type="control_task")
    run = Run(written.path)
    assert run["work"].control_task == run["work"]["2"]
    assert run["end"].control_task is None


def test_data_in_another_storage(place: Place) -> None:
    written = place.run()
    elsewhere = f"{place.directory}/elsewhere"
    path = f"{written.path}/start/1"
    home, place.storage = place.storage, LocalStorage(elsewhere)
    written.task("start", "1", x=1)
    place.storage = home
    task = Task(path)
    assert list(task) == []
    written.facts("start", "1", 0, **{"ds-type": "local", "ds-root": elsewhere})
    assert task.data.x == 1
    assert task.current_attempt == 0


# --- how a task stands -----------------------------------------------------------------------------------------------

BAD = MetaflowExceptionWrapper(ValueError("bad"), "text")


def test_the_failure_of_each_attempt(place: Place) -> None:
    run = place.run()
    killed = TaskKilled("the step 'work' did not finish: it was killed", peak_mb=12.0)
    run.task("work", "2", 0, error=BAD, _failure=killed.record())
    run.task("work", "2", 1)
    first = Task(f"{run.path}/work/2", attempt=0).failure
    assert type(first) is TaskKilled
    assert first.record() == killed.record()
    assert first.peak_mb == 12.0  # type: ignore[attr-defined]
    assert Task(f"{run.path}/work/2", attempt=1).failure is None
    assert Task(f"{run.path}/work/2").failure is None


def test_a_failure_as_metaflow_stores_it(place: Place) -> None:
    run = place.run()
    run.task("work", "2", error=BAD)
    failure = Task(f"{run.path}/work/2").failure
    assert type(failure) is StepRaised
    assert failure.message == "builtins.ValueError: bad"


def test_a_caught_failure(place: Place) -> None:
    run = place.run()
    run.task("work", "2", _success=False, _catch_exception=BAD)
    run.task("join", "3", _catch_exception=BAD)
    task = Task(f"{run.path}/work/2")
    assert task.status == "caught"
    assert str(task.failure) == "builtins.ValueError: bad"
    assert Task(f"{run.path}/join/3").failure is None, "it has the artifact from the task before"


def test_what_is_known_of_a_copy_of_a_copy(place: Place) -> None:
    first, second, third = (place.run() for _ in range(3))
    first.task("work", "2")
    first.facts("work", "2", 0, python_version="3.11", user="ann")
    for run, origin in ((second, first), (third, second)):
        run.task("work", "2")
        run.facts("work", "2", 0, **{"origin-run-id": origin.id, "origin-task-id": "2"})
    second.facts("work", "2", 0, user="bob")
    facts = Task(f"{third.path}/work/2").metadata_dict
    assert (facts["python_version"], facts["user"], facts["origin-run-id"]) == ("3.11", "bob", second.id)
    third.facts("work", "2", 0, **{"origin-run-id": third.id})  # a circle, whoever made it
    assert Task(f"{third.path}/work/2").metadata_dict["origin-run-id"] == third.id
