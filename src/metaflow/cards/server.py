"""A small server for the cards of a run, on this machine only: they are shown as they change.

One page lists the cards and shows one of them in a frame, apart from the others and from the server. It hears of
changes by server-sent events and passes them on to the frame. Nothing but cards is served. Start reading at `serve`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any, NamedTuple
from urllib.parse import unquote

from metaflow.cards.charts import with_charts
from metaflow.cards.stored import Card, get_cards
from metaflow.client import Run
from metaflow.exception import CommandException, MetaflowException

_LISTENER = """<script>
new ResizeObserver(() => parent.postMessage({ height: document.documentElement.scrollHeight }, "*"))
  .observe(document.documentElement);
addEventListener("message", (event) => {
  if (event.source !== parent) return;
  const { token, data } = event.data;
  if (token !== window.METAFLOW_RELOAD_TOKEN || typeof window.metaflow_card_update !== "function"
      || window.metaflow_card_update(data) === false) parent.postMessage("reload", "*");
});
</script>
"""
_POLICY = "default-src 'self'; img-src data:; style-src 'self'; script-src 'self'; frame-src 'self'; base-uri 'none'"
_RESOURCES = {
    "/": ("server.html", "text/html"),
    "/server.css": ("server.css", "text/css"),
    "/server.js": ("server.js", "text/javascript"),
}


def with_listener(html: str) -> str:
    """Return a card's page with what talks to the page around its frame: updates, a reload, its height."""
    head, body, rest = html.rpartition("</body>")
    return f"{head}{_LISTENER}{body}{rest}" if body else f"{html}{_LISTENER}"


class Shown(NamedTuple):
    """A card in the list.

    Attributes
    ----------
    key : str
        Names it in addresses.
    task : str
        ``step/task``.
    label : str
        Its type, and id.
    card : Card
        The card.
    """

    key: str
    task: str
    label: str
    card: Card


class CardServer:
    """The cards of a run, as a server sees them.

    Parameters
    ----------
    run : callable
        Returns the run to show, None if there is none yet; asked again and again, since a new one may begin.
    poll_seconds : float
        Between two looks at the storage.
    most : int
        Cards in the list; the latest tasks' first.
    """

    def __init__(self, run: Callable[[], Run | None], poll_seconds: float, most: int) -> None:
        self._run = run
        self._poll_seconds = poll_seconds
        self._most = most

    def listed(self) -> tuple[str, list[Shown]]:
        """Return the path of the run and its cards, the latest task's first."""
        run = self._run()
        if run is None:
            return "", []
        tasks = sorted((task for step in run for task in step), key=lambda task: task.created_at, reverse=True)
        shown: list[Shown] = []
        for task in tasks:
            for card in get_cards(task):
                label = f"{card.type} {card.id}" if card.id else card.type
                shown.append(Shown(card.path, "/".join(task.path_components[2:]), label, card))
            if len(shown) >= self._most:
                break
        return run.pathspec, shown[: self._most]

    def page(self, key: str) -> str | None:
        """Return a card's page, with what listens to updates; None if there is no such card."""
        for shown in self.listed()[1]:
            if shown.key == key:
                return with_listener(shown.card.get())
        return None

    def changes(self) -> Iterator[Mapping[str, Any]]:
        """Yield what has changed, for ever: the list of cards, and what each shows; an empty mapping if nothing has."""
        known_list: Any = None
        known_data: dict[str, Any] = {}
        while True:
            run, shown = self.listed()
            now = [[each.key, each.task, each.label] for each in shown]
            if (run, now) != known_list:
                known_list = (run, now)
                yield {"run": run, "cards": now}
            for each in shown:
                data = each.card.get_data()
                if data is not None and data.get("created_on") != known_data.get(each.key):
                    known_data[each.key] = data.get("created_on")
                    yield {"key": each.key, "token": data.get("reload_token"), "data": _drawn(data.get("data"))}
            yield {}
            time.sleep(self._poll_seconds)


def _drawn(data: Any) -> Any:
    """Return the data of a live card with the charts that its task has left to those who show them."""
    if not isinstance(data, Mapping):
        return data
    return {
        name: {**each, "html": with_charts(each["html"])}
        if isinstance(each, Mapping) and isinstance(each.get("html"), str)
        else each
        for name, each in data.items()
    }


def serve(cards: CardServer, port: int, started: Callable[[str], None]) -> None:
    """Serve until it is interrupted.

    Parameters
    ----------
    cards : CardServer
        What to serve.
    port : int
        On 127.0.0.1; 0 for any that is free.
    started : callable
        Takes the address.

    Raises
    ------
    CommandException
        The port cannot be had.
    """
    try:
        server = _Server(("127.0.0.1", port), _Handler)
    except OSError as error:
        raise CommandException(
            f"The card server cannot listen on port {port}: {error.strerror}.", hint="--port 0 takes any that is free"
        ) from None
    server.cards = cards
    with server:
        started(f"http://127.0.0.1:{server.server_port}/")
        server.serve_forever()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    cards: CardServer


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        # A page of another site may send requests here, under a name of its own that leads here (DNS rebinding).
        port = self.server.server_port
        if self.headers.get("Host") not in (f"127.0.0.1:{port}", f"localhost:{port}"):
            self._send(HTTPStatus.FORBIDDEN, "text/plain", b"Not for this host name.\n")
            return
        path = self.path.partition("?")[0]
        try:
            if path in _RESOURCES:
                name, kind = _RESOURCES[path]
                content = (files("metaflow.cards.page") / name).read_bytes()
                self._send(HTTPStatus.OK, kind, content, {"Content-Security-Policy": _POLICY})
            elif path == "/events":
                self._stream()
            elif path.startswith("/card/"):
                self._send_card(unquote(path.removeprefix("/card/")))
            else:
                self._send(HTTPStatus.NOT_FOUND, "text/plain", b"Only cards are served here.\n")
        except MetaflowException as error:
            self._send(HTTPStatus.SERVICE_UNAVAILABLE, "text/plain", f"{error.message}\n".encode())
        except ConnectionError:
            self.close_connection = True

    def _send_card(self, key: str) -> None:
        page = self.server.cards.page(key)
        if page is None:
            self._send(HTTPStatus.NOT_FOUND, "text/plain", b"There is no such card.\n")
        else:
            self._send(HTTPStatus.OK, "text/html", page.encode(), {"Content-Security-Policy": "sandbox allow-scripts"})

    def _send(self, status: HTTPStatus, kind: str, content: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def _stream(self) -> None:
        self.close_connection = True
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        for change in self.server.cards.changes():
            self.wfile.write(b": nothing new\n\n" if not change else f"data: {json.dumps(change)}\n\n".encode())
            self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        pass
