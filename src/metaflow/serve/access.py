"""Who may ask the server for what: every request passes here first.

On loopback nobody has to say who they are, but a request must be meant for this server: the name in its Host header is
one of this machine's, so that no page of a stranger reaches us under a name of its own (DNS rebinding).
"""

from __future__ import annotations

import ipaddress
from typing import NamedTuple

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


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
    """

    is_local: bool


class Access:
    """The application behind the rules."""

    def __init__(self, app: ASGIApp, rules: AccessRules) -> None:
        self._app = app
        self._rules = rules

    @classmethod
    def middleware(cls, rules: AccessRules) -> Middleware:
        """Return what Starlette puts around an application."""
        return Middleware(cls, rules=rules)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] == "http" and self._rules.is_local and not _is_for_us(Headers(scope=scope)):
            await PlainTextResponse("Not for this host name.\n", 403)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _is_for_us(headers: Headers) -> bool:
    host, colon, port = headers.get("host", "").rpartition(":")
    return (host if colon and port.isdecimal() else f"{host}{colon}{port}").lower() in _LOCAL_NAMES
