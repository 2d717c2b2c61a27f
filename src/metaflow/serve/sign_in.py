"""The page on which people give a token to their browser, which keeps it as a cookie that no script can read."""

from __future__ import annotations

import asyncio
from html import escape
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from metaflow.serve.access import COOKIE, SIGN_IN
from metaflow.serve.tokens import Tokens, session_of

_SECONDS = 30 * 24 * 3600
_WRONG_SECONDS = 1.0
"""How long an answer to a wrong token takes."""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Sign in</title>
</head>
<body>
<main>
<h1>Sign in</h1>
{trouble}
<form method="post" action="{action}">
<input type="hidden" name="next" value="{next}">
<p><label for="token">Token</label></p>
<p><input id="token" name="token" type="password" autocomplete="current-password" size="40" required autofocus></p>
<p><button>Sign in</button></p>
</form>
</main>
</body>
</html>
"""


def routes(tokens: Tokens) -> list[BaseRoute]:
    """Return the routes of the page, for a server with tokens."""

    async def form(request: Request) -> Response:
        return _page(request.query_params.get("next", "/"))

    async def sign_in(request: Request) -> Response:
        given = parse_qs((await request.body()).decode(errors="replace"))
        token, target = given.get("token", [""])[0].strip(), given.get("next", ["/"])[0]
        if tokens.grant(token) is None:
            await asyncio.sleep(_WRONG_SECONDS)
            return _page(target, "This is not a token of this server.", 403)
        answer = RedirectResponse(_inside(target), 303)
        answer.set_cookie(
            COOKIE,
            session_of(token),
            max_age=_SECONDS,
            httponly=True,
            samesite="lax",
            secure=request.headers.get("x-forwarded-proto", request.url.scheme) == "https",
        )
        return answer

    async def sign_out(_: Request) -> Response:
        answer = RedirectResponse(SIGN_IN, 303)
        answer.delete_cookie(COOKIE, httponly=True, samesite="lax")
        return answer

    return [
        Route(SIGN_IN, form),
        Route(SIGN_IN, sign_in, methods=["POST"]),
        Route("/sign-out", sign_out, methods=["POST"]),
    ]


def _page(target: str, trouble: str = "", status: int = 200) -> Response:
    told = f'<p role="alert">{escape(trouble)}</p>' if trouble else ""
    page = _PAGE.format(trouble=told, action=SIGN_IN, next=escape(_inside(target), quote=True))
    return HTMLResponse(page, status, {"Cache-Control": "no-store"})


def _inside(target: str) -> str:
    """Return an address within this server: the one that is given, if it is one."""
    is_inside = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
    return target if is_inside else "/"
