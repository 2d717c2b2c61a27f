"""A task's artifacts in the storage: saved once, loaded one at a time, listed in an index; and attempts."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaflow.exception import BlobCorrupt, DataDamaged, MetaflowDataMissing, StorageUnavailable, UnpicklableArtifact
from metaflow.store.artifacts import Artifacts, TaskIndex, TaskStore, load_artifact, read_index, save_artifacts
from metaflow.store.blobs import SPOOL_ABOVE, Blobs
from metaflow.store.local import LocalStorage
from metaflow.store.memory import MemoryStorage

BIG = os.urandom(2 * SPOOL_ABOVE)
TASK = "F/1/start/1"


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(str(tmp_path / "root"))


@pytest.fixture
def blobs(storage: LocalStorage) -> Blobs:
    return Blobs(storage, "F")


def save(blobs: Blobs, **values: Any) -> TaskIndex:
    index = TaskIndex({}, {})
    save_artifacts(blobs, values.items(), index)
    return index


def objects(storage: LocalStorage) -> list[str]:
    """Return the names of all files, temporaries included."""
    return sorted(path.name for path in Path(storage.root).rglob("*") if path.is_file())


# --- artifacts -------------------------------------------------------------------------------------------------------


def test_the_index_says_what_was_saved(blobs: Blobs) -> None:
    index = save(blobs, small=[1, 2], big=BIG)
    for name, value in (("small", [1, 2]), ("big", BIG)):
        data = pickle.dumps(value, 5)
        assert index.objects[name] == hashlib.sha1(data).hexdigest()
        assert index.info[name] == {
            "size": len(data),
            "type": str(type(value)),
            "encoding": "pickle-v4",
            "serializer_info": {"source": "metaflow"},
        }


def test_what_was_in_the_index_stays_and_is_replaced_by_name(blobs: Blobs) -> None:
    index = save(blobs, kept=1, changed=2)
    before = dict(index.objects)
    save_artifacts(blobs, [("changed", 3), ("new", 4)], index)
    assert list(index.objects) == ["kept", "changed", "new"]
    assert index.objects["kept"] == before["kept"]
    assert dict(Artifacts(blobs, index)) == {"kept": 1, "changed": 3, "new": 4}


@given(st.dictionaries(st.text(min_size=1), st.none() | st.integers() | st.text() | st.lists(st.binary())))
def test_what_was_saved_is_loaded(values: dict[str, Any]) -> None:
    blobs = Blobs(MemoryStorage("/nonexistent"), "F")
    index = TaskIndex({}, {})
    save_artifacts(blobs, values.items(), index)
    artifacts = Artifacts(blobs, index)
    assert dict(artifacts) == values
    assert len(artifacts) == len(values)
    assert list(artifacts) == list(values)


def test_a_mapping_that_loads_when_asked(blobs: Blobs, storage: LocalStorage) -> None:
    index = save(blobs, x=[1], y=BIG)
    artifacts = Artifacts(blobs, index)
    assert "x" in artifacts
    assert "z" not in artifacts
    with pytest.raises(KeyError):
        artifacts["z"]
    assert artifacts["x"] == artifacts["x"]
    assert artifacts["x"] is not artifacts["x"]
    storage.delete([blobs.path(index.objects["y"])])
    assert "y" in artifacts
    assert artifacts["x"] == [1]
    with pytest.raises(MetaflowDataMissing, match=index.objects["y"]):
        artifacts["y"]


@pytest.mark.parametrize("value", ["small", BIG], ids=["small", "big"])
def test_damage_is_found_at_any_size(value: Any, blobs: Blobs, storage: LocalStorage) -> None:
    index = save(blobs, x=value)
    path = Path(storage.describe(blobs.path(index.objects["x"])))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    loads: list[Callable[[], Any]] = [
        lambda: load_artifact(blobs, index.objects["x"], "x"),
        lambda: Artifacts(blobs, index)["x"],
    ]
    for load in loads:
        with pytest.raises(BlobCorrupt) as caught:
            load()
        assert caught.value.path == str(path)


@pytest.mark.parametrize("head", [[], [BIG]], ids=["small", "big"])
def test_what_cannot_be_pickled_leaves_nothing_behind(head: list[bytes], blobs: Blobs, storage: LocalStorage) -> None:
    """It may fail after much of it has been written."""
    index = TaskIndex({}, {})
    with pytest.raises(UnpicklableArtifact) as caught:
        save_artifacts(blobs, [("first", 1), ("model", {"parts": [*head, threading.Lock()]})], index)
    assert caught.value.path == f"self.model['parts'][{len(head)}]"
    assert isinstance(caught.value.__cause__, TypeError)
    assert objects(storage) == []
    assert index.objects == {}


class Hostile:
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __reduce__(self) -> Any:
        raise self.error


@pytest.mark.parametrize("error", [MemoryError("no"), OSError("no"), StorageUnavailable("no"), KeyboardInterrupt()])
def test_what_is_not_the_fault_of_the_value_passes(error: BaseException, blobs: Blobs, storage: LocalStorage) -> None:
    with pytest.raises(type(error)) as caught:
        save(blobs, x=[BIG, Hostile(error)])
    assert caught.value is error
    assert objects(storage) == []


def test_equal_values_are_one_blob(blobs: Blobs, storage: LocalStorage) -> None:
    index = save(blobs, a=BIG, b=bytes(BIG), c=[1], d=[1])
    assert index.objects["a"] == index.objects["b"]
    assert index.objects["c"] == index.objects["d"]
    assert len(objects(storage)) == 4


_MEASURE = """
import sys
import numpy
from metaflow.store.artifacts import Artifacts, TaskIndex, save_artifacts
from metaflow.store.blobs import Blobs
from metaflow.store.local import LocalStorage

