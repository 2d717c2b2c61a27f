"""Flows whose data is in an object store: the flow tests of this machine once more, with another datastore.

The matrix runs in S3, forked and exec'ed; a part of it in Google Cloud Storage and Azure.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from support import processes
from support.object_stores import STORES, Absent, Bucket
from support.site import Site

pytestmark = pytest.mark.live

FLOWS = Path(__file__).parents[1] / "flows"


class StoreSite(Site):
    """A site whose flows keep their data in a bucket."""

    def __init__(self, directory: Path, mode: str, bucket: Bucket) -> None:
        super().__init__(directory, mode)
        self.bucket = bucket

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, **self.bucket.environment, "METAFLOW_DEFAULT_DATASTORE": self.bucket.kind}


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"live_{name}", FLOWS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _tests(name: str, *without: str) -> dict[str, object]:
    """Return the tests and fixtures of a module; `without` those that are about files on this machine."""
    taken = {**globals(), **dict.fromkeys(without)}
    return {key: value for key, value in vars(_load(name)).items() if key not in taken and not key.startswith("__")}


@pytest.fixture(scope="module")
def stores() -> Iterator[dict[str, Bucket]]:
    """The buckets that are open, by kind."""
    opened: dict[str, Bucket] = {}
    contexts = []
    for kind, store in STORES.items():
        context = store()
        try:
            opened[kind] = context.__enter__()
            contexts.append(context)
        except Absent:
            pass
    yield opened
    for context in contexts:
        context.__exit__(None, None, None)


@pytest.fixture
def bucket(stores: dict[str, Bucket], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Bucket:
    """The bucket of a test; the client of this process finds it too."""
    kind = getattr(request, "param", "s3")
    if kind not in stores:
        pytest.skip(f"this machine cannot have a server for {kind}")
    for name, value in stores[kind].environment.items():
        monkeypatch.setenv(name, value)
    return stores[kind]


@pytest.fixture
def site(tmp_path: Path, mode: str, bucket: Bucket) -> Iterator[Site]:
    yield from _tended(StoreSite(tmp_path, mode, bucket))


@pytest.fixture
def one_site(tmp_path: Path, bucket: Bucket) -> Iterator[Site]:
    yield from _tended(StoreSite(tmp_path, "fork", bucket))


def _tended(site: Site) -> Iterator[Site]:
    try:
        yield site
    except BaseException:
        processes.kill_all(site.mark)
        raise
    processes.assert_gone(site.mark)


globals().update(_tests("test_shapes"))
globals().update(_tests("test_merge"))
globals().update(_tests("test_artifacts", "test_equal_blobs_are_stored_once_per_flow"))
globals().update(_tests("test_parameters"))
globals().update(_tests("test_resume", "test_a_run_that_had_hardly_begun"))
globals().update(_tests("test_failures"))
globals().update(_tests("test_current"))
