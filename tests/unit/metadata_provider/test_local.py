"""The local metadata provider: its layout, its promises, and what it passes over when it reads."""

from __future__ import annotations

import json
import os
import re
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from metaflow.exception import MetaflowNotFound, MetaflowTaggingError, StorageUnavailable
from metaflow.metadata_provider.local import LocalMetadata
from metaflow.metadata_provider.protocol import ArtifactFact, Fact, TaskPath, WholeAttempt

SYSTEM = ["user:ann", "runtime:dev"]


@pytest.fixture
def provider(tmp_path: Path) -> LocalMetadata:
    return LocalMetadata(str(tmp_path / "root"), "ann")


@pytest.fixture
def task(provider: LocalMetadata) -> TaskPath:
    run = provider.new_run("F", tags=["t"], system_tags=SYSTEM)
    task = TaskPath("F", run, "start", "1")
    provider.register_task(task, tags=["t"], system_tags=SYSTEM)
    return task


def meta(provider: LocalMetadata, *path: str) -> Path:
    return Path(provider.root, *path, "_meta")


def load(path: Path) -> dict[str, object]:
    document = json.loads(path.read_text())
    assert isinstance(document, dict)
    return document


def left_over(provider: LocalMetadata) -> list[Path]:
    return list(Path(provider.root).rglob(".tmp-*"))


def test_a_run_is_registered(provider: LocalMetadata) -> None:
    run = provider.new_run("F", tags=["t"], system_tags=SYSTEM)
    assert run.isdigit()
    assert (Path(provider.root) / "F" / "latest_run").read_text() == run
    flow = load(meta(provider, "F") / "_self.json")
    assert flow.pop("ts_epoch")
    assert flow == {"flow_id": "F"}
    document = load(meta(provider, "F", run) / "_self.json")
    assert isinstance(document.pop("ts_epoch"), int)
    assert document == {
        "run_number": run,
        "flow_id": "F",
        "user_name": "ann",
        "tags": ["t"],
        "system_tags": SYSTEM,
    }
    assert not left_over(provider)


def test_run_ids_differ_however_fast_they_come(provider: LocalMetadata) -> None:
    with ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(lambda _: provider.new_run("F", tags=[], system_tags=[]), range(64)))
    assert len(set(runs)) == 64
    assert sorted(runs) == sorted(provider.names(["F"]))


def test_a_task_and_its_step_are_registered_once(provider: LocalMetadata, task: TaskPath) -> None:
    before = [provider.get(task[:depth]) for depth in (3, 4)]
    provider.register_task(task, tags=["other"], system_tags=[])
    assert [provider.get(task[:depth]) for depth in (3, 4)] == before
    step, document = before
    assert step is not None
    assert "task_id" not in step
    assert document is not None
    assert document["task_id"] == "1"
    assert document["tags"] == ["t"]


def test_siblings_register_one_step(provider: LocalMetadata) -> None:
    run = provider.new_run("F", tags=[], system_tags=[])
    tasks = [TaskPath("F", run, "w", str(number)) for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda task: provider.register_task(task, tags=[], system_tags=[]), tasks))
    assert set(provider.names(["F", run, "w"])) == {task.task for task in tasks}
    assert not left_over(provider)


def test_facts_are_recorded(provider: LocalMetadata, task: TaskPath) -> None:
    value = 'quotes " and \\ and\nlines and ☃'
    provider.record(task, 2, [Fact("script-name", value, "script-name"), Fact("foreach-stack", ["a=1"], "list")])
    facts = provider.facts(task)
    assert [fact["value"] for fact in facts] == [["a=1"], value]
    first = facts[1]
    assert isinstance(first.pop("ts_epoch"), int)
    assert first == {
        "flow_id": "F",
        "run_number": task.run,
        "step_name": "start",
        "task_id": "1",
        "field_name": "script-name",
        "type": "script-name",
        "value": value,
        "tags": ["attempt_id:2"],
        "user_name": "ann",
    }


def test_a_fact_of_no_attempt_has_no_tag(provider: LocalMetadata, task: TaskPath) -> None:
    provider.record(task, None, [Fact("end_step", "end", "graph_structure")])
    assert provider.facts(task)[0]["tags"] == []


def test_facts_of_one_field_in_one_millisecond_are_all_kept(provider: LocalMetadata, task: TaskPath) -> None:
    with ThreadPoolExecutor(8) as pool:
        for number in range(8):
            pool.submit(provider.record, task, 0, [Fact("f", f"{number}.{serial}", "f") for serial in range(10)])
    facts = provider.facts(task, "f")
    assert sorted(fact["value"] for fact in facts) == sorted(f"{n}.{s}" for n in range(8) for s in range(10))
    assert len({fact["ts_epoch"] for fact in facts}) == 80
    assert not left_over(provider)


