"""Our metadata service, listening on a port, on a thread of the test's process."""

from __future__ import annotations

import asyncio
import json
import threading

import uvicorn

from metaflow.serve.server import address_of, listen
from support.fault_proxy import Answer
from support.serving import InProcess


class ListeningService(InProcess):
    """A service with a database in a directory.

    Attributes
    ----------
    url : str
        Where it listens.
    """

    def __init__(self, directory: str) -> None:
        super().__init__(directory)
        self._socket = listen("127.0.0.1", 0)
        self.url = address_of(self._socket).rstrip("/")
        self._server = uvicorn.Server(uvicorn.Config(self.app, log_level="warning", access_log=False))
        started = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(started,), daemon=True)
        self._thread.start()
        assert started.wait(30)

    def _serve(self, started: threading.Event) -> None:
        async def until_told() -> None:
            asyncio.get_running_loop().call_soon(started.set)
            await self._server._serve([self._socket])

        asyncio.run(until_told())

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join(30)
        super().close()


def keeps_numbers_for_itself(method: str, path: str, body: bytes) -> Answer | None:
    """Refuse to call a task by a number, as Metaflow's own service does (`FaultProxy.refuse`)."""
    if method == "POST" and path.endswith("/task") and str(json.loads(body).get("task_id", "")).isdecimal():
        return Answer(400, "BadName", "the name of a task may not be a number")
    return None
