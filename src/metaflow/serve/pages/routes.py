"""Requests → values → pages: which address shows what. Start reading at `routes`.

Each page asks the reader for what it shows, in a thread, and renders it; each has an address that stays
(`metaflow.serve.pages.addresses`), and its filters are in the query. What the reader does not find is a page, too.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from typing import Any, NamedTuple, TypeAlias

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from metaflow.cards.server import with_listener
from metaflow.exception import MetaflowException, MetaflowNotFound
from metaflow.metadata_provider.protocol import TaskPath
from metaflow.serve.pages import addresses, rendering, views
from metaflow.serve.reading.filters import RunFilter
from metaflow.serve.reading.protocol import RUN_STATES, Preview, RunReader, Stream, TaskDetail, TaskRow

Endpoint: TypeAlias = Callable[[Request], Response]

STREAMS: tuple[Stream, ...] = ("stdout", "stderr")
_RUNS_ON_A_PAGE = 50
_TASKS_ON_A_PAGE = 50
_MOST_PREVIEWS, _LARGEST_PREVIEW = 40, 100_000
_HEADERS = {
    "Content-Security-Policy": rendering.POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_CARD_POLICY = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval' https: data: blob:; "
    "style-src 'unsafe-inline' https:; img-src https: data: blob:; font-src https: data:; "
    "media-src https: data: blob:; connect-src https: data: blob:; worker-src blob:; "
    "form-action 'none'; base-uri 'none'"
)
_LOG = logging.getLogger(__name__)


class TaskFilter(NamedTuple):
    """Which tasks of a table are shown; empty: any."""

    text: str = ""
    step: str = ""
    state: str = ""

    def admits(self, row: TaskRow) -> bool:
        """Tell whether a task is wanted."""
        named = f"{row.step}/{row.task} {row.item}".casefold()
        return (
            (not self.step or row.step == self.step)
            and (not self.state or row.state == self.state)
            and all(word in named for word in self.text.casefold().split())
        )


def routes(reader: RunReader, place: str, events: Callable[..., str]) -> list[BaseRoute]:
    """Return the routes of the pages.

    Parameters
    ----------
    reader : RunReader
        What finds runs.
    place : str
        Where they are kept, as the client's ``metadata`` takes it.
    events : callable
        Returns the address of the events about what names lead to: of all runs, of a run, of a task.
    """
    pages = _Pages(reader, place, events)
    run, task = "/runs/{flow}/{run}", "/runs/{flow}/{run}/{step}/{task}"
    table: Sequence[tuple[str, Endpoint]] = (
        (addresses.RUNS, pages.runs),
        (addresses.COMPARE, pages.compare),
        (run, pages.run),
        (f"{run}/{{step}}", pages.step),
        (task, pages.task),
        (f"{task}/log/{{stream}}", pages.log),
        (f"{task}/log/{{stream}}/raw", pages.raw_log),
        (f"{task}/artifacts/{{name}}", pages.artifact),
        (f"{task}/cards/{{hash}}", pages.card),
        (f"{task}/cards/{{hash}}/data", pages.card_data),
        ("/static/{version}/{name}", pages.static),
        ("/runs/{rest:path}", pages.nothing),
    )
    return [Route(path, pages.explained(endpoint), methods=["GET"]) for path, endpoint in table]


class _Pages:
    def __init__(self, reader: RunReader, place: str, events: Callable[..., str]) -> None:
        self._reader = reader
        self._place = place
        self._events = events

    def explained(self, endpoint: Endpoint) -> Endpoint:
        """Return an endpoint whose failure is a page in plain words."""

        @wraps(endpoint)
        def answer(request: Request) -> Response:
            try:
                return endpoint(request)
            except MetaflowNotFound as error:
                return self._message(404, "Not found", f"{error.message}", error.hint)
            except MetaflowException as error:
                return self._message(503, "This cannot be shown now", f"{error.message}", error.hint)
            except _BadRequest as error:
                return self._message(400, "That address does not work", str(error))
            except Exception:  # noqa: BLE001 - the page says so, the log has it all
                _LOG.exception("The page %s could not be made", request.url.path)
                return self._message(500, "The server made a mistake", "What it was is in the server's own log.")

        return answer

    def runs(self, request: Request) -> Response:
        query = request.query_params
        try:
            wanted = RunFilter.parse(query.multi_items())
        except ValueError as error:
            raise _BadRequest(f"{error}.") from None
        after = query.get("after") or None
        page = self._reader.runs(wanted, after, _RUNS_ON_A_PAGE)
        return self._page(
            "runs.html",
            page=page,
            wanted=wanted,
            no_filter=RunFilter(),
            flows=self._reader.flows(),
            states=RUN_STATES,
            further=_further(wanted),
            is_later=after is not None,
            older=addresses.runs([*wanted.query(), ("after", page.after or "")]),
            events=self._events() if after is None else None,
        )

    def run(self, request: Request) -> Response:
        flow, run = _names(request, "flow", "run")
        detail = self._reader.run(flow, run)
        rows = self._reader.tasks(flow, run).rows
        ends = [step.ended for step in detail.steps if step.ended is not None]
        now = views.now()
        end = detail.row.ended or (max(ends, default=now) if detail.row.is_over else now)
        return self._page(
            "run.html",
            detail=detail,
            spans=views.spans(detail.steps, detail.row.started, end),
            step_names=[step.name for step in detail.steps],
            events=None if detail.row.is_over else self._events(flow, run),
            **_table(request, rows, addresses.run(flow, run)),
        )

    def step(self, request: Request) -> Response:
        flow, run, step = _names(request, "flow", "run", "step")
        detail = self._reader.run(flow, run)
        known = (detail.graph.get("steps") or {}).get(step)
        rows = [row for row in self._reader.tasks(flow, run).rows if row.step == step]
        if not rows and known is None:
            raise MetaflowNotFound(f"The run {flow}/{run} has no step '{step}'.")
        return self._page(
            "step.html",
            flow=flow,
            run=run,
            step=step,
            doc=(known or {}).get("doc"),
            began=detail.row.started,
            counts=Counter(row.state for row in rows),
            events=None if detail.row.is_over else self._events(flow, run),
            **_table(request, rows, addresses.step(flow, run, step)),
        )

    def task(self, request: Request) -> Response:
        path = _task_path(request)
        detail = self._reader.task(path)
        attempt = None
        if detail.attempts:
            number = _number(request, "attempt", detail.attempts[-1].number)
            attempt = next((each for each in detail.attempts if each.number == number), None)
            if attempt is None:
                raise MetaflowNotFound(f"The task {path} has no attempt {number}.")
        usual = "stderr" if attempt and attempt.state in ("failed", "caught") else "stdout"
        stream = _stream(request.query_params.get("stream", usual))
        run = self._reader.run(path.flow, path.run)
        is_live = detail.row.state == "running"
        return self._page(
            "task.html",
            detail=detail,
            attempt=attempt,
            stream=stream,
            log=self._reader.log(path, attempt.number, stream) if attempt else None,
            previews=self._previews(detail, attempt.number if attempt else None),
            neighbours=_neighbours(self._reader.tasks(path.flow, path.run).rows, path),
            script=run.code.script,
            events=self._events(*path) if is_live else None,
        )

    def log(self, request: Request) -> Response:
        path, stream = _task_path(request), _stream(request.path_params["stream"])
        attempt = self._attempt(request, path)
        query = request.query_params
        text, position = query.get("q", ""), query.get("position", "")
        if "part" not in query:
            found = self._reader.search_log(path, attempt, stream, text) if text else None
            lines = None if found else self._reader.log(path, attempt, stream, position)
            return self._page(
                "log.html", path=path, stream=stream, attempt=attempt, text=text, found=found, lines=lines
            )
        if text:
            found = self._reader.search_log(path, attempt, stream, text)
            return _json({"positions": found.positions, "is_cut": found.is_cut})
        at = _fraction(query["fraction"]) if "fraction" in query else position
        part = self._reader.log(path, attempt, stream, at)
        return _json({**part._replace(lines=())._asdict(), "html": rendering.render("lines.html", lines=part)})

    def raw_log(self, request: Request) -> Response:
        path, stream = _task_path(request), _stream(request.path_params["stream"])
        parts = self._reader.raw_log(path, self._attempt(request, path), stream)
        name = "-".join((*path[:4], f"{stream}.log"))
        safe = "".join(char if char.isascii() and (char.isalnum() or char in "._-") else "_" for char in name)
        headers = {**_HEADERS, "Content-Disposition": f'attachment; filename="{safe}"'}
        return StreamingResponse(parts, media_type="text/plain; charset=utf-8", headers=headers)

    def artifact(self, request: Request) -> Response:
        path, name = _task_path(request), request.path_params["name"]
        attempt = _number(request, "attempt", None)
        shown = self._reader.preview(path, name, attempt)
        return self._page("artifact.html", path=path, shown=shown, attempt=attempt)

    def card(self, request: Request) -> Response:
        html = with_listener(self._reader.card(_task_path(request), request.path_params["hash"]))
        headers = {**_HEADERS, "Content-Security-Policy": _CARD_POLICY}
        return Response(html.encode("utf-8", "replace"), media_type="text/html", headers=headers)

    def card_data(self, request: Request) -> Response:
        data = self._reader.card_data(_task_path(request), request.path_params["hash"])
        return _json(data or {})

    def compare(self, request: Request) -> Response:
        chosen = [(flow, run) for flow, slash, run in map(_split, request.query_params.getlist("run")) if slash]
        if len(chosen) == 2:
            return self._page("compare.html", both=self._reader.compare(*chosen))
        if len(chosen) != 1:
            raise _BadRequest("Choose two runs in the list, then compare them.")
        page = self._reader.runs(RunFilter(flow=chosen[0][0]), None, _RUNS_ON_A_PAGE)
        return self._page("choose.html", run=chosen[0], others=[row for row in page.rows if row[:2] != chosen[0]])

    def static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in rendering.SCRIPTS:
            raise MetaflowNotFound("There is nothing at this address.")
        is_current = request.path_params["version"] == rendering.VERSION
        kept = "public, max-age=31536000, immutable" if is_current else "no-store"
        headers = {"Cache-Control": kept, "X-Content-Type-Options": "nosniff"}
        return Response(rendering.SCRIPTS[name], media_type="text/javascript", headers=headers)

    def nothing(self, request: Request) -> Response:
        raise MetaflowNotFound("There is nothing at this address.")

    def _attempt(self, request: Request, path: TaskPath) -> int:
        last = 0 if "attempt" in request.query_params else self._reader.task(path).row.attempts - 1
        return _number(request, "attempt", max(0, last)) or 0

    def _previews(self, detail: TaskDetail, attempt: int | None) -> dict[str, Preview]:
        names = [each.name for each in detail.artifacts if each.size <= _LARGEST_PREVIEW][:_MOST_PREVIEWS]
        with ThreadPoolExecutor(8) as pool:
            return dict(
                zip(names, pool.map(lambda name: self._preview(detail.path, name, attempt), names), strict=True)
            )

    def _preview(self, path: TaskPath, name: str, attempt: int | None) -> Preview:
        try:
            return self._reader.preview(path, name, attempt)
        except MetaflowException as error:
            return Preview(name, "", 0, "", trouble=f"{error.message}")

    def _message(self, status: int, title: str, message: str, hint: str | None = None) -> Response:
        return self._page("error.html", status, title=title, message=message, hint=hint)

    def _page(self, template: str, status: int = 200, **values: Any) -> Response:
        values.setdefault("events", None)
        return Response(
            rendering.render(template, place=self._place, **values), status, media_type="text/html", headers=_HEADERS
        )


class _BadRequest(Exception):
    """The address has what no page of ours writes."""


def _json(value: object) -> Response:
    return JSONResponse(value, headers=_HEADERS)


def _table(request: Request, rows: Sequence[TaskRow], address: str) -> dict[str, Any]:
    """Return what the table of tasks shows of `rows`, for one that is paged without a script."""
    query = request.query_params
    wanted = TaskFilter(query.get("q", "").strip(), query.get("step", ""), query.get("state", ""))
    begin = max(0, _number(request, "from", 0) or 0)
    fitting = [row for row in rows if wanted.admits(row)]
    end = begin + _TASKS_ON_A_PAGE
    more = request.url.include_query_params(**{"from": end}).query
    return {
        "all_rows": rows,
        "rows": fitting[begin:end],
        "total": len(fitting),
        "wanted": wanted,
        "more": f"{address}?{more}#tasks" if end < len(fitting) else None,
    }


def _further(wanted: RunFilter) -> list[tuple[str, str, str]]:
    """Return what the form has no field for, as it has one tag and one status: name, value, address without it."""
    query = wanted.query()
    found: list[tuple[str, str, str]] = []
    for name in ("status", "tag"):
        for part in [each for each in query if each[0] == name][1:]:
            found.append((*part, addresses.runs([each for each in query if each != part])))
    return found


def _neighbours(rows: Sequence[TaskRow], path: TaskPath) -> tuple[TaskPath | None, TaskPath | None]:
    """Return the tasks of the same step that began just before and after one."""
    names = [
        row.task for row in sorted((row for row in rows if row.step == path.step), key=lambda row: row.started or 0)
    ]
    if path.task not in names:
        return None, None
    at = names.index(path.task)
    return (
        path._replace(task=names[at - 1]) if at else None,
        path._replace(task=names[at + 1]) if at + 1 < len(names) else None,
    )


def _split(pathspec: str) -> tuple[str, str, str]:
    return pathspec.partition("/")


def _names(request: Request, *names: str) -> list[str]:
    return [str(request.path_params[name]) for name in names]


def _task_path(request: Request) -> TaskPath:
    return TaskPath(*_names(request, "flow", "run", "step", "task"))


def _stream(name: str) -> Stream:
    for stream in STREAMS:
        if name == stream:
            return stream
    raise MetaflowNotFound(f"A task has no stream '{name}'.", hint="its streams are stdout and stderr")


def _fraction(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found <= 1:
        raise _BadRequest(f"'{text}' is not a part of a log, from 0 to 1.")
    return found


def _number(request: Request, name: str, default: int | None) -> int | None:
    text = request.query_params.get(name)
    if not text:
        return default
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise _BadRequest(f"'{text}' is not a number of what '{name}' counts.")
    return int(text)
