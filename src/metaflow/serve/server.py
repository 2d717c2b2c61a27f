"""The process: listens, says where, serves, and ends well when it is told to. Start reading at `serve`."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable

import uvicorn
from starlette.applications import Starlette

from metaflow.exception import CommandException
from metaflow.serve.bounded_http import BoundedProtocol

_MOST_CONNECTIONS = 2000
_GRACE_SECONDS = 3
"""How long requests that are being answered may take when the server is told to end."""


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises
    ------
    CommandException
        The address or the port cannot be had.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error.strerror)
        raise CommandException(
            f"The server cannot listen on {host}, port {port}: {reason}.", hint="--port 0 takes any that is free"
        ) from None
    return listening


def address_of(listening: socket.socket) -> str:
    """Return the URL of what listens on a socket."""
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def serve(app: Starlette, listening: socket.socket, *, started: Callable[[], None], ending: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM.

    Parameters
    ----------
    app : Starlette
        What to serve.
    listening : socket
        Where.
    started : callable
        Called once requests are answered.
    ending : callable
        Called when the server is told to end, before it waits for open requests: ends streams.
    """
    config = uvicorn.Config(
        app,
        http=BoundedProtocol,
        ws="none",
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    asyncio.run(_Server(config, started, ending).until_told(listening))


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, started: Callable[[], None], ending: Callable[[], None]) -> None:
        super().__init__(config)
        self._when_started = started
        self._when_ending = ending

    async def until_told(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._end)
        await self._serve([listening])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._when_started()

    def _end(self) -> None:
        self.should_exit = True
        self._when_ending()
