"""Local metadata: its layout, its promises, and what it passes over when it reads."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from metaflow.exception import DataDamaged, StorageUnavailable
from metaflow.metadata_provider.local import LocalMetadata
from metaflow.metadata_provider.protocol import ArtifactFact, Fact, TaskPath, WholeAttempt
from support.catalog_contract import *  # noqa: F403
from support.catalog_contract import Shelf
from support.recorder_contract import *  # noqa: F403
from support.recorder_contract import SYSTEM, Recorded


@pytest.fixture
def recorded(metadata: LocalMetadata) -> Recorded:
    return Recorded(metadata, metadata.new_run("F", tags=[], system_tags=[]), lambda: metadata)


@pytest.fixture
def shelf(metadata: LocalMetadata) -> Shelf:
    return Shelf(metadata, metadata)


@pytest.fixture
def metadata(tmp_path: Path) -> LocalMetadata:
    return LocalMetadata(str(tmp_path / "root"), "ann")


@pytest.fixture
def task(metadata: LocalMetadata) -> TaskPath:
    run = metadata.new_run("F", tags=["t"], system_tags=SYSTEM)
    task = TaskPath("F", run, "start", "1")
    metadata.register_task(task, tags=["t"], system_tags=SYSTEM)
    return task


def meta(metadata: LocalMetadata, *path: str) -> Path:
    return Path(metadata.root, *path, "_meta")


def load(path: Path) -> dict[str, object]:
    document = json.loads(path.read_text())
    assert isinstance(document, dict)
    return document


def left_over(metadata: LocalMetadata) -> list[Path]:
    return list(Path(metadata.root).rglob(".tmp-*"))


def test_a_run_is_registered(metadata: LocalMetadata) -> None:
    run = metadata.new_run("F", tags=["t"], system_tags=SYSTEM)
    assert run.isdigit()
    assert (Path(metadata.root) / "F" / "latest_run").read_text() == run
    flow = load(meta(metadata, "F") / "_self.json")
    assert flow.pop("ts_epoch")
    assert flow == {"flow_id": "F"}
    document = load(meta(metadata, "F", run) / "_self.json")
    assert isinstance(document.pop("ts_epoch"), int)
    assert document == {
        "run_number": run,
        "flow_id": "F",
        "user_name": "ann",
        "tags": ["t"],
        "system_tags": SYSTEM,
    }
    assert not left_over(metadata)


def test_run_ids_differ_however_fast_they_come(metadata: LocalMetadata) -> None:
    with ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(lambda _: metadata.new_run("F", tags=[], system_tags=[]), range(64)))
    assert len(set(runs)) == 64
    assert sorted(runs) == sorted(metadata.names(["F"]))


def test_siblings_register_one_step(metadata: LocalMetadata) -> None:
    run = metadata.new_run("F", tags=[], system_tags=[])
    tasks = [TaskPath("F", run, "w", str(number)) for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda task: metadata.register_task(task, tags=[], system_tags=[]), tasks))
    assert set(metadata.names(["F", run, "w"])) == {task.task for task in tasks}
    assert not left_over(metadata)


def test_facts_are_recorded(metadata: LocalMetadata, task: TaskPath) -> None:
    value = 'quotes " and \\ and\nlines and ☃'
    metadata.record(task, 2, [Fact("script-name", value, "script-name"), Fact("foreach-stack", ["a=1"], "list")])
    facts = metadata.facts(task)
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


def test_facts_of_one_field_in_one_millisecond_are_all_kept(metadata: LocalMetadata, task: TaskPath) -> None:
    with ThreadPoolExecutor(8) as pool:
        for number in range(8):
            pool.submit(metadata.record, task, 0, [Fact("f", f"{number}.{serial}", "f") for serial in range(10)])
    facts = metadata.facts(task, "f")
    assert sorted(fact["value"] for fact in facts) == sorted(f"{n}.{s}" for n in range(8) for s in range(10))
    assert len({fact["ts_epoch"] for fact in facts}) == 80
    assert not left_over(metadata)


def test_artifacts_are_recorded(metadata: LocalMetadata, task: TaskPath) -> None:
    for sha in ("0" * 40, "1" * 40):
        metadata.record_artifacts(
            task,
            0,
            [ArtifactFact("x", sha), ArtifactFact("naïve", sha)],
            storage=("local", "/data"),
            tags=["t"],
            system_tags=SYSTEM,
        )
    document = metadata.get((*task, "x"))
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
    assert metadata.get((*task, "naïve")) is not None
    assert metadata.get((*task, "x"), 1) is None
    assert not left_over(metadata)


def test_names_are_of_what_is_registered(metadata: LocalMetadata, task: TaskPath) -> None:
    root = Path(metadata.root)
    (root / "F" / "data").mkdir()
    (root / "F" / task.run / "start" / "2").mkdir()
    (root / "junk.txt").write_text("")
    assert metadata.names([]) == ["F"]
    assert metadata.names(["F"]) == [task.run]
    assert metadata.names(["F", task.run]) == ["start"]
    assert metadata.names(["F", task.run, "start"]) == ["1"]
    assert metadata.names(["G"]) == []
    assert [document["task_id"] for document in metadata.children(task[:3])] == ["1"]


def test_reading_passes_over_other_files(metadata: LocalMetadata, task: TaskPath) -> None:
    metadata.record(task, 0, [Fact("attempt", "0", "attempt")])
    directory = meta(metadata, *task)
    for name in ("sysmeta_none", "readme", ".tmp-sysmeta_attempt_1.json", "lease.json"):
        (directory / name).write_text("{")
    assert [fact["value"] for fact in metadata.facts(task)] == ["0"]
    assert metadata.get(("F", "nope")) is None
    assert metadata.facts(("F", "nope", "s", "1")) == []


@pytest.mark.parametrize(
    "text",
    [
        "", '{"field_name": "ha', "[1]", '{"a": 1}', "\xff", "[" * 100_000, '{"ts_epoch": "1"}', '{"ts_epoch": 1e300}',
        '{"ts_epoch": 1, "task_id": "1", "name": "x", "field_name": "x", "value": "", "tags": "x"}', None,
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["_self.json", "0_artifact_x.json", "sysmeta_x_1.json"])
def test_damage_is_named(name: str, text: str | None, metadata: LocalMetadata, task: TaskPath) -> None:
    path = meta(metadata, *task) / name
    path.unlink(missing_ok=True)
    if text is None:
        path.mkdir()
    else:
        path.write_text(text)
    reading: dict[str, Callable[[], object]] = {
        "_self.json": lambda: metadata.get(task),
        "0_artifact_x.json": lambda: metadata.get((*task, "x")),
        "sysmeta_x_1.json": lambda: metadata.facts(task, "x"),
    }
    with pytest.raises(DataDamaged, match=str(path)):
        reading[name]()


def test_a_file_in_the_place_of_a_directory(metadata: LocalMetadata, task: TaskPath) -> None:
    directory = meta(metadata, *task)
    shutil.rmtree(directory)
    directory.write_text("")
    for read in (lambda: metadata.get(task), lambda: metadata.names(task[:3]), lambda: metadata.facts(task)):
        with pytest.raises(DataDamaged, match=str(directory)):
            read()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may act as somebody else")
def test_what_may_not_be_read_is_told_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    metadata = LocalMetadata("root")
    public, private = (metadata.new_run("F", tags=[], system_tags=[]) for _ in range(2))
    Path(f"root/F/{private}").chmod(0o700)
    os.seteuid(65534)
    try:
        with pytest.warns(UserWarning, match="left out: Permission denied") as told:
            assert metadata.names(["F"]) == [public]
        with pytest.raises(StorageUnavailable, match=f"Cannot read root/F/{private}"):
            metadata.names(["F", private])
    finally:
        os.seteuid(0)
    assert [warning.filename for warning in told] == [f"root/F/{private}"]


def swap(root: str, run: str, number: int) -> list[str]:
    metadata = LocalMetadata(root, "ann")
    for serial in range(20):
        tags = metadata.change_tags(
            "F", run, add=[f"{number}.{serial + 1}"], remove=[f"{number}.{serial}"] if serial else ["t"]
        )
    return tags


def test_concurrent_tag_changes_are_all_kept(metadata: LocalMetadata, task: TaskPath) -> None:
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        for job in [pool.submit(swap, metadata.root, task.run, number) for number in range(4)]:
            assert job.result()
    document = metadata.get(task[:2])
    assert document is not None
    assert sorted(document["tags"]) == [f"{number}.20" for number in range(4)]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    metadata = LocalMetadata(str(tmp_path / "file" / "root"), "ann")
    with pytest.raises(StorageUnavailable, match="file/root"):
        metadata.new_run("F", tags=[], system_tags=[])
    with pytest.raises(StorageUnavailable, match="file/root"):
        metadata.record(TaskPath("F", "1", "start", "1"), 0, [Fact("a", "b", "a")])


def test_no_descriptor_stays_open(metadata: LocalMetadata, task: TaskPath) -> None:
    before = len(os.listdir("/dev/fd"))
    metadata.record(task, 0, [Fact("a", "b", "a")])
    metadata.change_tags("F", task.run, add=["a"], remove=[])
    metadata.names(["F"])
    assert len(os.listdir("/dev/fd")) == before


# --- a task that is known whole -------------------------------------------------------------------------------------

WHOLE = WholeAttempt(
    [Fact("attempt", "0", "attempt"), Fact("foreach-stack", ["xs=1"], "foreach-stack")],
    [ArtifactFact("x", "ab" * 20)],
    ("local", "/root"),
)


def one_by_one(metadata: LocalMetadata, task: TaskPath) -> None:
    metadata.register_task(task, tags=["t"], system_tags=SYSTEM)
    metadata.record(task, 0, WHOLE.facts)
    metadata.record_artifacts(task, 0, WHOLE.artifacts, storage=WHOLE.storage, tags=["t"], system_tags=SYSTEM)


def documents(metadata: LocalMetadata, task: TaskPath) -> list[Any]:
    """Return all that is known of a task, without ids and times."""
    found = [metadata.get(task), metadata.get((*task, "x")), *metadata.facts(task)]
    return [{key: value for key, value in (each or {}).items() if key not in ("task_id", "ts_epoch")} for each in found]


def test_a_task_known_whole_is_as_one_recorded_bit_by_bit(metadata: LocalMetadata) -> None:
    run = metadata.new_run("Flow", tags=["t"], system_tags=SYSTEM)
    one, other, third = (TaskPath("Flow", run, "work", id) for id in ("1", "2", "3"))
    one_by_one(metadata, one)
    metadata.register_task(other, tags=["t"], system_tags=SYSTEM, whole=WHOLE)
    assert documents(metadata, other) == documents(metadata, one)
    names = [
        sorted(re.sub(r"\d{6,}", "TIME", name) for name in os.listdir(f"{metadata.root}/{'/'.join(task)}/_meta"))
        for task in (one, other)
    ]
    assert names[0] == names[1]
    assert os.listdir(f"{metadata.root}/{'/'.join(other)}") == ["_meta"]

    metadata.register_task(third, tags=["t"], system_tags=SYSTEM)  # it is there already: what is missing is added
    metadata.register_task(third, tags=["t"], system_tags=SYSTEM, whole=WHOLE)
    assert documents(metadata, third) == documents(metadata, one)
    assert os.listdir(f"{metadata.root}/{'/'.join(third)}") == ["_meta"]


def test_what_an_origin_has_recorded_of_an_artifact_stands_for_its_copy_as_far_as_it_is_there(
    metadata: LocalMetadata,
) -> None:
    origin = TaskPath("Flow", metadata.new_run("Flow", tags=["t"], system_tags=SYSTEM), "work", "1")
    one_by_one(metadata, origin)
    copy = TaskPath("Flow", metadata.new_run("Flow", tags=["u"], system_tags=SYSTEM), "work", "7")
    shared = [*WHOLE.artifacts, ArtifactFact("y", "cd" * 20)]
    whole = WHOLE._replace(artifacts=[ArtifactFact("z", "ef" * 20)], origin=origin, shared=shared)
    metadata.register_task(copy, tags=["u"], system_tags=SYSTEM, whole=whole)
    assert metadata.get((*copy, "x")) == metadata.get((*origin, "x"))
    assert os.stat(f"{metadata.root}/{'/'.join(copy)}/_meta/0_artifact_x.json").st_nlink == 2
    for name, sha in (("y", "cd" * 20), ("z", "ef" * 20)):
        document = metadata.get((*copy, name))
        assert document is not None
        assert (document["sha"], document["task_id"], document["tags"]) == (sha, "7", ["u"])


def test_a_task_that_cannot_be_written_whole_is_not_written_at_all(metadata: LocalMetadata) -> None:
    run = metadata.new_run("Flow", tags=[], system_tags=[])
    task = TaskPath("Flow", run, "work", "1")
    bad = WHOLE._replace(artifacts=[ArtifactFact("x" * 400, "ab" * 20)])
    with pytest.raises(StorageUnavailable):
        metadata.register_task(task, tags=[], system_tags=[], whole=bad)
    assert metadata.get(task) is None
    assert os.listdir(f"{metadata.root}/{'/'.join(task)}") == []
