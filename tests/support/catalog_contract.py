"""The contract of `Catalog`: tests that every implementation passes.

A module that wants them run makes a fixture `shelf` and imports all names from here.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest

from metaflow.exception import MetaflowNotFound, MetaflowTaggingError
from metaflow.metadata_provider.protocol import Catalog, Fact, Recorder, TaskPath
from support.present import present


class Shelf(NamedTuple):
    """A catalog, and the recorder that writes what it has."""

    catalog: Catalog
    recorder: Recorder

    def add(self, run: str, step: str = "start", task: str = "1") -> TaskPath:
        path = TaskPath("F", run, step, task)
        self.recorder.register_task(path, tags=["t"], system_tags=["user:ann"])
        return path

    def add_run(self) -> str:
        return self.recorder.new_run("F", tags=["t"], system_tags=["user:ann"])


def test_an_empty_catalog_has_nothing(shelf: Shelf) -> None:
    assert shelf.catalog.latest_run("F") is None
    for depth in range(1, 5):
        assert shelf.catalog.get(("F", "1", "start", "1")[:depth]) is None
    for depth in range(4):
        assert shelf.catalog.names(("F", "1", "start")[:depth]) == []
        assert list(shelf.catalog.children(("F", "1", "start")[:depth])) == []
    assert shelf.catalog.facts(("F", "1", "start", "1")) == []
    assert shelf.catalog.get(("F", "1", "start", "1", "x")) is None


def test_names_and_children_are_one_level_below(shelf: Shelf) -> None:
    run, other = shelf.add_run(), shelf.add_run()
    for step, task in (("start", "1"), ("work", "2"), ("work", "3")):
        shelf.add(run, step, task)
    assert shelf.catalog.names([]) == ["F"]
    assert sorted(shelf.catalog.names(["F"])) == sorted([run, other])
    assert sorted(shelf.catalog.names(["F", run])) == ["start", "work"]
    assert sorted(shelf.catalog.names(["F", run, "work"])) == ["2", "3"]
    assert sorted(document["task_id"] for document in shelf.catalog.children(["F", run, "work"])) == ["2", "3"]
    assert shelf.catalog.names(["F", other]) == []


def test_the_latest_run_is_the_last_one(shelf: Shelf) -> None:
    shelf.add_run()
    run = shelf.add_run()
    assert shelf.catalog.latest_run("F") == run
    assert shelf.catalog.latest_run("G") is None


def test_facts_by_field(shelf: Shelf) -> None:
    task = shelf.add(shelf.add_run())
    shelf.recorder.record(task, 0, [Fact("attempt", "0", "attempt"), Fact("attempt_ok", "True", "status")])
    assert [fact["value"] for fact in shelf.catalog.facts(task, "attempt")] == ["0"]
    assert shelf.catalog.facts(task, "other") == []


def test_newest_runs_come_first_and_before_a_time(shelf: Shelf) -> None:
    runs = [shelf.add_run() for _ in range(3)]
    listed = list(shelf.catalog.newest("F"))
    assert [each.run for each in listed] == runs[::-1]
    assert sorted(listed, key=lambda each: each.began, reverse=True) == listed
    for each in listed:
        assert each.document in (None, shelf.catalog.get(("F", each.run)))
        assert [*shelf.catalog.newest("F", each.began)] == [one for one in listed if one.began < each.began]
    assert list(shelf.catalog.newest("G")) == []


def test_facts_of_all_tasks_below(shelf: Shelf) -> None:
    run = shelf.add_run()
    for step, name in (("start", "1"), ("work", "2"), ("work", "3")):
        task = shelf.add(run, step, name)
        shelf.recorder.record(task, 0, [Fact("attempt", name, "attempt"), Fact("other", "x", "other")])

    def found(*path: str, fields: tuple[str, ...] = ("attempt", "nope")) -> list[tuple[str, str, str]]:
        facts = shelf.catalog.facts_below(path, fields)
        return sorted((fact["step_name"], fact["task_id"], fact["value"]) for fact in facts)

    assert found("F", run) == [("start", "1", "1"), ("work", "2", "2"), ("work", "3", "3")]
    assert found("F", run, "work") == [("work", "2", "2"), ("work", "3", "3")]
    assert found("F", run, fields=("nope",)) == []
    assert found("F", "nope") == found("F", run, "nope") == []


def test_tags_change(shelf: Shelf) -> None:
    run = shelf.add_run()
    before = present(shelf.catalog.get(("F", run)))
    assert shelf.catalog.change_tags("F", run, add=["a", "user:ann", "a"], remove=["nope"]) == ["t", "a"]
    assert shelf.catalog.change_tags("F", run, add=["b"], remove=["t"]) == ["a", "b"]
    assert shelf.catalog.get(("F", run)) == before | {"tags": ["a", "b"]}


def test_tags_that_cannot_change(shelf: Shelf) -> None:
    run = shelf.add_run()
    before = shelf.catalog.get(("F", run))
    with pytest.raises(MetaflowTaggingError):
        shelf.catalog.change_tags("F", run, add=[], remove=["user:ann"])
    with pytest.raises(MetaflowNotFound):
        shelf.catalog.change_tags("F", "nope", add=["a"], remove=[])
    assert shelf.catalog.get(("F", run)) == before
