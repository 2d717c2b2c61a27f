"""One call of the metadata service: HTTP and JSON, over connections that are kept. Knows no documents and no order.

What the service answers is returned, whatever its status; what is raised is that there was no answer that counts
(`Unavailable`). May be used by several threads, and after a fork. Start reading at `Connection.call`.
"""

from __future__ import annotations

import http.client
import json
import os
import ssl
import threading
import time
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from metaflow.exception import SettingsError

TIMEOUT = 30.0
"""Seconds that a service may take for an answer."""
_KEPT = 3.0
"""Seconds that a connection is kept without use: some services close theirs after five."""
_PASSING = frozenset({408, 425, 429})
_LONGEST_PAUSE = 300.0
"""Seconds: a service that asks for more is asked before, all the same."""


class Unavailable(Exception):
    """The service gave no answer that counts; the same call may succeed later.

    Parameters
    ----------
    reason : str
        For people.
    unsure : bool
        Whether the call may have had its effect all the same.
    pause : float
        Seconds after which to try again, if the service says so.
    """

    def __init__(self, reason: str, *, unsure: bool = True, pause: float = 0.0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.unsure = unsure
        self.pause = pause


class Answer(NamedTuple):
    """What the service says.

    Attributes
    ----------
    status : int
        Of HTTP, below 500.
    content : object
        The JSON, or the text if it is none.
    headers : mapping of str to str
        By name in lower case.
    """

    status: int
    content: Any
    headers: Mapping[str, str]

    @property
    def ok(self) -> bool:
        """Whether it did what was asked."""
        return 200 <= self.status < 300

    @property
    def sentence(self) -> str:
        """What the service says of its refusal."""
        content = self.content
        if isinstance(content, dict):
            content = content.get("message") or content.get("detail") or ""
        return str(content).strip().rstrip(".")[:500] or http.client.responses.get(self.status, f"status {self.status}")


class Connection:
    """A service.

    Parameters
    ----------
    url : str
        Its address.
    headers : mapping of str to str
        What is sent with every call.
    timeout : float
        Seconds that an answer may take.

    Raises
    ------
    metaflow.exception.SettingsError
        The address is none.
    """

    def __init__(self, url: str, headers: Mapping[str, str], timeout: float = TIMEOUT) -> None:
        try:
            parts = urlsplit(url)
            self._host, self._port = parts.hostname or "", parts.port
        except ValueError:
            parts, self._host = urlsplit(""), ""
        if parts.scheme not in ("http", "https") or not self._host:
            raise SettingsError(
                f"'{url}' is not the address of a metadata service.",
                hint="METAFLOW_SERVICE_URL is an address such as https://metaflow.example.org",
            )
        self.url = url
        self._base = parts.path.rstrip("/")
        self._is_secret = parts.scheme == "https"
        self._headers = {"Accept": "application/json", "User-Agent": "millrace", **headers}
        self._timeout = timeout
        self._idle: list[tuple[http.client.HTTPConnection, float]] = []  # and since when
        self._lock = threading.Lock()
        self._process = os.getpid()

    def call(self, method: str, path: str, body: Any = None, query: Mapping[str, str | int] | None = None) -> Answer:
        """Make a call.

        Parameters
        ----------
        method, path : str
            Of HTTP; the path begins with a slash and is quoted.
        body : object, optional
            To be sent as JSON.
        query : mapping, optional
            What follows the path.

        Raises
        ------
        Unavailable
            There is no answer, not a whole one, or the service says that it cannot now.
        """
        target = self._base + path + (f"?{urlencode(query)}" if query else "")
        data = None if body is None else json.dumps(body).encode()
        headers = self._headers if data is None else {**self._headers, "Content-Type": "application/json"}
        while True:
            connection, is_kept = self._take()
            sent = False
            try:
                connection.connect() if connection.sock is None else None
                connection.request(method, target, data, headers)
                sent = True
                response = connection.getresponse()
                content = response.read()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                if is_kept and method == "GET" and isinstance(error, ConnectionError):
                    continue  # the service has closed it while nobody used it
                raise Unavailable(_reason(error), unsure=sent) from error
            except BaseException:  # Ctrl-C: what comes next on this connection would be the wrong answer
                connection.close()
                raise
            if response.will_close:
                connection.close()
            else:
                self._give_back(connection)
            return _judged(response, content)

    def _take(self) -> tuple[http.client.HTTPConnection, bool]:
        with self._lock:
            if self._process != os.getpid():  # connections of the parent, which goes on using them
                self._idle, self._process = [], os.getpid()
            while self._idle:
                connection, since = self._idle.pop()
                if time.monotonic() - since < _KEPT:
                    return connection, True
                connection.close()
        if self._is_secret:
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout, context=context), False
        return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout), False

    def _give_back(self, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            self._idle.append((connection, time.monotonic()))

    def close(self) -> None:
        """Close what is kept; a later call opens anew."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection, _ in idle:
            connection.close()


def _judged(response: http.client.HTTPResponse, body: bytes) -> Answer:
    headers = {name.lower(): value for name, value in response.getheaders()}
    text = body.decode(errors="replace")
    passes = response.status >= 500 or response.status in _PASSING
    is_json = text and "json" in headers.get("content-type", "")
    try:
        content: Any = json.loads(text) if is_json else text
    except ValueError:
        if not passes:
            raise Unavailable("its answer is not whole") from None
        content = text
    answer = Answer(response.status, content, headers)
    if passes:
        reason = f"it answers {response.status}: {answer.sentence}"
        raise Unavailable(reason, unsure=response.status >= 500, pause=_pause(headers.get("retry-after", "")))
    return answer


def _pause(text: str) -> float:
    return min(float(text), _LONGEST_PAUSE) if text.isdecimal() else 0.0


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    if isinstance(error, ConnectionRefusedError):
        return "nobody listens there"
    if isinstance(error, (http.client.RemoteDisconnected, ConnectionError)):
        return "it cut the connection"
    if isinstance(error, http.client.IncompleteRead):
        return "it cut its answer short"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
