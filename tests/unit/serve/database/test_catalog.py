from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from metaflow.metadata_provider.lease import lease_of
from metaflow.metadata_provider.protocol import Fact, Recorder, TaskPath
from metaflow.serve.database.catalog import DatabaseCatalog
from metaflow.serve.database.documents import FactRow, Registration
from metaflow.serve.database.place import Database
from support.catalog_contract import *  # noqa: F403
from support.catalog_contract import Shelf
from support.present import present


class DirectRecorder:
    """As much of a recorder as the contract of catalogs needs."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._time = itertools.count(1_700_000_000_000)

    def _given(self, **given: Any) -> Registration:
        return Registration("ann", next(self._time), **given)

    def new_run(self, flow: str, *, tags: list[str], system_tags: list[str]) -> str:
        given = self._given(tags=tags, system_tags=system_tags)
        return str(self._database.write(lambda c: self._database.writes.register_run(c, flow, given)).result().number)

    def register_task(self, path: TaskPath, **_: Any) -> None:
        given = self._given(name=path.task)
        self._database.write(
            lambda c: self._database.writes.register_task(c, path.flow, path.run, path.step, given)
        ).result()

    def record(self, path: Any, attempt: int, facts: Any) -> None:
        rows = [
            FactRow(fact.name, fact.type, json.dumps(fact.value), f'["attempt_id:{attempt}"]', "ann", next(self._time))
            for fact in facts
        ]
        self._database.write(lambda c: self._database.writes.add_facts(c, path, rows)).result()


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    database = Database(str(tmp_path / "facts.db"))
    yield Shelf(DatabaseCatalog(database), cast(Recorder, DirectRecorder(database)))
    database.close()


def test_a_run_is_lost_or_says_how_it_ended(shelf: Shelf) -> None:
    """What the server's pages say of a run is what a client of the service says of it."""
    run = shelf.add_run()
    assert present(lease_of(shelf.catalog, "F", run).status()).state == "lost"  # registered in 2023, and silent since
    parameters = shelf.add(run, "_parameters", "0")
    shelf.recorder.record(parameters, None, [Fact("run-status", '{"state": "successful", "failure": null}', "x")])
    assert present(lease_of(shelf.catalog, "F", run).status()).state == "successful"
