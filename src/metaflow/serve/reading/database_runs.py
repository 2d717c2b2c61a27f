"""Runs of the server's own database, of which most that a filter does not admit are left out by the query.

What the query asks is only what must hold of a run that is wanted: `metaflow.serve.reading.run_list` looks at each that
is found, as it does at those of any catalog, so that there is one definition of each filter and of each status.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from functools import partial

from sqlalchemy import ColumnElement, or_

from metaflow.metadata_provider.protocol import ListedRun
from metaflow.serve.database import queries
from metaflow.serve.database.place import Database
from metaflow.serve.database.queries import Page
from metaflow.serve.database.tables import RUNS
from metaflow.serve.reading.filters import RunFilter

_PAGE = 200


class DatabaseRuns:
    """The runs in a database (`metaflow.serve.reading.run_list.Newest`)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def __call__(self, flow: str, before: int | None, wanted: RunFilter) -> Iterator[ListedRun]:
        """Yield runs of a flow that may be wanted, newest first."""
        conditions = _conditions(wanted)
        after = None if before is None else (before, 0)
        while True:
            page = Page(_PAGE, after)
            now = time.time_ns() // 1_000_000
            ask = partial(queries.runs, flow=flow, now=now, wanted=conditions, page=page)
            found, after = self._database.read(ask)
            for document in found:
                yield ListedRun(document["ts_epoch"], document["run_number"], document)
            if after is None:
                return


def _conditions(wanted: RunFilter) -> Sequence[ColumnElement[bool]]:
    """Return what holds of every run that is wanted, and perhaps of others."""
    columns = RUNS.c
    found: list[ColumnElement[bool]] = []
    since, _ = wanted.interval
    if since is not None:
        found.append(columns.ts_epoch >= since)
    for tag in wanted.tags:
        quoted = json.dumps(tag)
        found.append(
            or_(columns.tags.contains(quoted, autoescape=True), columns.system_tags.contains(quoted, autoescape=True))
        )
    if wanted.user is not None:
        named = json.dumps(f"user:{wanted.user}")
        by_tag = columns.system_tags.contains(named, autoescape=True)
        found.append(or_(columns.user_name == wanted.user, by_tag))
    if wanted.states:
        # Of a run that does not say how it ended more is looked at than the query can.
        found.append(or_(columns.state.in_(wanted.states), columns.state.is_(None)))
    return found
