"""The contract of `Recorder`: tests that every implementation passes.

A module that wants them run makes a fixture `recorded` and imports all names from here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from metaflow.metadata_provider.protocol import ArtifactFact, Catalog, Fact, Recorder, TaskPath
from support.present import present

SYSTEM = ["user:ann", "runtime:dev"]


class Recorded(NamedTuple):
    """A recorder, and where what it writes is read.

    Attributes
    ----------
    recorder : Recorder
        The one that is tested.
    run : str
        A run of the flow ``F``.
    read : callable
        Returns a catalog that has all that was recorded.
    """

    recorder: Recorder
    run: str
    read: Callable[[], Catalog]

    @property
    def task(self) -> TaskPath:
        return TaskPath("F", self.run, "start", "1")


def test_a_task_and_its_step_are_registered_once(recorded: Recorded) -> None:
    task = recorded.task
    recorded.recorder.register_task(task, tags=["t"], system_tags=SYSTEM)
    before = [present(recorded.read().get(task[:depth])) for depth in (3, 4)]
    recorded.recorder.register_task(task, tags=["other"], system_tags=[])
    assert [recorded.read().get(task[:depth]) for depth in (3, 4)] == before
    step, document = before
    assert step["step_name"] == "start"
    assert "task_id" not in step
    assert document["task_id"] == "1"
    assert (document["tags"], document["system_tags"]) == (["t"], SYSTEM)


def test_facts_keep_value_type_and_attempt(recorded: Recorded) -> None:
    value = 'quotes " and \\ and\nlines and ☃'
    recorded.recorder.register_task(recorded.task, tags=[], system_tags=[])
    recorded.recorder.record(recorded.task, 2, [Fact("script", value, "name"), Fact("stack", ["a=1"], "list")])
    recorded.recorder.record(recorded.task, None, [Fact("end_step", "end", "graph_structure")])
    found = {fact["field_name"]: fact for fact in recorded.read().facts(recorded.task)}
    assert {name: (fact["value"], fact["type"], fact["tags"]) for name, fact in found.items()} == {
        "script": (value, "name", ["attempt_id:2"]),
        "stack": (["a=1"], "list", ["attempt_id:2"]),
        "end_step": ("end", "graph_structure", []),
    }
    assert all(isinstance(fact["ts_epoch"], int) for fact in found.values())


def test_facts_of_one_field_are_all_kept_in_their_order(recorded: Recorded) -> None:
    recorded.recorder.register_task(recorded.task, tags=[], system_tags=[])
    for number in range(5):
        recorded.recorder.record(recorded.task, 0, [Fact("attempt", str(number), "attempt")])
    assert [fact["value"] for fact in recorded.read().facts(recorded.task, "attempt")] == list("01234")


def test_artifacts_are_recorded_by_attempt_and_the_latest_word_counts(recorded: Recorded) -> None:
    recorded.recorder.register_task(recorded.task, tags=[], system_tags=[])
    for sha in ("0" * 40, "1" * 40):
        recorded.recorder.record_artifacts(
            recorded.task,
            1,
            [ArtifactFact("x", sha), ArtifactFact("naïve", sha)],
            storage=("s3", "s3://b/m"),
            tags=["t"],
            system_tags=SYSTEM,
        )
    catalog = recorded.read()
    document = present(catalog.get((*recorded.task, "x"), 1))
    assert (document["sha"], document["attempt_id"], document["ds_type"]) == ("1" * 40, 1, "s3")
    assert (document["tags"], document["system_tags"]) == (["t"], SYSTEM)
    assert catalog.get((*recorded.task, "naïve"), 1) is not None
    assert catalog.get((*recorded.task, "x")) is None, "that is of attempt 0"
