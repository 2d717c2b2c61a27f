"""The calls of Metaflow's metadata service over HTTP: for its client and for ours (docs/decisions/0039).

From a request to a `Call`, from an `Answer` to a response; every error becomes a status and a sentence. What the calls
do is in `metaflow.serve.rest.service`, the table of them in `metaflow.serve.rest.calls`. Start reading at `routes`.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import partial

from sqlalchemy.exc import OperationalError
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from metaflow.exception import MetaflowNotFound, MetaflowTaggingError, StorageUnavailable
from metaflow.serve.database.place import Database, unavailable
from metaflow.serve.rest.calls import CALLS, CallRow
from metaflow.serve.rest.description import description
from metaflow.serve.rest.input import Refused, parsed
from metaflow.serve.rest.service import Call, MetadataService
from metaflow.serve.served import Served

VERSION = "2.6.1"
"""Of the version of Metaflow's service that has all of these calls."""
_ALIVE_SECONDS = 15.0
_HEADERS = {"METADATA_SERVICE_VERSION": VERSION, "Cache-Control": "no-store"}


def routes(served: Served) -> list[BaseRoute]:
    """Return the routes of the metadata service; without a database those that say so."""
    found = [Route("/events", partial(_events, served)), Route("/ping", _ping)]
    if served.database is None:
        return [*found, Route("/flows{rest:path}", _refuse, methods=["GET", "POST", "PATCH"])]
    service = MetadataService(served.database, served.changes, lambda: time.time_ns() // 1_000_000)
    calls = [Route(row.path, _endpoint(service, served.database, row), methods=[row.method]) for row in CALLS]
    return [*calls, Route("/openapi.json", _openapi), *found]


async def _ping(_: Request) -> Response:
    return PlainTextResponse("pong", headers=_HEADERS)


async def _openapi(_: Request) -> Response:
    return Response(json.dumps(description(CALLS, VERSION), indent=1), media_type="application/json")


async def _refuse(_: Request) -> Response:
    return _failed(403, "This server shows runs and keeps none: it was started without a database.")


async def _events(served: Served, request: Request) -> Response:
    below = tuple(filter(None, request.query_params.get("below", "").split("/")))

    async def lines() -> AsyncIterator[bytes]:
        yield b": watching\n\n"
        async for paths in served.changes.below(below, _ALIVE_SECONDS):
            yield b"".join(f"data: {json.dumps(path)}\n\n".encode() for path in paths) or b": nothing new\n\n"

    return StreamingResponse(lines(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})


def _endpoint(
    service: MetadataService, database: Database, row: CallRow
) -> Callable[[Request], Coroutine[None, None, Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            body = parsed(await request.body()) if row.method != "GET" else None
            key = request.headers.get("idempotency-key")
            query = request.query_params.multi_items()
            call = Call(request.path_params, query, body, key, request.state.grant.projects)
            await service.check(call)
            content, status, headers = await row.does(service, call)
        except MetaflowNotFound as error:
            return _failed(404, error.message)
        except MetaflowTaggingError as error:
            return _failed(422, error.message)
        except Refused as error:
            return _failed(error.status, error.message)
        except (StorageUnavailable, OperationalError) as error:
            trouble = error if isinstance(error, StorageUnavailable) else unavailable(error, database.shown)
            return _failed(503, trouble.message, {"Retry-After": "1"})
        return Response(content, status, {**_HEADERS, **headers}, "application/json")

    return endpoint


def _failed(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    content = json.dumps({"message": message})
    return Response(content, status, {**_HEADERS, **(headers or {})}, "application/json")
