"""Metadata that are written later, elsewhere: a recorder whose entries arrive through JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from metaflow.exception import MetaflowNotFound
from metaflow.metadata_provider.deferred import DeferredMetadata
from metaflow.metadata_provider.entries import entry_from_json, without_facts
from metaflow.metadata_provider.local import LocalMetadata
from metaflow.metadata_provider.protocol import ArtifactFact, Fact, TaskPath
from support.recorder_contract import *  # noqa: F403
from support.recorder_contract import Recorded


@pytest.fixture
def recorded(tmp_path: Path) -> Recorded:
    home, away = LocalMetadata(str(tmp_path), "me"), DeferredMetadata()

    def read() -> LocalMetadata:
        documents = json.loads(json.dumps([entry.to_json() for entry in away.entries]))
        away.entries.clear()
        for document in documents:
            entry_from_json(document).write(home)
        return home

    return Recorded(away, home.new_run("F", tags=[], system_tags=[]), read)


def test_facts_that_are_known_at_home_are_not_recorded_again(tmp_path: Path) -> None:
    home = LocalMetadata(str(tmp_path), "me")
    run = home.new_run("F", tags=[], system_tags=[])
    away = DeferredMetadata()
    task = TaskPath("F", run, "train", "3")
    away.record(task, 1, [Fact("attempt", "1", "attempt"), Fact("foreach-stack", ["x=1"], "foreach-stack")])
    for entry in without_facts(away.entries, ["attempt"]):
        entry.write(home)
    assert [fact["field_name"] for fact in home.facts(task)] == ["foreach-stack"]


def test_a_task_finds_itself() -> None:
    away = DeferredMetadata()
    task = TaskPath("F", "1", "train", "3")
    away.register_task(task, tags=["mine"], system_tags=["user:me"])
    away.record(task, 0, [Fact("attempt", "0", "attempt")])
    away.record(task, 1, [Fact("attempt", "1", "attempt"), Fact("script-name", "flow.py", "script-name")])
    away.record_artifacts(
        task, 1, [ArtifactFact("x", "0" * 40)], storage=("local", "/x"), tags=["mine"], system_tags=["user:me"]
    )
    for path in (["F"], ["F", "1"], ["F", "1", "train"], [*task]):
        found = away.get(path)
        assert found is not None
        assert (found["tags"], found["system_tags"]) == (["mine"], ["user:me"])
    assert [fact["value"] for fact in away.facts(task, "attempt")] == ["0", "1"]
    assert [fact["tags"] for fact in away.facts(task)] == [["attempt_id:0"], ["attempt_id:1"], ["attempt_id:1"]]
    assert away.get([*task, "x"], 1) is not None
    assert away.get([*task, "x"], 0) is None
    assert away.get([*task, "y"], 1) is None
    for other in (["F", "2"], ["F", "1", "other"], ["F", "1", "train", "4"], ["G"], []):
        with pytest.raises(MetaflowNotFound, match="cannot be looked up here"):
            away.get(other)


def test_nothing_can_be_looked_up_elsewhere() -> None:
    away = DeferredMetadata()
    with pytest.raises(MetaflowNotFound, match="'F/1' cannot be looked up here") as refusal:
        away.get(["F", "1"])
    assert "metadata service" in (refusal.value.hint or "")
    for call in (lambda: away.names([]), lambda: away.latest_run("F"), lambda: list(away.children(["F"]))):
        with pytest.raises(MetaflowNotFound):
            call()