def test_facts_by_field(provider: LocalMetadata, task: TaskPath) -> None:
    provider.record(task, 0, [Fact("attempt", "0", "attempt"), Fact("attempt_ok", "True", "status")])
    assert [fact["value"] for fact in provider.facts(task, "attempt")] == ["0"]
    assert provider.facts(task, "other") == []


def test_artifacts_are_recorded(provider: LocalMetadata, task: TaskPath) -> None:
    for sha in ("0" * 40, "1" * 40):
        provider.record_artifacts(
            task,
            0,
            [ArtifactFact("x", sha), ArtifactFact("naïve", sha)],
            storage=("local", "/data"),
            tags=["t"],
            system_tags=SYSTEM,
        )
    document = provider.get((*task, "x"))
    assert document is not None
    assert isinstance(document.pop("ts_epoch"), int)
    assert document == {
        "run_number": task.run,
        "step_name": "start",
        "task_id": "1",
        "attempt_id": 0,
        "name": "x",
        "content_type": "pickle-v4",
        "type": "metaflow.artifact",
        "sha": "1" * 40,
        "ds_type": "local",
        "location": ":root:/data",
        "flow_id": "F",
        "user_name": "ann",
        "tags": ["t"],
        "system_tags": SYSTEM,
    }
    assert provider.get((*task, "naïve")) is not None
    assert provider.get((*task, "x"), 1) is None
    assert not left_over(provider)


def test_names_are_of_what_is_registered(provider: LocalMetadata, task: TaskPath) -> None:
    root = Path(provider.root)
    (root / "F" / "data").mkdir()
    (root / "F" / task.run / "start" / "2").mkdir()
    (root / "junk.txt").write_text("")
    assert provider.names([]) == ["F"]
    assert provider.names(["F"]) == [task.run]
    assert provider.names(["F", task.run]) == ["start"]
    assert provider.names(["F", task.run, "start"]) == ["1"]
    assert provider.names(["G"]) == []
    assert [document["task_id"] for document in provider.children(task[:3])] == ["1"]


def test_reading_passes_over_rubbish(provider: LocalMetadata, task: TaskPath) -> None:
    provider.record(task, 0, [Fact("attempt", "0", "attempt")])
    directory = meta(provider, *task)
    for name, text in {
        "sysmeta_half_1.json": '{"field_name": "ha',
        "sysmeta_empty_1.json": "",
        "sysmeta_list_1.json": "[1]",
        "sysmeta_other_1.json": '{"a": 1}',
        "sysmeta_none": "{}",
        "readme": "x",
        ".tmp-sysmeta_attempt_1.json": "{",
        "0_artifact_x.json": "\xff",
    }.items():
        (directory / name).write_text(text)
    assert [fact["value"] for fact in provider.facts(task)] == ["0"]
    assert provider.get((*task, "x")) is None
    assert provider.get(("F", "nope")) is None
    assert provider.facts(("F", "nope", "s", "1")) == []


def test_tags_change(provider: LocalMetadata, task: TaskPath) -> None:
    before = provider.get(task[:2])
    assert before is not None
    assert provider.change_tags("F", task.run, add=["a", "user:ann", "a"], remove=["nope"]) == ["t", "a"]
    assert provider.change_tags("F", task.run, add=["b"], remove=["t"]) == ["a", "b"]
    assert provider.get(task[:2]) == before | {"tags": ["a", "b"]}


def test_tags_that_cannot_change(provider: LocalMetadata, task: TaskPath) -> None:
    before = provider.get(task[:2])
    with pytest.raises(MetaflowTaggingError):
        provider.change_tags("F", task.run, add=[], remove=["user:ann"])
    with pytest.raises(MetaflowNotFound):
        provider.change_tags("F", "nope", add=["a"], remove=[])
    assert provider.get(task[:2]) == before


def swap(root: str, run: str, number: int) -> list[str]:
    provider = LocalMetadata(root, "ann")
    for serial in range(20):
        tags = provider.change_tags(
            "F", run, add=[f"{number}.{serial + 1}"], remove=[f"{number}.{serial}"] if serial else ["t"]
        )
    return tags


def test_concurrent_tag_changes_are_all_kept(provider: LocalMetadata, task: TaskPath) -> None:
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        for job in [pool.submit(swap, provider.root, task.run, number) for number in range(4)]:
            assert job.result()
    document = provider.get(task[:2])
    assert document is not None
    assert sorted(document["tags"]) == [f"{number}.20" for number in range(4)]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    provider = LocalMetadata(str(tmp_path / "file" / "root"), "ann")
    with pytest.raises(StorageUnavailable, match="file/root"):
        provider.new_run("F", tags=[], system_tags=[])
    with pytest.raises(StorageUnavailable, match="file/root"):
        provider.record(TaskPath("F", "1", "start", "1"), 0, [Fact("a", "b", "a")])


