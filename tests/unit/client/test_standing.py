"""How runs and tasks stand, and why: `status` and `failure`, which Metaflow does not have."""

from __future__ import annotations

import json
from pathlib import Path

from metaflow.client import Run, Task
from metaflow.exception import MetaflowExceptionWrapper, RunFailed, StepRaised, TaskKilled, TaskLost
from metaflow.metadata_provider.lease import lease_of

from .written import Place, WrittenRun

ERROR = MetaflowExceptionWrapper(ValueError("bad"), "text")


def hold(run: WrittenRun, *, alive: bool) -> None:
    """Take the lease of a run, for this process or for one that is gone."""
    lease_of(run.place.provider, run.flow, run.id).take()
    if not alive:
        path = Path(run.place.root, run.path, "_meta", "lease.json")
        document = json.loads(path.read_bytes())
        document["holder"]["started"] = "1"
        path.write_text(json.dumps(document))


def test_a_run_of_metaflow_says_how_it_stands_when_it_has_ended_well(place: Place) -> None:
    whole, begun = Run(place.foreach().path), Run(place.run().path)
    assert (whole.status, whole.failure) == ("successful", None)
    assert (begun.status, begun.failure) == ("unknown", None)


def test_a_run_that_lives(place: Place) -> None:
    run = place.run()
    hold(run, alive=True)
    run.task("start", "1")
    run.begin("work", "2")
    assert (Run(run.path).status, Run(run.path).failure) == ("running", None)
    assert [Task(f"{run.path}/{task}").status for task in ("start/1", "work/2")] == ["successful", "running"]
    assert Task(f"{run.path}/work/2").failure is None


def test_a_run_whose_process_is_gone(place: Place) -> None:
    run = place.run()
    hold(run, alive=False)
    run.task("start", "1")
    run.task("work", "2", error=ERROR)
    run.begin("work", "3")
    assert not Run(run.path).finished
    assert Run(run.path).status == "lost"
    assert "is gone" in str(Run(run.path).failure)
    assert [Task(f"{run.path}/{task}").status for task in ("start/1", "work/2", "work/3")] == [
        "successful", "failed", "lost",
    ]  # fmt: skip
    failure = Task(f"{run.path}/work/3").failure
    assert type(failure) is TaskLost
    assert "the step 'work' did not finish: the process that carried out the run" in failure.message


def test_a_run_whose_process_was_killed_after_its_last_task(place: Place) -> None:
    run = place.foreach()
    hold(run, alive=False)
    assert (Run(run.path).status, Run(run.path).failure) == ("successful", None)


def test_a_run_that_says_why_it_failed(place: Place) -> None:
    run = place.run()
    hold(run, alive=True)
    lease_of(place.provider, run.flow, run.id).end("failed", RunFailed("it broke", hint="mend it", cause="memory"))
    assert Run(run.path).status == "failed"
    failure = Run(run.path).failure
    assert failure is not None
    assert (failure.message, failure.hint, failure.values) == ("it broke", "mend it", {"cause": "memory"})


def test_the_failure_of_each_attempt(place: Place) -> None:
    run = place.run()
    killed = TaskKilled("the step 'work' did not finish: it was killed", peak_mb=12.0)
    run.task("work", "2", 0, error=ERROR, _failure=killed.record())
    run.task("work", "2", 1)
    first = Task(f"{run.path}/work/2", attempt=0).failure
    assert type(first) is TaskKilled
    assert first.record() == killed.record()
    assert first.peak_mb == 12.0  # type: ignore[attr-defined]
    assert Task(f"{run.path}/work/2", attempt=1).failure is None
    assert Task(f"{run.path}/work/2").failure is None


def test_a_failure_as_metaflow_stores_it(place: Place) -> None:
    run = place.run()
    run.task("work", "2", error=ERROR)
    failure = Task(f"{run.path}/work/2").failure
    assert type(failure) is StepRaised
    assert failure.message == "builtins.ValueError: bad"


def test_a_caught_failure(place: Place) -> None:
    run = place.run()
    run.task("work", "2", _success=False, _catch_exception=ERROR)
    run.task("join", "3", _catch_exception=ERROR)
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
