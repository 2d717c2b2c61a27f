"""What scripts of pages, and programs, ask the server for: JSON, and events when something changes.

::

    /api/ui/runs?<filter>&after=…                       a page of runs
    /api/ui/runs/F/7                                    a run                        …/tasks: its table of tasks
    /api/ui/runs/F/7/train/12                           a task
    /api/ui/runs/F/7/train/12/artifacts/model           an artifact                  ?attempt=
    /api/ui/runs/F/7/train/12/logs/0/stdout             lines of a log               ?position=&most=, ?search=
    /api/ui/compare?left=F/7&right=F/8                  two runs side by side
    /api/ui/events?below=F/7/train/12                   events: the paths of what has changed

An answer has a tag, by which a client that has it already is told so. Start reading at `routes`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from functools import wraps
from hashlib import blake2b
from typing import Any, cast
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from metaflow.exception import MetaflowException, MetaflowNotFound
from metaflow.metadata_provider.protocol import TaskPath
from metaflow.serve.reading.encoding import encode
from metaflow.serve.reading.filters import RunFilter
from metaflow.serve.reading.protocol import RunReader, Stream
from metaflow.serve.reading.watching import Watches

_TOP = "/api/ui"
_ALIVE_SECONDS = 15.0
_MOST_RUNS = 500
_MOST_LOG = 1 << 20
_HEADERS = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}

Endpoint = Callable[[Request], Response]


def events_address(*names: str) -> str:
    """Return the address of the events about what names lead to: of all runs, of a run, a step or a task."""
    return f"{_TOP}/events?below={'/'.join(quote(name, safe='') for name in names)}"


def routes(reader: RunReader, watches: Watches) -> list[BaseRoute]:
    """Return the routes.

    Parameters
    ----------
    reader : RunReader
        What finds runs.
    watches : Watches
        What tells of changes.
    """
    asked = _Asked(reader)
    run, task = f"{_TOP}/runs/{{flow}}/{{run}}", f"{_TOP}/runs/{{flow}}/{{run}}/{{step}}/{{task}}"
    table: tuple[tuple[str, Endpoint], ...] = (
        (f"{_TOP}/runs", asked.runs),
        (f"{_TOP}/compare", asked.compare),
        (run, asked.run),
        (f"{run}/tasks", asked.tasks),
        (task, asked.task),
        (f"{task}/artifacts/{{name}}", asked.artifact),
        (f"{task}/logs/{{attempt:int}}/{{stream}}", asked.log),
    )

    async def events(request: Request) -> Response:
        path = tuple(filter(None, request.query_params.get("below", "").split("/")))
        if len(path) > 4 or len(path) == 1:
            return PlainTextResponse("below= takes the path of a run, a step or a task.\n", 400)
        lines = _lines(watches.below(path, _ALIVE_SECONDS))
        return StreamingResponse(
            lines, media_type="text/event-stream", headers=_HEADERS | {"Cache-Control": "no-store"}
        )

    return [Route(f"{_TOP}/events", events), *(Route(path, _explained(endpoint)) for path, endpoint in table)]


async def _lines(changes: AsyncIterator[list[tuple[str, ...]]]) -> AsyncIterator[bytes]:
    yield b": watching\n\n"
    async for paths in changes:
        yield b"".join(f"data: {json.dumps(path)}\n\n".encode() for path in paths) or b": nothing new\n\n"


def _explained(endpoint: Endpoint) -> Endpoint:
    """Return an endpoint whose failure is a status and a sentence."""

    @wraps(endpoint)
    def answer(request: Request) -> Response:
        try:
            return endpoint(request)
        except MetaflowNotFound as error:
            return _failed(404, error.message)
        except ValueError as error:
            return _failed(400, str(error))
        except MetaflowException as error:
            return _failed(503, error.message)

    return answer


def _failed(status: int, message: str) -> Response:
    return Response(encode({"message": message}), status, _HEADERS, "application/json")


def _answer(request: Request, value: Any, version: str | None = None) -> Response:
    """Return a value as JSON, or that the client has it already; `version` spares making it."""
    known = request.headers.get("if-none-match")
    body = None if version is not None and known == f'"{version}"' else encode(value)
    tag = f'"{version or blake2b(body or b"", digest_size=8).hexdigest()}"'
    headers = _HEADERS | {"ETag": tag}
    return Response(None, 304, headers) if known == tag else Response(body, 200, headers, "application/json")


class _Asked:
    def __init__(self, reader: RunReader) -> None:
        self._reader = reader

    def runs(self, request: Request) -> Response:
        query = request.query_params
        size = _number(query.get("size", "50"), 1, _MOST_RUNS)
        return _answer(request, self._reader.runs(RunFilter.parse(query.multi_items()), query.get("after"), size))

    def run(self, request: Request) -> Response:
        return _answer(request, self._reader.run(*_run(request)))

    def tasks(self, request: Request) -> Response:
        table = self._reader.tasks(*_run(request))
        return _answer(request, table, table.version)

    def task(self, request: Request) -> Response:
        return _answer(request, self._reader.task(_task(request)))

    def artifact(self, request: Request) -> Response:
        attempt = request.query_params.get("attempt")
        number = None if attempt is None else _number(attempt, 0, 1 << 31)
        return _answer(request, self._reader.preview(_task(request), request.path_params["name"], number))

    def log(self, request: Request) -> Response:
        path, query = _task(request), request.query_params
        attempt, stream = int(request.path_params["attempt"]), request.path_params["stream"]
        if stream not in ("stdout", "stderr"):
            raise MetaflowNotFound("There are two logs, stdout and stderr.")
        stream = cast(Stream, stream)
        if "search" in query:
            return _answer(request, self._reader.search_log(path, attempt, stream, query["search"]))
        most = _number(query.get("most", str(1 << 16)), 1, _MOST_LOG)
        position: str | float = query.get("position", "")
        if "fraction" in query:
            position = float(query["fraction"])
        return _answer(request, self._reader.log(path, attempt, stream, position, most))

    def compare(self, request: Request) -> Response:
        named = [request.query_params.get(side, "").split("/") for side in ("left", "right")]
        if any(len(names) != 2 for names in named):
            raise ValueError("left= and right= each take a run, as flow/run")
        (flow, run), (other_flow, other) = named
        return _answer(request, self._reader.compare((flow, run), (other_flow, other)))


def _run(request: Request) -> tuple[str, str]:
    return request.path_params["flow"], request.path_params["run"]


def _task(request: Request) -> TaskPath:
    return TaskPath(*(request.path_params[name] for name in TaskPath._fields))


def _number(text: str, least: int, most: int) -> int:
    if not text.isdecimal():
        raise ValueError(f"'{text}' is not a number")
    return min(max(int(text), least), most)