def test_no_descriptor_stays_open(provider: LocalMetadata, task: TaskPath) -> None:
    before = len(os.listdir("/dev/fd"))
    provider.record(task, 0, [Fact("a", "b", "a")])
    provider.change_tags("F", task.run, add=["a"], remove=[])
    provider.names(["F"])
    assert len(os.listdir("/dev/fd")) == before


# --- a task that is known whole -------------------------------------------------------------------------------------

WHOLE = WholeAttempt(
    [Fact("attempt", "0", "attempt"), Fact("foreach-stack", ["xs=1"], "foreach-stack")],
    [ArtifactFact("x", "ab" * 20)],
    ("local", "/root"),
)


def one_by_one(provider: LocalMetadata, task: TaskPath) -> None:
    provider.register_task(task, tags=["t"], system_tags=SYSTEM)
    provider.record(task, 0, WHOLE.facts)
    provider.record_artifacts(task, 0, WHOLE.artifacts, storage=WHOLE.storage, tags=["t"], system_tags=SYSTEM)


def documents(provider: LocalMetadata, task: TaskPath) -> list[Any]:
    """Return all that is known of a task, without ids and times."""
    found = [provider.get(task), provider.get((*task, "x")), *provider.facts(task)]
    return [{key: value for key, value in (each or {}).items() if key not in ("task_id", "ts_epoch")} for each in found]


def test_a_task_known_whole_is_as_one_recorded_bit_by_bit(provider: LocalMetadata) -> None:
    run = provider.new_run("Flow", tags=["t"], system_tags=SYSTEM)
    one, other, third = (TaskPath("Flow", run, "work", id) for id in ("1", "2", "3"))
    one_by_one(provider, one)
    provider.register_task(other, tags=["t"], system_tags=SYSTEM, whole=WHOLE)
    assert documents(provider, other) == documents(provider, one)
    names = [
        sorted(re.sub(r"\d{6,}", "TIME", name) for name in os.listdir(f"{provider.root}/{'/'.join(task)}/_meta"))
        for task in (one, other)
    ]
    assert names[0] == names[1]
    assert os.listdir(f"{provider.root}/{'/'.join(other)}") == ["_meta"]

    provider.register_task(third, tags=["t"], system_tags=SYSTEM)  # it is there already: what is missing is added
    provider.register_task(third, tags=["t"], system_tags=SYSTEM, whole=WHOLE)
    assert documents(provider, third) == documents(provider, one)
    assert os.listdir(f"{provider.root}/{'/'.join(third)}") == ["_meta"]


def test_what_an_origin_has_recorded_of_an_artifact_stands_for_its_copy_as_far_as_it_is_there(
    provider: LocalMetadata,
) -> None:
    origin = TaskPath("Flow", provider.new_run("Flow", tags=["t"], system_tags=SYSTEM), "work", "1")
    one_by_one(provider, origin)
    copy = TaskPath("Flow", provider.new_run("Flow", tags=["u"], system_tags=SYSTEM), "work", "7")
    shared = [*WHOLE.artifacts, ArtifactFact("y", "cd" * 20)]
    whole = WHOLE._replace(artifacts=[ArtifactFact("z", "ef" * 20)], origin=origin, shared=shared)
    provider.register_task(copy, tags=["u"], system_tags=SYSTEM, whole=whole)
    assert provider.get((*copy, "x")) == provider.get((*origin, "x"))
    assert os.stat(f"{provider.root}/{'/'.join(copy)}/_meta/0_artifact_x.json").st_nlink == 2
    for name, sha in (("y", "cd" * 20), ("z", "ef" * 20)):
        document = provider.get((*copy, name))
        assert document is not None
        assert (document["sha"], document["task_id"], document["tags"]) == (sha, "7", ["u"])


def test_a_task_that_cannot_be_written_whole_is_not_written_at_all(provider: LocalMetadata) -> None:
    run = provider.new_run("Flow", tags=[], system_tags=[])
    task = TaskPath("Flow", run, "work", "1")
    bad = WHOLE._replace(artifacts=[ArtifactFact("x" * 400, "ab" * 20)])
    with pytest.raises(StorageUnavailable):
        provider.register_task(task, tags=[], system_tags=[], whole=bad)
    assert provider.get(task) is None
    assert os.listdir(f"{provider.root}/{'/'.join(task)}") == []
