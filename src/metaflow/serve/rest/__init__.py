"""The calls of Metaflow's metadata service: for its client and for ours, unchanged."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Route

from metaflow.serve.served import Served


def routes(served: Served) -> list[BaseRoute]:
    """Return the routes of the metadata service."""

    async def ping(_: Request) -> PlainTextResponse:
        return PlainTextResponse("pong")

    return [Route("/ping", ping)]
