"""Tokens: what a request shows to be let in, and which projects it then sees. Pure, but for reading a file.

A token is a secret of at least 16 characters. A browser gets a cookie instead, which is made of the token and from
which the token cannot be made. Start reading at `Tokens.grant`.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from metaflow.exception import CommandException

SHORTEST = 16


class Grant(NamedTuple):
    """What whoever was let in may see.

    Attributes
    ----------
    projects : frozenset of str, optional
        Only runs of these projects; None for all.
    """

    projects: frozenset[str] | None = None


ALL = Grant()


class Tokens:
    """The tokens of a server.

    Parameters
    ----------
    grants : mapping of str to Grant
        What each of them is good for.

    Raises
    ------
    CommandException
        One is too short, or cannot be sent in a header.
    """

    def __init__(self, grants: Mapping[str, Grant]) -> None:
        for token in grants:
            if len(token) < SHORTEST or not token.isascii() or not token.isprintable() or " " in token:
                raise CommandException(
                    f"A token must have at least {SHORTEST} characters, all of them ASCII and none a space.",
                    hint="`python -c 'import secrets; print(secrets.token_urlsafe(32))'` makes one",
                )
        self._grants = {hashlib.sha256(token.encode()).digest(): grant for token, grant in grants.items()}
        self._sessions = {session_of(token): grant for token, grant in grants.items()}

    def __bool__(self) -> bool:
        return bool(self._grants)

    def grant(self, token: str) -> Grant | None:
        """Return what a token is good for, None if it is none."""
        return self._grants.get(hashlib.sha256(token.encode(errors="replace")).digest())

    def grant_of_session(self, session: str) -> Grant | None:
        """Return what a browser's cookie is good for, None if it is none."""
        return self._sessions.get(session)


def session_of(token: str) -> str:
    """Return the cookie that stands for a token."""
    return hmac.new(token.encode(), b"millrace session", "sha256").hexdigest()


def read_tokens(lines: Iterable[str], place: str) -> dict[str, Grant]:
    """Return the tokens of a file: one a line, with the names of projects behind it if it is limited to them.

    Raises
    ------
    CommandException
        There is none.
    """
    found: dict[str, Grant] = {}
    for line in lines:
        words = line.partition("#")[0].split()
        if words:
            found[words[0]] = Grant(frozenset(words[1:])) if len(words) > 1 else ALL
    if not found:
        raise CommandException(f"There is no token in {place}.", hint="write one a line: TOKEN [PROJECT …]")
    return found
