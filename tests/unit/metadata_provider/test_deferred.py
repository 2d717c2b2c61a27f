"""Metadata that are written later, elsewhere: a recorder whose entries arrive through JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from metaflow.exception import MetaflowNotFound
from metaflow.metadata_provider.deferred import DeferredMetadata
from metaflow.metadata_provider.entries import entry_from_json, without_facts
from metaflow.metadata_provider.local import LocalMetadata
from metaflow.metadata_provider.protocol import Fact, TaskPath
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


def test_nothing_can_be_looked_up_elsewhere() -> None:
    away = DeferredMetadata()
    with pytest.raises(MetaflowNotFound, match="'F/1' cannot be looked up here") as refusal:
        away.get(["F", "1"])
    assert "metadata service" in (refusal.value.hint or "")
    for call in (lambda: away.names([]), lambda: away.latest_run("F"), lambda: list(away.children(["F"]))):
        with pytest.raises(MetaflowNotFound):
            call()
