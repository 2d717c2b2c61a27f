from __future__ import annotations

import gzip
import hashlib
import pickle
import tracemalloc

import pytest

from metaflow.serve.reading.previews import Artifact, preview, stored_value
from metaflow.store import layout
from metaflow.store.artifacts import TaskIndex, save_artifacts
from metaflow.store.blobs import Blobs
from metaflow.store.memory import MemoryStorage


@pytest.fixture
def blobs() -> Blobs:
    return Blobs(MemoryStorage(), "F")


def kept(blobs: Blobs, value: object) -> TaskIndex:
    index = TaskIndex({}, {})
    save_artifacts(blobs, [("x", value)], index)
    return index


def put(blobs: Blobs, content: bytes, stored: bytes) -> TaskIndex:
    """Store an artifact of which the index says that it is small."""
    key = hashlib.sha1(content).hexdigest()
    note = {blobs.path(key): b'{"cas_raw": false, "cas_version": 1}'}
    blobs._storage.put([(layout.blob("F", key), stored)], attributes=note)
    return TaskIndex({"x": key}, {"x": {"size": 10, "type": "<class 'dict'>"}})


@pytest.mark.parametrize("value", [None, 5, {"a": [1, 2]}, "x" * 100_000, list(range(3000))])
def test_plain_values_are_shown(blobs: Blobs, value: object) -> None:
    index = kept(blobs, value)
    shown = preview(Artifact.of(index, "x"), blobs)
    assert shown.trouble is None
    assert shown.summary[:50] == repr(value)[:50]
    assert shown.size == len(pickle.dumps(value, 5))


def test_plain_values_of_the_runtime_are_values(blobs: Blobs) -> None:
    graph = {"steps": {"start": {"next": ["end"]}}}
    assert stored_value((kept(blobs, graph), blobs), "x") == graph
    assert stored_value((kept(blobs, graph), blobs), "y") is None
    assert stored_value(None, "x") is None
    assert stored_value((TaskIndex({"x": "../../etc/passwd"}, {}), blobs), "x") is None


@pytest.mark.parametrize(
    ("sha", "trouble"),
    [("../../../../etc/passwd", "Its index does not name a blob"), ("a" * 40, "The blob aaaa")],
)
def test_what_is_no_blob_is_said(blobs: Blobs, sha: str, trouble: str) -> None:
    shown = preview(Artifact("x", "dict", 10, sha), blobs)
    assert str(shown.trouble).startswith(trouble)


def test_a_blob_that_unpacks_to_very_much_is_not_unpacked(blobs: Blobs) -> None:
    content = pickle.dumps([1, bytes(200 << 20)])
    index = put(blobs, content, gzip.compress(content, 1))
    many = pickle.dumps(["x" * 60_000 + str(number) for number in range(300)])
    further = put(blobs, many, gzip.compress(many, 1))
    del content, many
    tracemalloc.start()
    first = preview(Artifact.of(index, "x"), blobs)
    second = preview(Artifact.of(further, "x"), blobs)
    assert stored_value((further, blobs), "x") is None
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (first.summary, first.is_cut) == ("[]", True)
    assert (second.summary, second.is_cut) == ("[]", True)
    assert peak < 16 << 20


def test_what_is_no_pickle_is_said(blobs: Blobs) -> None:
    index = put(blobs, b"?hello", gzip.compress(b"?hello"))
    assert preview(Artifact.of(index, "x"), blobs).trouble == "It cannot be shown: it is no pickle"
