"""A line of a log as HTML: colours and weights of its ANSI sequences as classes, other sequences left out. Pure.

Everything else is text and is escaped; what a terminal would overwrite after a carriage return, such as the states of a
progress bar, is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from markupsafe import Markup, escape

_SEQUENCE = re.compile(r"\x1b(?:\[([0-9;:]*)[ -/]*([@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_ENDS = {"21": "1", "22": "1 2", "23": "3", "24": "4", "27": "7", "29": "9"}
_STYLES = frozenset({"1", "2", "3", "4", "7", "9"})
_FOREGROUNDS = frozenset(str(code) for code in (*range(30, 38), *range(90, 98)))
_BACKGROUNDS = frozenset(str(code) for code in (*range(40, 48), *range(100, 108)))
_LONGEST = 20_000


def as_html(text: str) -> Markup:
    """Return a line's text as HTML."""
    shown = text[:_LONGEST]
    if "\r" in shown:
        shown = shown.rstrip("\r").rpartition("\r")[2]
    parts = list(_parts(shown) if "\x1b" in shown else [_plain(shown)])
    if len(text) > _LONGEST:
        parts.append(Markup('<span class="ansi-2"> … {} more characters</span>').format(f"{len(text) - _LONGEST:,}"))
    return Markup("").join(parts)


def _parts(text: str) -> Iterable[Markup]:
    on: set[str] = set()
    at = 0
    for match in _SEQUENCE.finditer(text):
        yield _styled(text[at : match.start()], on)
        at = match.end()
        if match[2] == "m":
            on = _changed(on, match[1])
    yield _styled(text[at:], on)


def _changed(on: set[str], codes: str) -> set[str]:
    on = set(on)
    several = iter(re.split("[;:]", codes or "0"))
    for code in several:
        code = code.lstrip("0") or "0"
        if code == "0":
            on = set()
        elif code in _STYLES:
            on.add(code)
        elif code in _ENDS:
            on -= set(_ENDS[code].split())
        elif code in _FOREGROUNDS or code == "39":
            on = (on - _FOREGROUNDS) | ({code} - {"39"})
        elif code in _BACKGROUNDS or code == "49":
            on = (on - _BACKGROUNDS) | ({code} - {"49"})
        elif code in ("38", "48"):
            colour = _of_palette(several)
            group = _FOREGROUNDS if code == "38" else _BACKGROUNDS
            on -= group
            if colour is not None:
                on.add(str(colour + (0 if code == "38" else 10)))
    return on


def _of_palette(codes: Iterable[str]) -> int | None:
    """Take what follows ``38`` or ``48``; return the code of the colour if it is one of the first sixteen."""
    several = iter(codes)
    kind = next(several, "")
    if kind == "2":
        for _ in range(3):
            next(several, None)
        return None
    number = next(several, "")
    if not number.isdecimal() or int(number) > 15:
        return None
    return 30 + int(number) if int(number) < 8 else 82 + int(number)


def _styled(text: str, on: set[str]) -> Markup:
    if not text or not on:
        return _plain(text)
    classes = " ".join(f"ansi-{code}" for code in sorted(on))
    return Markup('<span class="{}">{}</span>').format(classes, _plain(text))


def _plain(text: str) -> Markup:
    return escape(_CONTROL.sub("\N{REPLACEMENT CHARACTER}", text))
