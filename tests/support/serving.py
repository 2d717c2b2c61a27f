"""The server in the process of a test: requests without a socket."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2

from metaflow.client.site import Site, of_directory
from metaflow.serve.access import AccessRules
from metaflow.serve.application import application
from metaflow.serve.changes import Changes
from metaflow.serve.database.catalog import DatabaseCatalog
from metaflow.serve.database.place import Database
from metaflow.serve.served import Served

LOCAL = AccessRules(is_local=True)


class InProcess:
    """A server.

    Parameters
    ----------
    directory : str
        Of its database, and of the local storage.
    rules : AccessRules
        Who may ask.
    """

    def __init__(self, directory: str, rules: AccessRules = LOCAL) -> None:
        self.database = Database(f"{directory}/facts.db")
        storage = of_directory("local", f"{directory}/.metaflow").storage
        self.app = application(Served(Site(DatabaseCatalog(self.database), storage), Changes(), self.database), rules)

    def ask(self, method: str, path: str, body: Any = None, **given: Any) -> httpx2.Response:
        """Return the answer to a request; `body` is sent as JSON."""
        if body is not None:
            given["json"] = body

        async def answer() -> httpx2.Response:
            transport = httpx2.ASGITransport(self.app)
            async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
                return await client.request(method, path, **given)

        return asyncio.run(answer())

    def close(self) -> None:
        self.database.close()
