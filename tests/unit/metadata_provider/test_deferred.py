from __future__ import annotations

import json
from pathlib import Path

import pytest

from metaflow.exception import MetaflowNotFound
from metaflow.metadata_provider.deferred import DeferredMetadata
from metaflow.metadata_provider.entries import entry_from_json, without_facts
from metaflow.metadata_provider.local import LocalMetadata
from metaflow.metadata_provider.protocol import ArtifactFact, Fact, Provider, TaskPath


def record(provider: Provider, run: str) -> None:
    task = TaskPath("F", run, "train", "3")
    provider.register_task(task, tags=["mine"], system_tags=["user:me"])
    provider.record(task, 1, [Fact("attempt", "1", "attempt"), Fact("foreach-stack", ["x=1"], "foreach-stack")])
    provider.record_artifacts(
        task,
        1,
        [ArtifactFact("model", "ab" * 20)],
        storage=("s3", "s3://b/m"),
        tags=["mine"],
        system_tags=["user:me"],
    )


def known(provider: Provider, run: str) -> list[object]:
    task = ["F", run, "train", "3"]
    documents = [provider.get(task), provider.get([*task, "model"], 1), *provider.facts(task)]
    times = ("ts_epoch", "id", "run_number")
    return [{key: value for key, value in (document or {}).items() if key not in times} for document in documents]


def test_what_was_noted_elsewhere_is_recorded_at_home(tmp_path: Path) -> None:
    direct, home = (LocalMetadata(str(tmp_path / name), "me") for name in ("direct", "home"))
    run = direct.new_run("F", tags=[], system_tags=[])
    there = home.new_run("F", tags=[], system_tags=[])
    record(direct, run)
    away = DeferredMetadata()
    record(away, there)
    for document in json.loads(json.dumps([entry.to_json() for entry in away.entries])):
        entry_from_json(document).write(home)
    assert known(home, there) == known(direct, run)
    assert len(known(home, there)) == 4


def test_facts_that_are_known_at_home_are_not_recorded_again(tmp_path: Path) -> None:
    home = LocalMetadata(str(tmp_path), "me")
    run = home.new_run("F", tags=[], system_tags=[])
    away = DeferredMetadata()
    record(away, run)
    for entry in without_facts(away.entries, ["attempt"]):
        entry.write(home)
    assert [fact["field_name"] for fact in home.facts(["F", run, "train", "3"])] == ["foreach-stack"]


def test_nothing_can_be_looked_up_elsewhere() -> None:
    away = DeferredMetadata()
    with pytest.raises(MetaflowNotFound, match="'F/1' cannot be looked up here") as refusal:
        away.get(["F", "1"])
    assert "metadata service" in (refusal.value.hint or "")
    for call in (lambda: away.names([]), lambda: away.latest_run("F"), lambda: list(away.children(["F"]))):
        with pytest.raises(MetaflowNotFound):
            call()
