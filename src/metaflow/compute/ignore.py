"""Which files a person does not want in a code package: a file of patterns in a subset of gitignore's syntax.

A line is a pattern; ``#`` begins a comment; ``!`` takes back what an earlier pattern excluded; ``/`` at the end stands
for directories only; a ``/`` elsewhere ties the pattern to the directory of the file, otherwise it may match at any
depth; ``*``, ``?`` and ``[…]`` match within a name, ``**`` any number of directories. The last pattern that matches
decides, and what lies in an excluded directory stays excluded. Not supported: backslashes, and further files below.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

FILE = ".metaflowignore"

_PIECES = re.compile(r"(\*+|\?|\[!?[^\]]+\])")


class Pattern(NamedTuple):
    """One line of the file."""

    expression: re.Pattern[str]
    excludes: bool
    directories_only: bool


class Ignored:
    """The patterns of one file.

    Parameters
    ----------
    lines : iterable of str
        The file's.
    """

    def __init__(self, lines: Iterable[str] = ()) -> None:
        texts = (line.strip() for line in lines)
        self._patterns = [_read(text) for text in texts if text.strip("/!") and not text.startswith("#")]

    def verdict(self, path: str, *, directory: bool = False) -> bool | None:
        """Tell whether a path, relative to the file's directory, is excluded, or taken back (False); None: neither.

        Its parents are not looked at.
        """
        for pattern in reversed(self._patterns):
            if (directory or not pattern.directories_only) and pattern.expression.fullmatch(path):
                return pattern.excludes
        return None


def _read(line: str) -> Pattern:
    text = line.removeprefix("!")
    parts = text.strip("/").split("/")
    expression = "" if "/" in text.rstrip("/") else "(?:.*/)?"
    for at, part in enumerate(parts):
        last = at == len(parts) - 1
        if part == "**":
            expression += ".*" if last else "(?:.*/)?"
        else:
            expression += "".join(map(_translate, _PIECES.split(part))) + ("" if last else "/")
    return Pattern(re.compile(expression, re.DOTALL), not line.startswith("!"), text.endswith("/"))


def _translate(piece: str) -> str:
    """Translate a wildcard or a text within a name; wildcards do not match a slash."""
    if piece.startswith("*"):
        return "[^/]*"
    if piece == "?":
        return "[^/]"
    if piece.startswith("[") and piece.endswith("]") and len(piece) > 2:
        members = piece[1:-1].replace("\\", r"\\").replace("[", r"\[")
        return f"[^{members[1:]}]" if members.startswith("!") else f"[{members}]"
    return re.escape(piece)
