"""The card server: one run's cards, for this machine only, and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection

import pytest

from metaflow.cards.server import CardServer, serve
from metaflow.exception import CommandException


@contextmanager
def running(cards: CardServer) -> Iterator[int]:
    address: list[str] = []
    ready = threading.Event()

    def started(url: str) -> None:
        address.append(url)
        ready.set()

    threading.Thread(target=serve, args=(cards, 0, started), daemon=True).start()
    assert ready.wait(20)
    yield int(address[0].rpartition(":")[2].strip("/"))


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with running(CardServer(lambda: None, 0.05, 10)) as port:
        yield port


def get(port: int, path: str, host: str = "") -> tuple[int, dict[str, str], str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", path, headers={"Host": host or f"127.0.0.1:{port}"})
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, dict(answer.headers), body


@pytest.mark.parametrize(
    ("path", "kind"), [("/", "text/html"), ("/server.js", "text/javascript"), ("/server.css", "text/css")]
)
def test_its_own_pages(port: int, path: str, kind: str) -> None:
    status, headers, _ = get(port, path)
    assert status == 200
    assert headers["Content-Type"].startswith(kind)
    assert "default-src 'self'" in headers["Content-Security-Policy"]


@pytest.mark.parametrize("path", ["/etc/passwd", "/card.css", "/../pyproject.toml", "/card/x", "/card/..%2f..%2fetc"])
def test_nothing_else_is_served(port: int, path: str) -> None:
    assert get(port, path)[0] == 404


def test_other_host_names_are_refused(port: int) -> None:
    assert get(port, "/", host="evil.example:80")[0] == 403
    assert get(port, "/", host=f"localhost:{port}")[0] == 200


def test_changes_are_told_once() -> None:
    changes = CardServer(lambda: None, 0.0, 10).changes()
    assert next(changes) == {"run": "", "cards": []}
    assert [next(changes) for _ in range(3)] == [{}, {}, {}]


def test_a_port_that_is_taken(port: int) -> None:
    with pytest.raises(CommandException, match=f"cannot listen on port {port}"):
        serve(CardServer(lambda: None, 1, 1), port, lambda url: None)
