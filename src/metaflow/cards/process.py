"""The process in which cards of others are made, so that one which fails, hangs or exits does its task no harm.

It is forked before the step's code runs: libraries whose threads a fork would break have hardly started any by then,
the card has a client that finds what the task finds, and an end of the task's process ends it. It waits for questions
on a socket, a line of JSON each, and answers in the same way.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from metaflow.cards.card import MetaflowCard, graph_of
from metaflow.cards.kinds import card_class, is_ours
from metaflow.cards.page import encodable
from metaflow.client import Task
from metaflow.exception import MetaflowException


class CardFailed(MetaflowException):
    """A card could not be made."""

    headline = "Card failed"


class CardProcess:
    """A process that makes the pages of one card.

    Parameters
    ----------
    find : callable
        Returns the task, as it is when it is called.
    kind : str
        Type of the card.
    options : mapping
        For its class.
    flow : FlowSpec
        For its class.
    """

    def __init__(self, find: Callable[[], Task], kind: str, options: Mapping[str, Any], flow: Any) -> None:
        self._find = find
        self._kind = kind
        self._options = options
        self._flow = flow
        self._pid = 0
        self._socket: socket.socket | None = None

    def start(self) -> None:
        """Fork, if it does not run."""
        if self._socket is not None:
            return
        ours, theirs = socket.socketpair()
        _flush()
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                ours.close()
                for number in (signal.SIGINT, signal.SIGTERM):
                    signal.signal(number, signal.SIG_DFL)
                self._serve(theirs)
                status = 0
            finally:
                os._exit(status)
        theirs.close()
        self._pid, self._socket = pid, ours

    def ask(self, question: Mapping[str, Any], timeout: float) -> Any:
        """Return the process's answer.

        Parameters
        ----------
        question : mapping
            ``mode`` is the name of the method; ``components`` by id; for live cards ``user`` and ``token``.
        timeout : float
            Seconds; 0 for no limit.

        Raises
        ------
        CardFailed
            It raised, took too long, or the process has ended. It is started anew by the next question.
        """
        self.start()
        connection = self._socket
        assert connection is not None
        deadline = time.monotonic() + timeout
        received = bytearray()
        try:
            connection.settimeout(timeout or None)
            connection.sendall(json.dumps(question, default=str).encode() + b"\n")
            while not received.endswith(b"\n"):
                if timeout:
                    connection.settimeout(max(deadline - time.monotonic(), 0.001))
                data = connection.recv(1 << 20)
                if not data:
                    raise CardFailed(f"The process of the card of the type '{self._kind}' has ended without an answer.")
                received += data
        except TimeoutError:
            self.close()
            raise CardFailed(
                f"The card of the type '{self._kind}' was not ready after {timeout:g} s.",
                hint="@card(timeout=…) gives it more time",
            ) from None
        except OSError as error:
            self.close()
            raise CardFailed(f"The process of the card of the type '{self._kind}' has ended: {error}") from None
        except CardFailed:
            self.close()
            raise
        answer = json.loads(received)
        if "error" in answer:
            raise CardFailed(answer["error"])
        return answer["value"]

    def close(self) -> None:
        """End the process."""
        if self._socket is None:
            return
        self._socket.close()
        self._socket = None
        try:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
        except (ProcessLookupError, ChildProcessError):  # somebody else has waited for it
            pass

    # --- in the process ---------------------------------------------------------------------------------------------

    def _serve(self, connection: socket.socket) -> None:
        own = os.getpid()
        with connection, connection.makefile("rwb") as stream:
            for line in stream:
                question = json.loads(line)
                try:
                    answer = {"value": self._answer(question)}
                except BaseException as error:  # noqa: BLE001 - also sys.exit: it is the card that ends, not its task
                    text = getattr(error, "message", None) or "".join(traceback.format_exception(error))
                    answer = {"error": text}
                _flush()
                if os.getpid() != own:  # the card has forked, and its child comes here as well
                    return
                stream.write(json.dumps(answer, default=str).encode() + b"\n")
                stream.flush()

    def _answer(self, question: Mapping[str, Any]) -> Any:
        task = self._find()
        data = {name: question.get(name) for name in ("user", "components", "mode")}
        card = make_card(self._kind, self._options, data, self._flow, task)
        if question["mode"] == "render":
            return checked_page(card.render(task), self._kind)
        return shown_now(card, task, data, question["token"])


def shown_now(card: MetaflowCard, task: Task, data: Mapping[str, Any], token: str) -> dict[str, Any]:
    """Return what a card shows while its step runs.

    Parameters
    ----------
    card, task, data
        As `make_card` takes and returns them.
    token : str
        That of the last page.

    Returns
    -------
    dict
        ``token`` and ``data``; ``page`` too, if the one that is shown has to be loaded anew, else None.
    """
    now = card.reload_content_token(task, data)
    page = checked_page(card.render_runtime(task, data), str(card.type)) if now != token else None
    return {"token": now, "data": card.refresh(task, data), "page": page}


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # the step has closed it
            stream.flush()


def make_card(kind: str, options: Mapping[str, Any], data: Mapping[str, Any], flow: Any, task: Task) -> MetaflowCard:
    """Return a card of a kind, given what its class takes.

    Parameters
    ----------
    kind : str
        Its type.
    options : mapping
        As the decorator has them.
    data : mapping
        ``components``, rendered, by id; ``user``: what was given to the last refresh.
    flow : type or FlowSpec
        The flow.
    task : Task
        The task.

    Raises
    ------
    CardNotFound
        There is no such kind.
    """
    found = card_class(kind)
    graph = {} if is_ours(kind) else graph_of(task._internal("_graph_info") or {})  # ours read what they need
    given = {"components": list(data["components"].values())} if found.ALLOW_USER_COMPONENTS else {}
    card = found(options=dict(options), graph=graph, flow=flow, **given)
    card.runtime_data = data
    return card


def checked_page(page: Any, kind: str) -> str:
    """Return a page, if it is one.

    Raises
    ------
    CardFailed
        It is no text.
    """
    if not isinstance(page, str):
        raise CardFailed(
            f"The card of the type '{kind}' returned a {type(page).__name__}, not a string.",
            hint="render() returns HTML",
        )
    return encodable(page)
