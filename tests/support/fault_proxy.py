"""A proxy in front of an object store: writes down every request, and does to it what a test asks for.

It lives in the process of the test, on a thread; the store behind it is reached over plain HTTP.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import urlsplit


class Request(NamedTuple):
    """One request that came by.

    Attributes
    ----------
    number : int
        From 0, in order of arrival.
    path : str
        With the query.
    begin, end : float
        Seconds, when it came and when it was answered.
    """

    number: int
    method: str
    path: str
    begin: float
    end: float
    status: int


class Answer(NamedTuple):
    """An answer in place of the store's."""

    status: int
    code: str
    message: str = "by the test"
    headers: tuple[tuple[str, str], ...] = ()


class Cut(NamedTuple):
    """The store's answer, of which only so many bytes come before the connection is cut."""

    after: int = 0


class Altered(NamedTuple):
    """The store's answer with its first byte changed."""


Fault = Answer | Cut | Altered | None


class FaultProxy:
    """A proxy for one store.

    Parameters
    ----------
    upstream : str
        URL of the store.
    host : str
        Address to listen at, if containers shall reach it too.

    Attributes
    ----------
    requests : list of Request
        Those that were answered.
    fault : callable
        From number, method and path of a request to what happens to it; None: it is passed on.
    refuse : callable
        From method, path and body of a request to what is answered instead; None: `fault` says.
    latency : float
        Seconds by which each answer is delayed.
    """

    def __init__(self, upstream: str, host: str = "127.0.0.1") -> None:
        self._host = host
        self.upstream = urlsplit(upstream)
        self.requests: list[Request] = []
        self.fault: Callable[[int, str, str], Fault] = lambda number, method, path: None
        self.refuse: Callable[[str, str, bytes], Answer | None] = lambda method, path, body: None
        self.latency = 0.0
        self._count = 0
        self._lock = threading.Lock()
        self._port = 0
        self._server: _Server | None = None
        self.come()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def come(self) -> None:
        """Listen, at the same address as before."""
        proxy = self

        class Handler(_Handler):
            owner = proxy

        self._server = _Server((self._host, self._port), Handler)
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def go(self) -> None:
        """Refuse connections, and cut those that are open."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server.cut()
            self._server = None

    def forget(self) -> None:
        """Begin a new list of requests."""
        with self._lock:
            self.requests = []
            self._count = 0

    def seen(self, method: str = "", part: str = "") -> list[Request]:
        """Return the requests with this method whose path has `part` in it."""
        with self._lock:
            return [each for each in self.requests if each.method.startswith(method) and part in each.path]

    def rounds(self) -> int:
        """Return how many of the requests, at the most, were made one after the other."""
        count, free = 0, 0.0
        for request in sorted(self.seen(), key=lambda request: request.end):
            if request.begin >= free:
                count, free = count + 1, request.end
        return count

    def _next(self) -> int:
        with self._lock:
            self._count += 1
            return self._count - 1

    def _note(self, request: Request) -> None:
        with self._lock:
            self.requests.append(request)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._open: set[object] = set()
        super().__init__(address, handler)

    def process_request(self, request: object, client_address: object) -> None:
        self._open.add(request)
        super().process_request(request, client_address)  # type: ignore[arg-type]

    def shutdown_request(self, request: object) -> None:
        self._open.discard(request)
        super().shutdown_request(request)  # type: ignore[arg-type]

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # a client that was killed

    def cut(self) -> None:
        for connection in list(self._open):
            connection.close()  # type: ignore[attr-defined]


class _Handler(BaseHTTPRequestHandler):
    owner: FaultProxy
    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        begin, number = time.monotonic(), self.owner._next()
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.owner.refuse(self.command, self.path, body) or self.owner.fault(number, self.command, self.path)
        if self.owner.latency:
            time.sleep(self.owner.latency)  # this is the fault, not a synchronisation
        if isinstance(fault, Answer):
            text = f"<Error><Code>{fault.code}</Code><Message>{fault.message}</Message></Error>".encode()
            status, headers, content = fault.status, list(fault.headers), text
        else:
            status, headers, content = self._ask(body)
        if isinstance(fault, Altered):
            content = bytes([content[0] ^ 1]) + content[1:]
        self.owner._note(Request(number, self.command, self.path, begin, time.monotonic(), status))
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ("connection", "content-length", "transfer-encoding", "keep-alive"):
                self.send_header(name, value)
        length = next((value for name, value in headers if name.lower() == "content-length"), None)
        self.send_header("Content-Length", length if self.command == "HEAD" and length else str(len(content)))
        self.end_headers()
        if isinstance(fault, Cut):
            self.wfile.write(content[: fault.after])
            self.wfile.flush()
            self.close_connection = True
        elif self.command != "HEAD":
            self.wfile.write(content)

    def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        upstream = http.client.HTTPConnection(self.owner.upstream.hostname or "", self.owner.upstream.port, timeout=60)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
            upstream.request(self.command, self.path, body, headers)
            answer = upstream.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            upstream.close()

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = do_PATCH = _serve

    def log_message(self, *_: object) -> None:
        pass
