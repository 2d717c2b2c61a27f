"""Metaflow, Flow and Run: listings, order, states, tags."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from metaflow.client import Flow, Metaflow, Run, Task, namespace
from metaflow.exception import (
    CommandException,
    MetaflowExceptionWrapper,
    MetaflowTaggingError,
    RunFailed,
    TaskLost,
)
from metaflow.metadata_provider.lease import lease_of
from support.present import present

from .written import Place, WrittenRun


def test_flows_of_another_namespace_are_not_contained(place: Place) -> None:
    place.run("Numbers")
    assert "Numbers" in Metaflow()
    assert "Nowhere" not in Metaflow()
    namespace("user:nobody")
    assert "Numbers" not in Metaflow()
    assert [flow.id for flow in Metaflow()] == []


def test_flows_are_listed_by_name(place: Place) -> None:
    assert list(Metaflow()) == []
    for name in ("Second", "First"):
        place.run(name)
    assert [flow.id for flow in Metaflow()] == ["First", "Second"]
    assert Metaflow().flows == [Flow("First"), Flow("Second")]
    assert Metaflow()["First"] == Flow("First")
    assert "First" in Metaflow()
    assert "Third" not in Metaflow()


def test_runs_come_newest_first(place: Place) -> None:
    ids = [place.run().id for _ in range(3)]
    flow = Flow("Numbers")
    assert [run.id for run in flow] == ids[::-1]
    assert flow.latest_run == Run(f"Numbers/{ids[2]}")
    assert flow[ids[0]].id == ids[0]
    assert flow.latest_successful_run is None


def test_ids_that_are_no_numbers_are_ordered_by_date(place: Place) -> None:
    run = place.run()
    for name in ("t-b", "t-a", "t-c"):
        run.task("start", name)
    written = {task.id: task.created_at for task in Run(run.path)["start"]}
    assert list(written) == sorted(written, key=lambda id: (written[id], id), reverse=True)


def test_steps_come_latest_first_and_without_parameters(place: Place) -> None:
    run = Run(place.foreach().path)
    assert {step.id for step in run} == {"start", "work", "join", "end"}
    dates = [step.created_at for step in run]
    assert dates == sorted(dates, reverse=True)
    assert "_parameters" in run
    assert present(run["_parameters"].task).data.alpha == 0.5


def test_a_whole_run(place: Place) -> None:
    run = Run(place.foreach(tags=["t"]).path)
    assert run.successful
    assert run.finished
    assert run.finished_at == present(run["end"].task).finished_at
    assert run.end_task == run["end"]["6"]
    assert present(run.data).total == 3
    assert run.code is None
    assert run.trigger is None
    assert run.origin_pathspec is None
    assert run.parent == Flow("Numbers")
    assert run.path_components == ["Numbers", run.id]
    assert Flow("Numbers").latest_successful_run == run


def test_a_run_that_goes_on(place: Place) -> None:
    written = place.run()
    run = Run(written.path)
    assert (run.successful, run.finished, run.finished_at, run.end_task, run.data) == (False, False, None, None, None)
    written.begin("end", "1")
    assert run.end_task is not None
    assert (run.successful, run.finished, run.finished_at) == (False, False, None)
    assert dir(run.data)
    written.task("end", "1", total=1)
    assert (run.successful, run.finished, present(run.data).total) == (True, True, 1)


def test_a_run_that_failed_at_its_end(place: Place) -> None:
    written = place.run()
    written.task("end", "1", error=MetaflowExceptionWrapper(ValueError("no")), total=1)
    run = Run(written.path)
    assert not run.successful
    assert not run.finished
    assert run.finished_at is not None
    assert present(run.data).total == 1


def test_the_end_of_a_run_may_have_another_name(place: Place) -> None:
    written = place.run()
    written.facts("_parameters", "0", None, end_step="finale")
    written.task("finale", "1", total=7)
    assert present(Run(written.path).data).total == 7


def test_tags_of_everything_are_those_of_the_run(place: Place) -> None:
    run = Run(place.foreach(tags=["t"]).path)
    for thing in (run, run["work"], run["work"]["2"], run["work"]["2"]["doubled"]):
        assert thing.user_tags == {"t"}
        assert thing.system_tags == {"user:ann", "runtime:dev"}
        assert thing.tags == {"t", "user:ann", "runtime:dev"}
    assert Flow("Numbers").tags == frozenset()


def test_tags_filter(place: Place) -> None:
    runs = [Run(place.foreach(tags=tags).path) for tags in (["a"], ["a", "b"], [])]
    flow = Flow("Numbers")
    assert list(flow.runs("a")) == [runs[1], runs[0]]
    assert list(flow.runs("a", "b", "user:ann")) == [runs[1]]
    assert list(flow.runs("c")) == []
    assert list(flow.runs(max_runs=1)) == [runs[2]]
    assert list(flow.runs("a", filters={"_tags:any": ["b", "c"]}, page_size=2)) == [runs[1]]
    assert list(flow.runs(filters={"status:eq": "completed"})) == runs[::-1]
    assert list(flow.failed_runs()) == []
    for number in (0, -1):
        with pytest.raises(CommandException, match="it must be 1 or more"):
            flow.runs(max_runs=number)
    assert len(list(runs[0].steps("a"))) == 4
    assert list(runs[0].steps("b")) == []
    assert len(list(runs[0]["work"].tasks("a"))) == 3
    assert list(runs[0]["work"].tasks("b")) == []


def test_tags_can_be_changed(place: Place) -> None:
    run = Run(place.foreach(tags=["t"]).path)
    task = present(run["end"].task)
    run.add_tag("a")
    run.add_tags(["b", "c", "user:ann"])
    assert run.user_tags == {"t", "a", "b", "c"}
    run.remove_tag("t")
    run.remove_tags(tag for tag in ("c", "unknown"))
    run.replace_tag("a", "d")
    run.replace_tags(["b"], ["e"])
    assert run.user_tags == {"d", "e"}
    assert task.user_tags == {"d", "e"}
    assert Run(run.pathspec).user_tags == {"d", "e"}
    with pytest.raises(MetaflowTaggingError):
        run.remove_tag("user:ann")
    for wrong in ("", 3, None, b"x"):
        with pytest.raises(MetaflowTaggingError):
            run.add_tag(wrong)  # type: ignore[arg-type]
    assert run.user_tags == {"d", "e"}


def test_what_resume_copied_names_its_origin(place: Place) -> None:
    old, new = place.foreach(), place.run()
    new.task("start", "1", items=[0])
    new.facts("start", "1", 0, **{"origin-run-id": old.id, "origin-task-id": "1", "only-new": "x"})
    new.task("end", "2")
    new.facts("end", "2", 0, **{"origin-run-id": old.id})
    old.facts("start", "1", 0, **{"ds-type": "local", "attempt": "9"})
    run = Run(new.path)
    assert run.origin_pathspec == old.path
    assert run["start"].origin_pathspec == f"{old.path}/start"
    assert present(run["start"].task).origin_pathspec == f"{old.path}/start/1"
    assert present(run["start"].task)["items"].origin_pathspec == f"{old.path}/start/1/items"
    assert present(run["end"].task).origin_pathspec is None
    facts = present(run["start"].task).metadata_dict
    assert (facts["ds-type"], facts["attempt"], facts["only-new"]) == ("local", "0", "x")


# --- how a run stands ------------------------------------------------------------------------------------------------

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
