"""Who may ask the server for what: every request passes here first, and every answer leaves by here.

On loopback nobody has to say who they are, but a request must be meant for this server: the name in its Host header is
one of this machine's, so that no page of a stranger reaches us under a name of its own (DNS rebinding). Elsewhere a
request shows a token, as a header or as a browser's cookie, or comes from a proxy that has asked who it is. What
changes something must not come from another site's page, wherever the server listens. Bodies have a longest size and
a longest time. Start reading at `Access.__call__`.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
from collections.abc import Mapping, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any, NamedTuple
from urllib.parse import urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from metaflow.serve.tokens import ALL, Grant, Tokens

COOKIE = "millrace_session"
SIGN_IN = "/sign-in"
LONGEST_BODY = 16 * 1024 * 1024
BODY_SECONDS = 60.0
"""How long a body may take to arrive."""

_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
_HARMLESS = frozenset({"GET", "HEAD", "OPTIONS"})
_OPEN = frozenset({"/ping", SIGN_IN})
"""What anybody may ask for."""
_FOR_PROGRAMS = ("/flows", "/openapi.json", "/ping")
"""Beginnings of what knows how to keep within some projects."""
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'self'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
}
"""Of every answer that does not say otherwise."""


def is_loopback(host: str) -> bool:
    """Tell whether nobody but this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class AccessRules(NamedTuple):
    """Who may ask.

    Attributes
    ----------
    is_local : bool
        Whether the server listens on loopback only.
    tokens : Tokens
        If there are any, a request must show one.
    trusted_header : str, optional
        A header that a proxy sets to whoever it has let in; nobody else may reach the server.
    """

    is_local: bool
    tokens: Tokens = Tokens({})
    trusted_header: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether nobody has to say who they are."""
        return not self.tokens and self.trusted_header is None


class Access:
    """The application behind the rules.

    Parameters
    ----------
    app : callable
        The application.
    rules : AccessRules
        Who may ask.
    body_seconds : float
        How long a body may take.
    """

    def __init__(self, app: ASGIApp, rules: AccessRules, body_seconds: float = BODY_SECONDS) -> None:
        self._app = app
        self._rules = rules
        self._body_seconds = body_seconds

    @classmethod
    def middleware(cls, rules: AccessRules) -> Middleware:
        """Return what Starlette puts around an application."""
        return Middleware(cls, rules=rules)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        body = _Body(receive, self._body_seconds)
        sending = _Sending(send)
        refusal = self._refusal(scope, headers)
        if refusal is None and _length(headers) > LONGEST_BODY:
            refusal = _too_large()
        if refusal is None:
            try:
                await self._app(scope, body.receive, sending.send)
                return
            except _TooLarge:
                refusal = _too_large()
            except _TooSlow:
                refusal = refused(408, f"The body did not arrive within {self._body_seconds:.0f} s.")
            if sending.has_begun:
                return
        await refusal(scope, receive, sending.send)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        """Return why a request is not passed on; note in the scope what it may see if it is."""
        if self._rules.is_local and not _is_for_us(headers):
            return refused(403, "Not for this host name.")
        if scope["method"] not in _HARMLESS and is_from_elsewhere(headers):
            return refused(403, "A page of another site may not change anything here.")
        grant = self._grant(headers)
        if grant is None and scope["path"] not in _OPEN:
            return _unknown(scope, headers, self._rules)
        if grant is not None and grant.projects is not None and not scope["path"].startswith(_FOR_PROGRAMS):
            return refused(403, "This token is for programs: it is limited to runs of some projects.")
        scope.setdefault("state", {})["grant"] = grant
        return None

    def _grant(self, headers: Headers) -> Grant | None:
        rules = self._rules
        if rules.is_open:
            return ALL
        if rules.trusted_header is not None and headers.get(rules.trusted_header, "").strip():
            return ALL
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and token:
            return rules.tokens.grant(token.strip())
        if "x-api-key" in headers:
            return rules.tokens.grant(headers["x-api-key"].strip())
        return rules.tokens.grant_of_session(_cookie(headers))


def is_from_elsewhere(headers: Mapping[str, str]) -> bool:
    """Tell whether a page of another site has made a browser send a request."""
    if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        return True
    origin = headers.get("origin")
    return origin is not None and origin.partition("://")[2] != headers.get("host")


def refused(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer that says why there is no other."""
    return Response(json.dumps({"message": message}), status, dict(headers or {}), "application/json")


def _unknown(scope: Scope, headers: Headers, rules: AccessRules) -> Response:
    if rules.tokens and scope["method"] == "GET" and "text/html" in headers.get("accept", ""):
        target = scope["path"] + (f"?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else "")
        return RedirectResponse(f"{SIGN_IN}?{urlencode({'next': target})}", 303)
    return refused(401, "This server needs a token.", {"WWW-Authenticate": 'Bearer realm="millrace"'})


def _too_large() -> Response:
    return refused(413, f"The body has more than {LONGEST_BODY} bytes.", {"Connection": "close"})


def _is_for_us(headers: Headers) -> bool:
    host, colon, port = headers.get("host", "").rpartition(":")
    return (host if colon and port.isdecimal() else f"{host}{colon}{port}").lower() in _LOCAL_NAMES


def _length(headers: Headers) -> int:
    text = headers.get("content-length", "0")
    return int(text) if text.isdecimal() and len(text) < 20 else 0


def _cookie(headers: Headers) -> str:
    try:
        cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return cookie.value if cookie is not None else ""


class _TooLarge(Exception):
    pass


class _TooSlow(Exception):
    pass


class _Body:
    """The body of a request, as far as it has come."""

    def __init__(self, receive: Receive, seconds: float) -> None:
        self._receive = receive
        self._left = LONGEST_BODY
        self._deadline = asyncio.get_running_loop().time() + seconds
        self._is_whole = False

    async def receive(self) -> Message:
        if self._is_whole:  # what comes now is that the client has gone
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            raise _TooSlow from None
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise _TooLarge
        self._is_whole = not message.get("more_body", False)
        return message


class _Sending:
    """An answer on its way, with the headers that every one has."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.has_begun = False

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.has_begun = True
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await self._send(message)
