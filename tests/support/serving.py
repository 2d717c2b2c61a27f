"""The server in the process of a test, which needs no socket for its requests; and in one of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, Self

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


class Running:
    """A server in a process of its own, from when it answers until it is told to end.

    Parameters
    ----------
    database : str
        File or URL.
    directory : str
        Where it is started.
    port : int
        0 for any.
    options : str
        More of its options.
    environ : mapping of str to str
        Variables beside ours.

    Attributes
    ----------
    process : Popen
        The process.
    port : int
        Where it listens.
    cpu_seconds : float
        What it had used when `megabytes` was asked.
    """

    def __init__(
        self, database: str, directory: str, *options: str, port: int = 0, environ: Mapping[str, str] | None = None
    ) -> None:
        command = [sys.executable, "-c", "from metaflow.cli.console import main; main()", "serve", "--no-browser"]
        self.process = subprocess.Popen(
            [*command, "--port", str(port), "--database", database, *options],
            cwd=directory,
            env={**os.environ, **(environ or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        assert said.startswith("Serving "), said + self.process.communicate()[1]
        self.url = said.split()[1].rstrip("/")
        self.port = int(self.url.rpartition(":")[2])
        self.cpu_seconds = 0.0

    def megabytes(self) -> float:
        """Return how much memory it has needed at most."""
        with open(f"/proc/{self.process.pid}/stat", encoding="utf-8") as file:
            fields = file.read().rpartition(")")[2].split()
        self.cpu_seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        with open(f"/proc/{self.process.pid}/status", encoding="utf-8") as file:
            return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmHWM"))

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Tell it to end; return its exit status, and what it said on stderr."""
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=30)
        return self.process.returncode, errors

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.end()
