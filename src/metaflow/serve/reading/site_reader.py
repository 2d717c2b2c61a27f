"""Runs of a site, that is, of any catalog with the storage beside it, as pages show them.

Everything is read when it is asked for, and nothing is copied. What cannot change any more, such as the end of a run
and the table of its tasks, is kept in a cache; of a run that goes on, the tasks that are over are remembered. Artifacts
are read without running their pickles. Start reading at `SiteReader`.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from threading import Lock
from typing import Any, NamedTuple

from metaflow.cards.stored import Card, stored_cards
from metaflow.client.objects import is_name
from metaflow.client.site import Site
from metaflow.client.status import LastTask, run_status
from metaflow.client.tasks import Task
from metaflow.exception import MetaflowNotFound
from metaflow.metadata_provider.lease import RunStatus, lease_of
from metaflow.metadata_provider.protocol import Document, TaskPath
from metaflow.metadata_provider.task_ids import in_order
from metaflow.serve.reading import details
from metaflow.serve.reading.cache import Cache
from metaflow.serve.reading.comparing import compare_runs
from metaflow.serve.reading.filters import RunFilter
from metaflow.serve.reading.folding import FIELDS, TaskStory, shown_failure, steps_of, table_of
from metaflow.serve.reading.logs import StoredLog
from metaflow.serve.reading.previews import STORED_TRUE, Artifact, preview
from metaflow.serve.reading.protocol import (
    CardRow,
    CodeReference,
    Failure,
    LogMatches,
    LogSlice,
    Preview,
    RunComparison,
    RunDetail,
    RunPage,
    RunRow,
    Stream,
    TaskDetail,
    TaskRow,
    TaskTable,
)
from metaflow.serve.reading.run_list import Newest, list_runs, user_of
from metaflow.store.artifacts import TaskIndex
from metaflow.store.blobs import Blobs
from metaflow.store.layout import PARAMETERS
from metaflow.store.overlap import WIDTH, overlap

_FINAL = ("successful", "failed", "interrupted")
"""States that no run leaves; one that is lost may be heard of again."""
_REMEMBERED = 8
"""Runs whose tasks are remembered."""


class _Remembered:
    """What has been read of a run's tasks, by step and id."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.stories: dict[tuple[str, str], TaskStory] = {}
        self.table: TaskTable | None = None
        """Once the run is over."""


class _End(NamedTuple):
    """How a run stands."""

    state: str
    ended: int | None
    failure: Failure | None


