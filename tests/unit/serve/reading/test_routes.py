from __future__ import annotations

import asyncio
from collections.abc import Mapping

import httpx2
import pytest
from starlette.applications import Starlette

from metaflow.serve.changes import Changes
from metaflow.serve.reading.routes import events_address, routes
from metaflow.serve.reading.watching import Watches
from support.reading import FakeReader, sample_reader


class Client:
    """Asks an application in this process."""

    def __init__(self, reader: FakeReader) -> None:
        self._app = Starlette(routes=routes(reader, Watches(reader, Changes())))

    def get(self, address: str, headers: Mapping[str, str] | None = None) -> httpx2.Response:
        async def ask() -> httpx2.Response:
            transport = httpx2.ASGITransport(self._app)
            async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
                return await client.get(f"/api/ui{address}", headers=headers)

        return asyncio.run(ask())


@pytest.fixture(scope="module")
def client() -> Client:
    return Client(sample_reader())


TASK = "/runs/TrainFlow/101/train/22"


@pytest.mark.parametrize(
    ("address", "key", "value"),
    [
        ("/runs", "after", None),
        ("/runs?size=2", "after", "2"),
        ("/runs?flow=TrainFlow&status=failed&q=nightly", "is_partial", False),
        ("/runs/TrainFlow/101", "first_failure", ["TrainFlow", "101", "train", "22"]),
        ("/runs/TrainFlow/101/tasks", "steps", ["train", "start"]),
        (TASK, "place", "pod hello-7, node-3"),
        (f"{TASK}/artifacts/weights", "summary", "float64 array of shape (100, 3)"),
        (f"{TASK}/logs/1/stderr", "is_over", True),
        (f"{TASK}/logs/1/stdout?position=2999&most=1", "end", "3000"),
        (f"{TASK}/logs/1/stdout?fraction=0.5&most=1", "start", "1500"),
        (f"{TASK}/logs/1/stdout?search=EPOCH+2999", "positions", ["2999"]),
        ("/compare?left=TrainFlow/101&right=HelloFlow/201", "is_partial", None),
    ],
)
def test_answers(client: Client, address: str, key: str, value: object) -> None:
    answer = client.get(address)
    assert answer.status_code == 200
    found = answer.json().get(key)
    assert (list(found.values()) if isinstance(found, dict) else found) == value
    again = client.get(address, {"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/runs?from=yesterday", 400),
        ("/runs?size=many", 400),
        ("/runs/F/1", 404),
        ("/runs/TrainFlow/101/tasks/x", 404),
        (f"{TASK}/artifacts/nope", 404),
        (f"{TASK}/artifacts/weights?attempt=x", 400),
        (f"{TASK}/logs/1/other", 404),
        (f"{TASK}/logs/x/stdout", 404),
        (f"{TASK}/logs/1/stdout?fraction=x", 400),
        (f"{TASK}/logs/1/stdout?most=-1", 400),
        ("/compare?left=TrainFlow/101", 400),
        ("/compare?left=TrainFlow/101&right=F/1", 404),
        ("/events?below=F", 400),
        ("/events?below=a/b/c/d/e", 400),
    ],
)
def test_what_cannot_be_answered(client: Client, address: str, status: int) -> None:
    assert client.get(address).status_code == status


def test_the_address_of_events() -> None:
    assert events_address("F", "7/8") == "/api/ui/events?below=F/7%2F8"
