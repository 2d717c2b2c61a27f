"""The storages of spun tasks: a past run is only read, and scratch objects keep the contract of storages."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from metaflow.exception import MetaflowDataMissing, StorageUnavailable
from metaflow.store.blobs import Blobs
from metaflow.store.local import LocalStorage
from metaflow.store.memory import MemoryStorage
from metaflow.store.protocol import Storage
from metaflow.store.spin import ScratchStorage, SpinStorage, SpunStorage
from support.storage_contract import *  # noqa: F403 - tests
from support.storage_contract import spooled, value


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return ScratchStorage(str(tmp_path))


@pytest.fixture(params=["local", "memory"])
def past(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    storage: Storage = LocalStorage(str(tmp_path / "past")) if request.param == "local" else MemoryStorage()
    storage.put([("F/1/s/1/0.data.json", b"past"), ("both", b"past")])
    return storage


def test_results_hide_the_past_which_stays_as_it_is(past: Storage, tmp_path: Path) -> None:
    spun = SpunStorage(past, SpinStorage(str(tmp_path / "results")))
    spun.put([("both", b"new"), ("F/2/s/0/0.data.json", b"new")], overwrite=True)
    keys = ["both", "F/1/s/1/0.data.json", "F/2/s/0/0.data.json", "none"]
    assert [data for _, data in spun.get(keys)] == [b"new", b"past", b"new", None]
    assert spun.head(keys) == [3, 4, 3, None]
    assert {entry.key for entry in spun.list("F")} == {"F/1", "F/2"}
    spun.delete(keys)
    assert [data for _, data in spun.get(keys)] == [b"past", b"past", None, None]
    assert value(past, "both") == b"past"


def test_adopted_blobs_are_whole_without_the_past(past: Storage, tmp_path: Path) -> None:
    contents = [b"small", b"text " * 100_000, os.urandom(400_000)]
    keys = Blobs(past, "F").save(contents)
    results = SpinStorage(str(tmp_path / "results"))
    spun = Blobs(SpunStorage(past, results), "F")
    own = spun.save([b"own"])
    SpunStorage(past, results).adopt([spun.path(key) for key in [*keys, *own, *keys]])
    assert Blobs(results, "F").load_many([*keys, *own]) == [*contents, b"own"]
    for key, content in zip(keys, contents, strict=True):
        with Blobs(results, "F").open(key) as reader:
            assert reader.read(-1) == content


def test_what_is_in_neither_cannot_be_adopted(past: Storage, tmp_path: Path) -> None:
    with pytest.raises((StorageUnavailable, MetaflowDataMissing), match="none"):
        SpunStorage(past, SpinStorage(str(tmp_path / "results"))).adopt(["F/data/no/none"])


def test_big_scratch_objects_have_no_name(tmp_path: Path) -> None:
    scratch = ScratchStorage(str(tmp_path))
    scratch.put_file("big", spooled(scratch, b"x" * 100_000), b"{}")
    assert list(tmp_path.iterdir()) == []
    for _ in range(2):
        opened = scratch.open("big")
        assert opened is not None
        with opened:
            assert (opened.read(), opened.attributes) == (b"x" * 100_000, b"{}")
