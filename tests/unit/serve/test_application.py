from __future__ import annotations

import asyncio
from pathlib import Path

import httpx2
import pytest

from metaflow.client.site import of_directory
from metaflow.serve.access import AccessRules
from metaflow.serve.application import application
from metaflow.serve.changes import Changes
from metaflow.serve.served import Served


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1:8080", 200), ("localhost", 200), ("[::1]:8080", 200), ("stranger.example", 403), ("", 403)],
)
def test_a_local_server_answers_only_to_the_names_of_its_machine(tmp_path: Path, host: str, status: int) -> None:
    app = application(Served(of_directory("local", str(tmp_path)), Changes()), AccessRules(is_local=True))

    async def ask() -> httpx2.Response:
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://localhost") as client:
            return await client.get("/ping", headers={"Host": host})

    assert asyncio.run(ask()).status_code == status
