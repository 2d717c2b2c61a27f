"""What all client objects share: paths, namespaces, errors, identity, pickles."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from metaflow.client import (
    DataArtifact,
    Flow,
    Metaflow,
    Run,
    Step,
    Task,
    default_namespace,
    get_metadata,
    get_namespace,
    metadata,
    namespace,
)
from metaflow.exception import (
    CommandException,
    MetaflowException,
    MetaflowInvalidPathspec,
    MetaflowNamespaceMismatch,
    MetaflowNotFound,
)
from support.present import present

from .written import Place


@pytest.mark.parametrize(
    ("level", "path"),
    [
        (Flow, ""),
        (Flow, "a/b"),
        (Flow, "Numbers/"),
        (Run, "Numbers"),
        (Run, "/Numbers/1"),
        (Run, "Numbers/1/start"),
        (Run, None),
        (Run, 3),
        (Step, "Numbers/.."),
        (Task, "Numbers/1/start"),
        (Task, "Numbers/1/../.."),
        (DataArtifact, "Numbers/1/start/1"),
        (Flow, "Num\0bers"),
        (Run, f"Numbers/{'9' * 256}"),
        (Run, f"Numbers/{'9' * 5000}"),
        (Step, "Numbers/1/\ud800"),
    ],
)
def test_paths_of_another_depth(place: Place, level: Any, path: Any) -> None:
    with pytest.raises(MetaflowInvalidPathspec) as caught:
        level(path)
    assert "FlowName" in str(caught.value.hint)
    assert len(caught.value.message) < 120


@pytest.mark.parametrize("name", ["9" * 256, "9" * 5000, "a\0b", "\ud800", "ü" * 128])
def test_names_that_no_object_can_have(place: Place, name: str) -> None:
    run = place.run()
    for there in (Flow("Numbers"), Run(run.path)):
        assert name not in there
        with pytest.raises(KeyError):
            there[name]


@pytest.mark.parametrize(
    ("level", "path", "says", "hint"),
    [
        (Flow, "Nombers", "no flow 'Nombers'", "did you mean 'Numbers'"),
        (Run, "Nombers/1", "no flow 'Nombers'", "did you mean 'Numbers'"),
        (Run, "Numbers/1", "Numbers has no run '1'", "existing runs: "),
        (Task, "Numbers/1/start/1", "Numbers has no run '1'", "existing runs: "),
        (Step, "{run}/strat", "has no step 'strat'", "did you mean 'start'"),
        (Task, "{run}/work/99", "{run}/work has no task '99'", "existing tasks: 4, 3, 2"),
        (DataArtifact, "{run}/work/2/dubbled", "has no artifact 'dubbled'", "did you mean 'doubled'"),
        (DataArtifact, "{run}/wirk/2/doubled", "{run} has no step 'wirk'", "did you mean 'work'"),
    ],
)
def test_errors_name_what_is_missing_and_what_is_there(
    place: Place, level: Any, path: str, says: str, hint: str
) -> None:
    run = place.foreach().path
    with pytest.raises(MetaflowNotFound) as caught:
        level(path.format(run=run))
    assert says.format(run=run) in str(caught.value)
    assert hint in str(caught.value.hint)


def test_a_missing_child_is_a_key_error(place: Place) -> None:
    run = Run(place.foreach().path)
    for container, key in ((run, "nope"), (run["start"], "99"), (run["start"]["1"], "nope"), (run, ".."), (run, "")):
        with pytest.raises(KeyError) as caught:
            container[key]
        assert isinstance(caught.value, MetaflowNotFound)
        assert "has no" in str(caught.value)
        assert key not in container
    with pytest.raises(MetaflowNotFound):
        Metaflow()["Nope"]
    assert run["start"][1] == run["start"]["1"]
    assert 1 in run["start"]
    assert 99 not in run["start"]
    assert True not in run["start"]


def test_a_namespace_hides_what_is_not_in_it(place: Place) -> None:
    mine, theirs = place.foreach(user="ann", tags=["shared"]), place.foreach(user="bob")
    place.run("Other", user="bob")
    assert namespace("user:ann") == get_namespace() == "user:ann"
    assert [flow.id for flow in Metaflow()] == ["Numbers"]
    flow = Flow("Numbers")
    assert [run.id for run in flow] == [mine.id]
    assert flow.latest_run == Run(mine.path)
    assert theirs.id in flow
    for level, path in (
        (Run, theirs.path),
        (Task, f"{theirs.path}/end/6"),
        (DataArtifact, f"{theirs.path}/end/6/total"),
    ):
        with pytest.raises(MetaflowNamespaceMismatch) as caught:
            level(path)
        assert "user:bob" in str(caught.value)
        assert "namespace('user:bob')" in str(caught.value.hint)
    with pytest.raises(MetaflowNamespaceMismatch):
        flow[theirs.id]
    with pytest.raises(MetaflowNamespaceMismatch, match="none of its runs"):
        Flow("Other")
    assert Run(theirs.path, _namespace_check=False).id == theirs.id
    namespace("shared")
    assert [run.id for run in Flow("Numbers")] == [mine.id]
    namespace(None)
    assert len(list(Flow("Numbers"))) == 2
    assert get_namespace() is None


def test_objects_keep_the_namespace_they_were_found_in(place: Place) -> None:
    written = place.foreach()
    run = Run(written.path)
    namespace("user:nobody")
    assert not run.is_in_namespace()
    assert not present(run["end"].task).is_in_namespace()
    assert run["work"]["2"].data.doubled == 0
    assert len(list(run)) == 4
    with pytest.raises(MetaflowNamespaceMismatch):
        Run(written.path)
    namespace("user:ann")
    assert run.is_in_namespace()


def test_the_default_namespace_is_the_user(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METAFLOW_USER", "carol")
    assert get_namespace() is None
    assert default_namespace() == get_namespace() == "user:carol"
    with pytest.raises(TypeError, match="3"):
        namespace(3)  # type: ignore[arg-type]


def test_places_to_look_in(place: Place, tmp_path_factory: pytest.TempPathFactory) -> None:
    here = place.run()
    other = Place(str(tmp_path_factory.mktemp("other")))
    there = other.run()
    run = Run(here.path)
    assert metadata(other.directory) == get_metadata() == f"local@{other.directory}"
    assert Run(there.path).id == there.id
    assert present(run["_parameters"].task).data.alpha == 0.5
    with pytest.raises(MetaflowNotFound):
        Run(here.path)
    assert metadata(f"local@{place.root}") == f"local@{place.directory}"
    for wrong in ("/nowhere", "local@/nowhere"):
        with pytest.raises(MetaflowNotFound, match="/nowhere"):
            metadata(wrong)
    with pytest.raises(CommandException):
        metadata("floppy@a")
    assert metadata("http://localhost:1") == metadata("service@http://localhost:1/") == "service@http://localhost:1"
    metadata(place.directory)
    assert get_metadata() == f"local@{place.directory}"


def test_the_function_and_the_room_share_a_name(place: Place) -> None:
    import metaflow.metadata_provider.local  # noqa: F401 - from now on the package has the name
    from metaflow import metadata as either

    assert either(place.directory) == get_metadata()


def test_equality_and_hashes(place: Place) -> None:
    path = place.foreach().path
    assert Run(path) == Run(path)
    assert Run(path) != Flow("Numbers")
    assert Task(f"{path}/end/6") != Task(f"{path}/end/6", attempt=0)
    assert len({Run(path), Run(path), Run(path)["end"].parent}) == 1
    assert repr(Run(path)) == f"Run('{path}')"
    assert Flow("Numbers").parent is None


@pytest.mark.parametrize("through", [pickle.dumps, copy.deepcopy])
def test_objects_can_be_pickled(place: Place, through: Any) -> None:
    run = Run(place.foreach().path)
    task = Task(f"{run.pathspec}/end/6", attempt=0)
    for thing in (run, run.parent, run["work"], task, task["total"]):
        again = through(thing)
        again = pickle.loads(again) if isinstance(again, bytes) else again
        assert again == thing
    data = through(task.data)
    assert (pickle.loads(data) if isinstance(data, bytes) else data).total == 3
    namespace("user:nobody")
    assert pickle.loads(pickle.dumps(run))["end"].task.data.total == 3


def test_pickles_have_the_form_of_metaflow(place: Place) -> None:
    run = Run(place.foreach().path)
    assert run.__getstate__() == {
        "version": "2.12.27",
        "data": [run.pathspec, None, f"local@{place.directory}", None, False],
    }
    assert b"metaflow.client.core" in pickle.dumps(run)


def test_a_pickle_from_another_machine(place: Place) -> None:
    run = Run(place.foreach().path)
    state = run.__getstate__()
    state["data"][2] = "local@/not/here"
    again = Run.__new__(Run)
    again.__setstate__(state)
    assert again.successful


def test_a_place_without_runs(place: Place) -> None:
    assert Metaflow().flows == []
    with pytest.raises(MetaflowException, match="no flow 'Numbers'") as caught:
        Flow("Numbers")
    assert caught.value.hint == "there is no flow at all"


def test_keys_are_completed(place: Place) -> None:
    run = Run(place.foreach().path)
    assert set(run._ipython_key_completions_()) == {"start", "work", "join", "end"}
    assert Metaflow()._ipython_key_completions_() == ["Numbers"]
