"""Python source as HTML whose words have classes; pure.

By the standard library's tokenizer, since cards are also made in containers, which have few libraries.
"""

from __future__ import annotations

import io
import keyword
import token
import tokenize
from html import escape

_KINDS = {token.COMMENT: "c", token.STRING: "s", token.NUMBER: "n"}
_DEFINING = ("def", "class")


def highlighted(source: str) -> str:
    """Return Python source as HTML whose comments, strings, numbers, keywords and definitions have a class.

    Parameters
    ----------
    source : str
        Python; from where it cannot be read, it is plain text.
    """
    lines = source.rstrip().splitlines(keepends=True)
    parts: list[str] = []
    row, column = 1, 0

    def plain_until(until: tuple[int, int]) -> None:
        nonlocal row, column
        while row < until[0]:
            parts.append(escape(lines[row - 1][column:]))
            row, column = row + 1, 0
        if row <= len(lines):
            parts.append(escape(lines[row - 1][column : until[1]]))
        column = until[1]

    before = ""
    try:
        for each in tokenize.generate_tokens(io.StringIO("".join(lines)).readline):
            kind = _kind(each, before)
            if kind is not None:
                plain_until(each.start)
                parts.append(f'<span class="{kind}">')
                plain_until(each.end)
                parts.append("</span>")
            if each.type not in (token.INDENT, token.DEDENT, token.NL):
                before = each.string
    except (tokenize.TokenError, SyntaxError):
        pass
    plain_until((len(lines) + 1, 0))
    return "".join(parts)


def _kind(each: tokenize.TokenInfo, before: str) -> str | None:
    if each.type == token.NAME:
        if keyword.iskeyword(each.string):
            return "k"
        if before == "@":
            return "d"
        return "f" if before in _DEFINING else None
    return _KINDS.get(each.type)
