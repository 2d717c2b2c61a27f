"""The database as a catalog, for client objects in this process: what pages are made of, without going through HTTP."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial

from sqlalchemy import Connection

from metaflow.metadata_provider.protocol import Document, ListedRun
from metaflow.serve.database import contents, queries
from metaflow.serve.database.place import Database
from metaflow.serve.database.queries import Listed, Page

_PAGE = 200


class DatabaseCatalog:
    """The facts of runs in a database (`metaflow.metadata_provider.protocol.Catalog`).

    Parameters
    ----------
    database : Database
        Where they are.
    """

    kind = "database"

    def __init__(self, database: Database) -> None:
        self._database = database
        self.root = database.shown

    def latest_run(self, flow: str) -> str | None:
        return next((run.run for run in self.newest(flow)), None)

    def get(self, path: Sequence[str], attempt: int = 0) -> Document | None:
        return self._database.read(lambda c: _get(c, path, attempt))

    def names(self, path: Sequence[str]) -> list[str]:
        key = ("flow_id", "run_number", "step_name", "task_id")[len(path)]
        return [str(document[key]) for document in self.children(path)]

    def children(self, path: Sequence[str]) -> Iterable[Document]:
        return self._database.read(lambda c: _children(c, path))

    def facts(self, path: Sequence[str], field: str | None = None) -> list[Document]:
        def query(c: Connection) -> list[Document]:
            task = _task(c, path)
            return [] if task is None else contents.facts(c, task, field)

        return self._database.read(query)

    def newest(
        self,
        flow: str,
        before: int | None = None,
        filters: Mapping[str, str] | None = None,
        page_size: int | None = None,
    ) -> Iterator[ListedRun]:
        after = None if before is None else (before, 0)
        while True:
            found, after = self._database.read(partial(_page, flow, Page(_PAGE, after)))
            for document in found:
                yield ListedRun(document["ts_epoch"], document["run_number"], document)
            if after is None:
                return

    def facts_below(self, path: Sequence[str], fields: Collection[str]) -> Iterable[Document]:
        def query(c: Connection) -> list[Document]:
            run = queries.run_id(c, path[0], path[1])
            return [] if run is None else list(contents.facts_below(c, run, path[2] if len(path) > 2 else None, fields))

        return self._database.read(query)

    def change_tags(self, flow: str, run: str, *, add: Iterable[str], remove: Iterable[str]) -> list[str]:
        added, removed = list(add), list(remove)
        job = self._database.write(lambda c: self._database.writes.change_tags(c, flow, run, add=added, remove=removed))
        return job.result()


def _get(connection: Connection, path: Sequence[str], attempt: int) -> Document | None:
    if len(path) == 1:
        return queries.flow(connection, path[0])
    if len(path) == 2:
        return queries.run(connection, path[0], path[1], _now())
    if len(path) == 3:
        run = queries.run_id(connection, path[0], path[1])
        return None if run is None else queries.step(connection, run, path[2])
    task = _task(connection, path[:4])
    if task is None:
        return None
    return queries.task(connection, task) if len(path) == 4 else contents.artifact(connection, task, path[4], attempt)


def _children(connection: Connection, path: Sequence[str]) -> list[Document]:
    if not path:
        return queries.flows(connection)
    if len(path) == 1:
        return queries.runs(connection, path[0], _now()).documents
    run = queries.run_id(connection, path[0], path[1])
    if run is None:
        return []
    return queries.steps(connection, run) if len(path) == 2 else queries.tasks(connection, run, path[2]).documents


def _page(flow: str, page: Page, connection: Connection) -> Listed:
    return queries.runs(connection, flow, _now(), (), page)


def _task(connection: Connection, path: Sequence[str]) -> int | None:
    flow, run, step, task = path
    number = queries.run_id(connection, flow, run)
    return None if number is None else queries.task_id(connection, number, step, task)


def _now() -> int:
    return time.time_ns() // 1_000_000
