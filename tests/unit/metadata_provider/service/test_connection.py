"""One call over HTTP, against a server that answers as it is told."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import pytest

from metaflow.exception import SettingsError
from metaflow.metadata_provider.service.connection import Connection, Unavailable


class Said(NamedTuple):
    """What the server says; `cut`: only so many bytes of it, then it closes the connection."""

    status: int = 200
    body: str = "{}"
    headers: tuple[tuple[str, str], ...] = ()
    cut: int | None = None


class Server:
    def __init__(self) -> None:
        self.says: Callable[[int], Said] = lambda number: Said()
        self.heard: list[tuple[str, str, dict[str, str], Any]] = []
        self.connections = 0
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                server.connections += 1

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                said = server.says(len(server.heard))
                server.heard.append((self.command, self.path, dict(self.headers), json.loads(body) if body else None))
                data = said.body.encode()
                self.send_response(said.status)
                for name, value in (("Content-Type", "application/json"), *said.headers):
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data[: said.cut])
                if said.cut is not None:
                    self.close_connection = True

            do_GET = do_POST = do_PATCH = answer

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.close()


@pytest.fixture
def connection(server: Server) -> Iterator[Connection]:
    found = Connection(f"{server.url}/base/", {"x-api-key": "k"}, timeout=5)
    yield found
    found.close()


def test_calls_share_a_connection(server: Server, connection: Connection) -> None:
    server.says = lambda number: Said(body='{"a": 1}', headers=(("X-Limit", "5"),))
    answer = connection.call("POST", "/flows/F", {"flow_id": "F"}, {"_limit": 5, "status:eq": "a b"})
    assert (answer.ok, answer.content, answer.headers["x-limit"]) == (True, {"a": 1}, "5")
    assert connection.call("GET", "/ping").ok
    (method, path, headers, body), (_, second, _, nothing) = server.heard
    assert (method, path, body) == ("POST", "/base/flows/F?_limit=5&status%3Aeq=a+b", {"flow_id": "F"})
    assert (headers["x-api-key"], headers["Content-Type"]) == ("k", "application/json")
    assert (second, nothing) == ("/base/ping", None)
    assert server.connections == 1


@pytest.mark.parametrize(
    ("said", "reason", "unsure", "pause"),
    [
        (Said(500, '{"message": "oh"}'), "it answers 500: oh", True, 0.0),
        (Said(502, "<html>"), "it answers 502: <html>", True, 0.0),
        (Said(503, '{"detail": "later"}', (("Retry-After", "7"),)), "it answers 503: later", True, 7.0),
        (Said(429, "", (("Retry-After", "100000"),)), "it answers 429: Too Many Requests", False, 300.0),
        (Said(200, '{"a": [1, 2', cut=5), "it cut its answer short", True, 0.0),
        (Said(200, '{"a": [1, 2'), "its answer is not whole", True, 0.0),
    ],
)
def test_answers_that_do_not_count(
    server: Server, connection: Connection, said: Said, reason: str, unsure: bool, pause: float
) -> None:
    server.says = lambda number: said
    with pytest.raises(Unavailable) as error:
        connection.call("GET", "/flows")
    assert (error.value.reason, error.value.unsure, error.value.pause) == (reason, unsure, pause)
    server.says = lambda number: Said()
    assert connection.call("GET", "/flows").ok


@pytest.mark.parametrize("status", [400, 401, 404, 409, 422])
def test_refusals_are_answers(server: Server, connection: Connection, status: int) -> None:
    server.says = lambda number: Said(status, '{"message": "no"}')
    answer = connection.call("GET", "/flows")
    assert (answer.status, answer.ok, answer.sentence) == (status, False, "no")


def test_a_connection_that_was_closed_meanwhile_is_opened_anew(server: Server, connection: Connection) -> None:
    assert connection.call("GET", "/a").ok
    kept = connection._idle[0][0].sock
    assert kept is not None
    kept.shutdown(socket.SHUT_RDWR)
    assert connection.call("GET", "/b").ok


def test_nobody_listens(server: Server) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        away = Connection(f"http://127.0.0.1:{taken.getsockname()[1]}", {})
        with pytest.raises(Unavailable, match="nobody listens there") as error:
            away.call("GET", "/ping")
    assert not error.value.unsure


def test_a_fork_has_connections_of_its_own(server: Server, connection: Connection) -> None:
    assert connection.call("GET", "/a").ok
    child = os.fork()
    if child == 0:
        os._exit(0 if connection.call("GET", "/b").ok and len(connection._idle) == 1 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert connection.call("GET", "/c").ok
    assert server.connections == 2


@pytest.mark.parametrize("url", ["", "flows", "ftp://a", "http://", "http://a:port"])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(SettingsError, match="is not the address of a metadata service"):
        Connection(url, {})
