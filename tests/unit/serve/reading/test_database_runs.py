"""Pages over the server's own database: the same contract as over files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from metaflow.client.site import Site
from metaflow.exception import RunFailed
from metaflow.metadata_provider.lease import lease_of
from metaflow.metadata_provider.service.metadata import ServiceMetadata
from metaflow.metadata_provider.service.sender import Pauses
from metaflow.serve.database.catalog import DatabaseCatalog
from metaflow.serve.reading.cache import Cache
from metaflow.serve.reading.database_runs import DatabaseRuns
from metaflow.serve.reading.filters import RunFilter
from metaflow.serve.reading.site_reader import SiteReader
from metaflow.settings.groups import ServiceSettings
from metaflow.store.local import LocalStorage
from support.metadata_service import ListeningService
from support.reader_contract import *  # noqa: F403
from support.reader_contract import Library


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ListeningService]:
    found = ListeningService(str(tmp_path))
    yield found
    found.close()


@pytest.fixture
def library(service: ListeningService, tmp_path: Path) -> Iterator[Library]:
    recorder = ServiceMetadata(service.url, "ann", ServiceSettings(service.url), Pauses(0.01, 0.05))
    storage, cache = LocalStorage(str(tmp_path / "data")), Cache(str(tmp_path / "cache" / "pages.sqlite"))
    site = Site(DatabaseCatalog(service.database), storage)
    yield Library(SiteReader(site, cache, newest=DatabaseRuns(service.database)), recorder, storage, recorder.flush)
    recorder.close()
    cache.close()


def test_by_status(library: Library) -> None:
    runs = {state: library.add_run() for state in ("successful", "failed", "running")}
    for state, run in runs.items():
        lease = lease_of(library.recorder, "F", run)
        lease.take()
        if state != "running":
            lease.end(state, RunFailed("it failed") if state == "failed" else None)
    library.settle()
    assert [row.state for row in library.reader.runs(RunFilter()).rows] == ["running", "failed", "successful"]
    for state, run in runs.items():
        found = library.reader.runs(RunFilter(states=frozenset({state}))).rows
        assert [(row.run, row.ended is not None) for row in found] == [(run, state != "running")]


@pytest.mark.parametrize("tag", ['quo"te', "back\\slash", "100%", "a_b", "é"])
def test_tags_of_all_kinds(library: Library, tag: str) -> None:
    run = library.add_run(tags=[tag])
    library.add_run(tags=["other"])
    assert [row.run for row in library.reader.runs(RunFilter(tags=frozenset({tag}))).rows] == [run]
