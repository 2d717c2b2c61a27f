"""The contract of `Storage` in S3 (two servers), Google Cloud Storage and Azure."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from metaflow import registry
from metaflow.store.protocol import Storage
from support.object_stores import STORES, Absent, Bucket
from support.storage_contract import *  # noqa: F403 - tests

pytestmark = pytest.mark.live


@pytest.fixture(scope="module", params=sorted(STORES))
def bucket(request: pytest.FixtureRequest) -> Iterator[Bucket]:
    try:
        with STORES[request.param]() as bucket:
            yield bucket
    except Absent as reason:
        pytest.skip(str(reason))


@pytest.fixture
def storage(bucket: Bucket, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Storage:
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    made: Storage = registry.load("datastore", bucket.kind)(f"{bucket.root}/{abs(hash(request.node.name))}")
    return made
