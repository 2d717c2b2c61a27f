"""Roots, settings, and the whole client over a store in memory."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from obstore.store import MemoryStore

from metaflow import settings
from metaflow.exception import (
    MetaflowS3Exception,
    MetaflowS3InsufficientDiskSpace,
    MetaflowS3URLException,
    SettingsError,
)
from metaflow.store.objects.address import Address
from metaflow.store.objects.bucket import Bucket
from metaflow.store.objects.connection import Client, Connection
from metaflow.store.objects.errors import StoreError
from metaflow.tools.s3 import S3
from metaflow.tools.s3.connect import connect


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith(("METAFLOW_", "AWS_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("METAFLOW_HOME", str(tmp_path))
    monkeypatch.setenv("METAFLOW_TEMPDIR", str(tmp_path))


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    """A store in memory, in place of every bucket."""
    store = MemoryStore()
    monkeypatch.setattr(Connection, "open", lambda self, bucket, encryption, region: Client(store, None))
    return store


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "s3://data/root/Flow/3/k"),
        ({"prefix": "/a/b/"}, "s3://data/a/b/Flow/3/k"),
        ({"bucket": "other"}, "s3://other/root/Flow/3/k"),
        ({"bucket": "s3://other", "prefix": "p"}, "s3://other/p/Flow/3/k"),
        ({"prefix": "", "s3root": "s3://ignored/x"}, "s3://data/root/Flow/3/k"),
    ],
)
def test_the_root_of_a_run(
    given: dict[str, str], expected: str, memory: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METAFLOW_DATATOOLS_S3ROOT", "s3://data/root/")
    for pathspec in ("Flow/3", "Flow/3/start/7"):
        with S3(run=SimpleNamespace(pathspec=pathspec), **given) as s3:  # type: ignore[arg-type]
            assert s3.put("k", "x") == expected


def test_where_the_data_of_runs_is(monkeypatch: pytest.MonkeyPatch) -> None:
    run = SimpleNamespace(pathspec="Flow/3")
    with pytest.raises(MetaflowS3URLException, match="METAFLOW_DATATOOLS_S3ROOT, which is not set"):
        S3(run=run)
    monkeypatch.setenv("METAFLOW_DATASTORE_SYSROOT_AZURE", "container/sys")
    assert S3(run=run)._root == "azure://container/sys/data/Flow/3"
    monkeypatch.setenv("METAFLOW_DATASTORE_SYSROOT_S3", "s3://data/sys")
    assert S3(run=run)._root == "s3://data/sys/data/Flow/3"
    monkeypatch.setenv("METAFLOW_DATATOOLS_SUFFIX", "mine")
    assert S3(run=run)._root == "s3://data/sys/mine/Flow/3"


@pytest.mark.parametrize("run", ["Flow/3", 5, SimpleNamespace(pathspec="Flow")])
def test_what_is_no_run(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METAFLOW_DATATOOLS_S3ROOT", "s3://data/root")
    with pytest.raises(MetaflowS3URLException, match="The run given to this S3 is"):
        S3(run=run)


def test_roots_that_are_none() -> None:
    for given in ({"s3root": "http://x"}, {"s3root": "s3://"}, {"s3root": 5}):
        with pytest.raises(MetaflowS3URLException):
            S3(**given)
    with S3(bucket="b", prefix="p") as s3:  # without a run they mean nothing
        for call in (s3.get, s3.get_all, s3.list_paths, s3.info):
            with pytest.raises(MetaflowS3URLException):
                call()
        with pytest.raises(MetaflowS3URLException, match="names a bucket, not an object"):
            s3.get("s3://bucket/")


def test_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METAFLOW_S3_WORKER_COUNT", "5")
    monkeypatch.setenv("METAFLOW_DATATOOLS_CLIENT_PARAMS", '{"region_name": "eu-west-1", "verify": false}')
    found = connect(settings.load().datatools, "AES256", None, {"profile_name": "p"}, {"endpoint_url": "http://h:1/"})
    assert (found.region, found.profile) == ("eu-west-1", "p")
    assert (found.stores.s3_endpoint, found.stores.s3_verify, found.stores.s3_encryption) == (
        "http://h:1",
        False,
        "AES256",
    )
    with pytest.raises(MetaflowS3Exception, match="does not support aws_account in session_vars"):
        S3(s3root="s3://b/p", session_vars={"aws_account": 5})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("METAFLOW_S3_WORKER_COUNT", "many"),
        ("METAFLOW_S3_WORKER_COUNT", "0"),
        ("METAFLOW_DATATOOLS_SESSION_VARS", "{"),
        ("METAFLOW_DATATOOLS_CLIENT_PARAMS", "[]"),
    ],
)
def test_settings_that_cannot_be_used(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name):
        S3(s3root="s3://b/p")


def test_a_full_disk_is_told_and_ends_the_batch(memory: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METAFLOW_S3_WORKER_COUNT", "1")

    def full(file: int, piece: Any, position: int) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with S3(s3root="s3://b/p") as s3:
        s3.put_many([("a", "x"), ("b", "x")])
        monkeypatch.setattr(os, "pwrite", full)
        with pytest.raises(MetaflowS3InsufficientDiskSpace, match=r"1 of 2 objects.*1 other was not tried"):
            s3.get_many(["a", "b"])


class _Refusing:
    """A way to a bucket on which every request fails with one error."""

    def __init__(self, error: Exception, retries: int | None) -> None:
        self.error = error
        self.stores = SimpleNamespace(retries=retries, s3_endpoint=None)
        self.tries = 0

    def open(self, bucket: Address, encryption: str | None, region: str | None) -> Client:
        self.tries += 1
        raise self.error


@pytest.mark.parametrize(
    ("text", "kind", "tries"),
    [
        ("status code: 403 <Code>AccessDenied</Code>", "denied", 1),
        ("status code: 404 <Code>NoSuchBucket</Code>", "bucket", 1),
        ("status code: 503 <Code>SlowDown</Code>", "transient", 3),
        ("status code: 418", "other", 1),
    ],
)
def test_what_is_tried_again(text: str, kind: str, tries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metaflow.store.objects.retry._pause", lambda tries: 0)
    way = _Refusing(OSError(text), retries=2)
    bucket = Bucket(way, Address("gs", "b"))  # type: ignore[arg-type]
    with pytest.raises(StoreError) as caught:
        bucket.head("k")
    assert (caught.value.kind, caught.value.tries, way.tries) == (kind, tries, tries)