class SiteReader:
    """Reads what pages show (`metaflow.serve.reading.protocol.RunReader`).

    Parameters
    ----------
    site : Site
        Where the runs are.
    cache : Cache
        What is kept of what never changes.
    clock : callable
        Seconds, for the patience of searches.
    newest : callable, optional
        Lists the runs of a flow that may be wanted, if there is something quicker than the catalog.
    """

    def __init__(
        self, site: Site, cache: Cache, clock: Callable[[], float] = time.monotonic, newest: Newest | None = None
    ) -> None:
        self._site = site
        self._catalog = site.catalog
        self._cache = cache
        self._clock = clock
        self._newest = newest
        is_near = site.storage.concurrency == 1 and site.catalog.kind in ("local", "spin", "database")
        self._width = 1 if is_near else WIDTH
        self._runs: OrderedDict[tuple[str, str], _Remembered] = OrderedDict()
        self._lock = Lock()

    # --- runs -------------------------------------------------------------------------------------------------------

    def flows(self) -> Sequence[str]:
        return sorted(self._catalog.names(()))

    def runs(self, wanted: RunFilter, after: str | None = None, size: int = 50) -> RunPage:
        if wanted.flow is not None and not is_name(wanted.flow):
            return RunPage(())
        flows = self.flows() if wanted.flow is None else [wanted.flow]
        return list_runs(
            self._catalog,
            flows,
            wanted,
            after,
            size,
            row_of=self._row,
            width=self._width,
            clock=self._clock,
            newest=self._newest,
        )

    def _row(self, flow: str, run: str, document: Document) -> RunRow:
        end = self._end(flow, run, document)
        return RunRow(
            flow=flow,
            run=run,
            state=end.state,  # type: ignore[arg-type]  # one of RUN_STATES
            user=user_of(document),
            started=int(document["ts_epoch"]),
            ended=end.ended,
            tags=tuple(document.get("tags", ())),
            system_tags=tuple(document.get("system_tags", ())),
            failure=end.failure,
        )

    def _end(self, flow: str, run: str, document: Document) -> _End:
        key = f"{self._site.address} {flow}/{run}"
        kept = self._cache.get("end", key)
        if kept is not None:
            state, ended, failure = kept
            return _End(state, ended, None if failure is None else Failure(*failure))
        status = self._status(flow, run, document)
        ended = None if status.ended is None else int(status.ended * 1000)
        end = _End(status.state, ended, shown_failure(status.failure))
        if status.state in _FINAL:
            self._cache.put("end", key, end)
        return end

    def _status(self, flow: str, run: str, document: Document) -> RunStatus:
        return run_status(lease_of(self._catalog, flow, run).status(), lambda: self._last_task(flow, run))

    def _last_task(self, flow: str, run: str) -> LastTask | None:
        facts = self._catalog.facts((flow, run, PARAMETERS, "0"), "end_step")
        end = str(facts[-1]["value"]) if facts else "end"
        for task in sorted(self._catalog.names((flow, run, end)), key=in_order, reverse=True)[:1]:
            path = TaskPath(flow, run, end, task)
            story = TaskStory.of(self._catalog.facts(path))
            self._add_success(path, story)
            last = story.last
            if last is not None and story.is_final and last.ended is not None:
                row = story.row(end, task, is_orphan=True)
                return LastTask(row.state == "successful", last.failure, last.ended / 1000)
        return None

    def run(self, flow: str, run: str) -> RunDetail:
        document = self._document(flow, run)
        row = self._row(flow, run, document)
        rows = self._table(flow, run, row).rows
        first = TaskPath(flow, run, PARAMETERS, "0")
        facts = {fact["field_name"]: fact for fact in self._catalog.facts(first)}
        stored = self._stored(first, None)
        graph = details.graph_of(stored)
        origin = facts.get("origin-run-id", {}).get("value")
        if origin in (None, "None"):
            origin = next((story.origin[0] for story in self._stories(flow, run) if story.origin), None)
        return RunDetail(
            row=row,
            graph=graph,
            parameters=tuple(self._previews(first, details.parameter_names(graph), stored)),
            code=self._code(flow, run, facts, rows),
            steps=steps_of(rows),
            origin=f"{flow}/{origin}" if origin else None,
            first_failure=details.first_failure(row, rows),
        )

    def _code(self, flow: str, run: str, facts: Mapping[str, Document], rows: Sequence[TaskRow]) -> CodeReference:
        code = details.code_of(facts)
        if code.sha is None and rows:  # in Metaflow's runs only tasks have recorded it
            task = TaskPath(flow, run, rows[0].step, rows[0].task)
            code = details.code_of({fact["field_name"]: fact for fact in self._catalog.facts(task)})
        return code

    def _document(self, *path: str) -> Document:
        document = self._catalog.get(path) if all(map(is_name, path)) else None
        if document is None:
            raise MetaflowNotFound(f"There is no {'run' if len(path) == 2 else 'task'} {'/'.join(path)} here.")
        return document

    # --- tasks ------------------------------------------------------------------------------------------------------

    def tasks(self, flow: str, run: str) -> TaskTable:
        document = self._document(flow, run)
        return self._table(flow, run, self._row(flow, run, document))

    def _table(self, flow: str, run: str, row: RunRow) -> TaskTable:
        remembered = self._remembered(flow, run)
        with remembered.lock:
            if remembered.table is not None:
                return remembered.table
            key = f"{self._site.address} {flow}/{run}"
            is_final = row.state in _FINAL
            kept = self._cache.get("tasks", key) if is_final else None
            if kept is not None:
                table = table_of(TaskRow(*each) for each in kept)
            else:
                self._update(flow, run, remembered)
                table = table_of(self._rows(flow, run, remembered.stories, is_orphan=row.is_over))
                if is_final:
                    self._cache.put("tasks", key, table.rows)
            if is_final:
                remembered.table = table
                remembered.stories = {}
            return table

    def run_state(self, flow: str, run: str) -> object:
        row = self._row(flow, run, self._document(flow, run))
        return row, self._table(flow, run, row).version

    def task_state(self, path: TaskPath) -> object:
        detail = self.task(path)
        number = len(detail.attempts) - 1
        streams: tuple[Stream, ...] = ("stdout", "stderr")
        sizes = [self._log(path, number, stream).size for stream in streams] if detail.attempts else []
        return detail, sizes

    def _rows(
        self, flow: str, run: str, stories: Mapping[tuple[str, str], TaskStory], *, is_orphan: bool
    ) -> Iterator[TaskRow]:
        origins: dict[str, dict[tuple[str, str], TaskRow]] = {}
        for (step, task), story in stories.items():
            origin = None
            if story.is_copy and story.origin is not None and story.origin[0] != run:
                older, name = story.origin
                if older not in origins:
                    origins[older] = self._rows_of_origin(flow, older)
                origin = origins[older].get((step, name))
            yield story.row(step, task, is_orphan=is_orphan, origin=origin)

    def _rows_of_origin(self, flow: str, run: str) -> dict[tuple[str, str], TaskRow]:
        try:
            return {(row.step, row.task): row for row in self.tasks(flow, run).rows}
        except MetaflowNotFound:
            return {}  # it was deleted

    def _remembered(self, flow: str, run: str) -> _Remembered:
        with self._lock:
            found = self._runs.setdefault((flow, run), _Remembered())
            self._runs.move_to_end((flow, run))
            while len(self._runs) > _REMEMBERED:
                self._runs.popitem(last=False)
            return found

    def _stories(self, flow: str, run: str) -> list[TaskStory]:
        return list(self._remembered(flow, run).stories.values())

    def _update(self, flow: str, run: str, remembered: _Remembered) -> None:
        """Read the tasks that have not been read, and those that are not over."""
        stories = remembered.stories
        if stories:
            steps = [step for step in self._catalog.names((flow, run)) if not step.startswith("_")]
            names = overlap(lambda step: self._tasks_of(flow, run, step), steps, self._width)
            new = [task for found in names for task in found if task not in stories or not stories[task].is_final]
            read = overlap(lambda task: self._catalog.facts((flow, run, *task)), new, self._width)
            facts = dict(zip(new, read, strict=True))
        else:
            facts = {}
            for fact in self._catalog.facts_below((flow, run), FIELDS):
                if not fact["step_name"].startswith("_"):
                    facts.setdefault((str(fact["step_name"]), str(fact["task_id"])), []).append(fact)
            new = list(facts)
        stories.update((task, TaskStory.of(facts[task])) for task in new)
        if self._is_of_metaflow(flow, run):
            for task in new:
                self._add_success(TaskPath(flow, run, *task), stories[task])

    def _tasks_of(self, flow: str, run: str, step: str) -> list[tuple[str, str]]:
        return [(step, task) for task in self._catalog.names((flow, run, step))]

    def _is_of_metaflow(self, flow: str, run: str) -> bool:
        """Tell whether a run in local files is one of Metaflow, which has no lease and no facts of failures."""
        return self._catalog.kind == "local" and lease_of(self._catalog, flow, run).status() is None

    def _add_success(self, task: TaskPath, story: TaskStory) -> None:
        """Look up what Metaflow tells by an artifact only: whether an exception was caught."""
        if story.last is not None and story.last.is_ok:
            document = self._catalog.get((*task, "_success"), max(story.attempts))
            story.is_success = document is None or document.get("sha") in STORED_TRUE

    def task(self, path: TaskPath) -> TaskDetail:
        document = self._document(*path)
        run = self._row(path.flow, path.run, self._document(path.flow, path.run))
        facts = self._catalog.facts(path)
        story = TaskStory.of(facts)
        if self._is_of_metaflow(path.flow, path.run):
            self._add_success(path, story)
        origin = TaskPath(path.flow, story.origin[0], path.step, story.origin[1]) if story.origin else None
        older = None
        if origin is not None and story.is_copy and origin != path:
            older = self._rows_of_origin(origin.flow, origin.run).get((origin.step, origin.task))
        row = story.row(path.step, path.task, is_orphan=run.is_over, origin=older)
        stored = self._stored(path, None)
        graph = details.graph_of(self._stored(TaskPath(path.flow, path.run, PARAMETERS, "0"), None))
        return TaskDetail(
            path=path,
            row=row,
            attempts=details.attempts_of(story, facts, int(document["ts_epoch"]), is_orphan=run.is_over),
            artifacts=details.artifacts_of(stored),
            request=details.request_of(graph, path.step),
            place=details.place_of(facts),
            origin=origin,
            cards=tuple(CardRow(card.type, card.id, card.hash) for card in self._cards(path)),
        )

    # --- artifacts --------------------------------------------------------------------------------------------------

    def _stored(self, path: TaskPath, attempt: int | None) -> tuple[TaskIndex, Blobs] | None:
        return self._site.index(path, attempt)

    def _previews(
        self, path: TaskPath, names: Sequence[str], stored: tuple[TaskIndex, Blobs] | None
    ) -> Iterator[Preview]:
        if stored is None:
            return iter(())
        index, blobs = stored
        there = [name for name in names if name in index.objects]
        return overlap(lambda name: preview(Artifact.of(index, name), blobs), there, self._width)

    def preview(self, path: TaskPath, name: str, attempt: int | None = None) -> Preview:
        self._document(*path)
        stored = self._stored(path, attempt)
        if stored is None or name not in stored[0].objects:
            raise MetaflowNotFound(f"The task {path} has no artifact '{name}'.")
        return preview(Artifact.of(stored[0], name), stored[1])

    def compare(self, left: tuple[str, str], right: tuple[str, str]) -> RunComparison:
        one, other = self.run(*left), self.run(*right)
        return compare_runs(
            one,
            other,
            tables=(self.tasks(*left), self.tasks(*right)),
            stored=lambda path: self._stored(path, None),
            width=self._width,
        )

    # --- cards ------------------------------------------------------------------------------------------------------

    def _cards(self, path: TaskPath) -> Sequence[Card]:
        attempts = Task._at(tuple(path), self._site)._attempts()
        return stored_cards(attempts.storage, str(path), self._origin(path))

    def _origin(self, path: TaskPath) -> str | None:
        story = TaskStory.of(self._catalog.facts(path))
        return f"{path.flow}/{story.origin[0]}/{path.step}/{story.origin[1]}" if story.origin else None

    def _card(self, path: TaskPath, hash: str) -> Card:
        self._document(*path)
        for card in self._cards(path):
            if card.hash == hash:
                return card
        raise MetaflowNotFound(f"The task {path} has no card {hash}.")

    def card(self, path: TaskPath, hash: str) -> str:
        return self._card(path, hash).get()

    def card_data(self, path: TaskPath, hash: str) -> Mapping[str, Any] | None:
        return self._card(path, hash).get_data()

    # --- logs -------------------------------------------------------------------------------------------------------

    def log(
        self, path: TaskPath, attempt: int, stream: Stream, position: str | float = "", most: int = 1 << 16
    ) -> LogSlice:
        return self._log(path, attempt, stream).slice(position, most)

    def search_log(self, path: TaskPath, attempt: int, stream: Stream, text: str, most: int = 1000) -> LogMatches:
        return self._log(path, attempt, stream).search(text, most)

    def raw_log(self, path: TaskPath, attempt: int, stream: Stream) -> Iterator[bytes]:
        return self._log(path, attempt, stream).content()

    def _log(self, path: TaskPath, attempt: int, stream: Stream) -> StoredLog:
        self._document(*path)
        attempts = Task._at(tuple(path), self._site)._attempts()
        if attempt not in attempts.begun:
            raise MetaflowNotFound(f"The task {path} has no attempt {attempt}.")
        run = self._document(path.flow, path.run)
        is_over = attempt in attempts.done or self._row(path.flow, path.run, run).is_over
        return StoredLog(attempts.storage, path, attempt, stream, is_over=is_over)