def peak():
    with open("/proc/self/status") as status:  # ru_maxrss begins with that of the process that forked this one
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) // 1024

blobs = Blobs(LocalStorage(sys.argv[1]), "F")
"""
_MAKE = {
    "dense": "numpy.random.default_rng(0).random(12_500_000)",
    "sparse": "numpy.arange(12_500_000, dtype=float)",
    "constant": "numpy.ones(12_500_000)",
}
_MB = 100


@pytest.mark.slow
@pytest.mark.parametrize("kind", _MAKE)
def test_an_array_needs_memory_once(kind: str, tmp_path: Path) -> None:
    """100 MB of floats: the whole process stays below 1.3 times that and 60 MB, saving and loading."""
    pytest.importorskip("numpy")
    save = f"""
        index = TaskIndex({{}}, {{}})
        array = {_MAKE[kind]}
        save_artifacts(blobs, [("x", array)], index)
        print(peak(), index.objects["x"], index.info["x"]["size"], array[-1])
    """
    saving, key, size, last = _measure(tmp_path, save)
    load = f"""
        artifacts = Artifacts(blobs, TaskIndex({{"x": "{key}"}}, {{"x": {{"size": {size}}}}}))
        array = artifacts["x"]
        print(peak(), array[-1])
    """
    loading, again = _measure(tmp_path, load)
    assert last == again
    for peak in (saving, loading):
        assert int(peak) < 1.3 * _MB + 60


def _measure(root: Path, script: str) -> list[str]:
    words = [sys.executable, "-c", _MEASURE + textwrap.dedent(script), str(root)]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run(words, check=True, capture_output=True, text=True, env=environment).stdout.split()


# --- attempts --------------------------------------------------------------------------------------------------------


def index_of(attempt: int, **objects: str) -> TaskIndex:
    return TaskIndex(objects, {name: {"size": 1} for name in objects}, attempt)


def test_an_attempt_from_its_beginning_to_its_mark(storage: LocalStorage) -> None:
    store = TaskStore(storage, TASK)
    assert store.attempts() == ([], [])
    store.write(store.begun(0, 123.5))
    assert store.attempts() == ([0], [])
    assert read_index(storage, TASK) is None
    store.write(store.index(index_of(0, x="ab")))
    assert read_index(storage, TASK) is None, "without a mark it is not read"
    unfinished = read_index(storage, TASK, 0)
    assert unfinished is not None
    assert unfinished.objects == {"x": "ab"}
    store.write(store.done(0))
    assert store.attempts() == ([0], [0])
    index = read_index(storage, TASK)
    assert index is not None
    assert (index.objects, index.info, index.attempt) == ({"x": "ab"}, {"x": {"size": 1}}, 0)
    assert objects(storage) == ["0.DONE.lock", "0.attempt.json", "0.data.json"]
    assert json.loads((Path(storage.root) / TASK / "0.attempt.json").read_bytes()) == {"time": 123.5}


def test_the_document_of_an_index(storage: LocalStorage) -> None:
    TaskStore(storage, TASK).write(TaskStore(storage, TASK).index(index_of(2, x="ab")))
    assert json.loads((Path(storage.root) / TASK / "2.data.json").read_bytes()) == {
        "datastore": "local",
        "version": "1.0",
        "attempt": 2,
        "python_version": sys.version,
        "objects": {"x": "ab"},
        "info": {"x": {"size": 1}},
    }


def test_the_latest_attempt_that_is_done_counts(storage: LocalStorage) -> None:
    store = TaskStore(storage, TASK)
    for attempt in (0, 2, 10, 11):
        store.write(store.begun(attempt, 0.0))
        store.write(store.index(index_of(attempt, x=f"of-{attempt}")))
        if attempt != 11:
            store.write(store.done(attempt))
    assert store.attempts() == ([0, 2, 10, 11], [0, 2, 10])
    latest = store.read_index()
    assert latest is not None
    assert (latest.attempt, latest.objects) == (10, {"x": "of-10"})
    for attempt in (0, 2, 10, 11):
        index = store.read_index(attempt)
        assert index is not None
        assert index.objects == {"x": f"of-{attempt}"}
    assert store.read_index(5) is None


def test_other_files_of_a_task_are_no_attempts(storage: LocalStorage) -> None:
    storage.put(
        [
            (f"{TASK}/_meta/_self.json", b""),
            (f"{TASK}/x.DONE.lock", b""),
            (f"{TASK}/².DONE.lock", b""),
            (f"{TASK}/0.runtime_stdout.log", b""),
            (f"{TASK}/1", b""),
        ]
    )
    assert TaskStore(storage, TASK).attempts() == ([], [])


def test_an_index_that_the_original_wrote_without_info_is_read(storage: LocalStorage) -> None:
    storage.put([(f"{TASK}/0.data.json", b'{"objects": {"x": "ab"}}'), (f"{TASK}/0.DONE.lock", b"")])
    index = read_index(storage, TASK)
    assert index is not None
    assert (index.objects, index.info) == ({"x": "ab"}, {})


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b"null", b"{}", b'{"objects": 1}', b'{"objects": {}, "info": 1}', b"\xff"]
)
def test_a_damaged_index_is_named(damage: bytes, storage: LocalStorage) -> None:
    key = f"{TASK}/0.data.json"
    storage.put([(key, damage), (f"{TASK}/0.DONE.lock", b"")])
    with pytest.raises(DataDamaged) as caught:
        read_index(storage, TASK)
    assert storage.describe(key) in caught.value.message
