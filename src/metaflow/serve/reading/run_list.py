"""Pages of runs over any catalog: the newest of all flows, merged, looked at until a page is full.

Documents and leases are read side by side where that spares waiting for a network. A filter that few runs pass may need
a look at very many; after a while the page is returned as far as it has come, with the place to go on from. Start
reading at `list_runs`.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby, islice
from typing import NamedTuple, TypeAlias

from metaflow.exception import MetaflowException
from metaflow.metadata_provider.protocol import Catalog, Document, ListedRun
from metaflow.serve.reading.filters import RunFilter
from metaflow.serve.reading.protocol import Failure, RunPage, RunRow
from metaflow.store.overlap import overlap

_PATIENCE = 0.8
"""Seconds after which a page is returned as it is."""
_FURTHER = 4
"""How many more runs are looked at each time that the page is not full."""
_MOST = 1000


Newest: TypeAlias = Callable[[str, int | None, RunFilter], Iterable[ListedRun]]
"""From a flow, a time before which runs began, and a filter, to runs that may be wanted, newest first."""


_Age: TypeAlias = tuple[int, str, int, str]


class _Candidate(NamedTuple):
    """A run that may be wanted; ordered by the time when it began."""

    began: int
    flow: str
    run: str
    document: Document | None

    @property
    def age(self) -> _Age:
        """What runs are ordered by; ids are mostly numbers."""
        return self.began, self.flow, len(self.run), self.run

    @property
    def place(self) -> str:
        return f"{self.began}.{self.flow}.{self.run}"


def list_runs(
    catalog: Catalog,
    flows: Sequence[str],
    wanted: RunFilter,
    after: str | None,
    size: int,
    *,
    row_of: Callable[[str, str, Document], RunRow],
    width: int,
    clock: Callable[[], float],
    newest: Newest | None = None,
) -> RunPage:
    """Return a page of runs.

    Parameters
    ----------
    catalog : Catalog
        Where they are.
    flows : sequence of str
        The flows to look at.
    wanted, after, size
        As of `metaflow.serve.reading.protocol.RunReader.runs`.
    row_of : callable
        From flow, id and document to the row, with the status, which is what costs.
    width : int
        Runs that are looked at side by side.
    clock : callable
        Seconds.
    newest : callable, optional
        Lists the runs of a flow that may be wanted; by default the catalog lists all.
    """
    since, _ = wanted.interval

    def row(candidate: _Candidate) -> RunRow | None:
        return _row(catalog, candidate, wanted, row_of)

    end = clock() + _PATIENCE
    list_all: Newest = lambda flow, before, _: catalog.newest(flow, before)  # noqa: E731
    candidates = _newest(newest or list_all, flows, wanted, after)
    rows: list[RunRow] = []
    step, last = size + 1, None
    while True:
        part = list(islice(candidates, step))
        if since is not None:
            part = [each for each in part if each.began >= since]
        for candidate, found in zip(part, overlap(row, part, width), strict=True):
            if found is not None and len(rows) == size:
                return RunPage(tuple(rows), last)
            if found is not None:
                rows.append(found)
            last = candidate.place
        if len(part) < step:
            return RunPage(tuple(rows))
        if clock() > end:
            return RunPage(tuple(rows), last, is_partial=len(rows) < size)
        step = min(step * _FURTHER, _MOST)


def _newest(newest: Newest, flows: Sequence[str], wanted: RunFilter, after: str | None) -> Iterator[_Candidate]:
    """Yield the runs of all flows, newest first, from behind the place `after`."""
    place, (_, until) = _place(after), wanted.interval
    before = until
    if place is not None:
        before = place[0] + 1 if until is None else min(until, place[0] + 1)
    of_flows = (_of_flow(flow, newest(flow, before, wanted)) for flow in flows)
    merged = heapq.merge(*of_flows, key=lambda each: each.age, reverse=True)
    return (each for each in merged if place is None or each.age < place)


def _of_flow(flow: str, listed: Iterable[ListedRun]) -> Iterator[_Candidate]:
    """Yield the runs of a flow; those of one millisecond in the order that `_Candidate.age` gives them."""
    for _, together in groupby(listed, key=lambda each: each.began):
        found = [_Candidate(each.began, flow, each.run, each.document) for each in together]
        yield from sorted(found, key=lambda each: each.age, reverse=True)


def _place(after: str | None) -> _Age | None:
    began, _, name = (after or "").partition(".")
    flow, _, run = name.rpartition(".")
    return (int(began), flow, len(run), run) if began.isdecimal() and flow else None


def _row(
    catalog: Catalog, candidate: _Candidate, wanted: RunFilter, row_of: Callable[[str, str, Document], RunRow]
) -> RunRow | None:
    """Return the row of a run; None if it is not wanted, or is gone."""
    began, flow, run, document = candidate
    try:
        document = document or catalog.get((flow, run))
        if document is None:
            return None
        tags = (*document.get("tags", ()), *document.get("system_tags", ()))
        started, user = int(document["ts_epoch"]), user_of(document)
        if not wanted.admits(flow, run, user=user, started=started, state=None, tags=tags):
            return None
        found = row_of(flow, run, document)
    except MetaflowException as error:  # one run that cannot be read spoils no list
        failure = Failure("damaged", error.message.rstrip("."), error.hint)
        found = RunRow(flow, run, "unknown", "", began, failure=failure)
    return found if not wanted.states or found.state in wanted.states else None


def user_of(document: Document) -> str:
    """Return who started a run."""
    named = str(document.get("user_name") or "")
    tagged = (tag.removeprefix("user:") for tag in document.get("system_tags", ()) if tag.startswith("user:"))
    return named or next(tagged, "")
