"""Python source as HTML: nothing of it is lost, and the words have classes."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import pytest

import metaflow.cards.drawing
from metaflow.cards.code import highlighted


def text_of(html: str) -> str:
    return unescape(re.sub(r"</?span[^>]*>", "", html))


@pytest.mark.parametrize(
    "source",
    [
        "",
        "x = 1",
        '@step\ndef f(self):\n    """doc\n    more"""\n    return f"<b>{1}</b>"  # no',
        "def broken(:\n    '''never ends",
        "  indented = 'first'\n\n\ndef g(): pass\n",
        "a\\\n  = 3\n\tb",
        "x = '\u2028' # é\n",
        Path(metaflow.cards.drawing.__file__).read_text(encoding="utf-8"),
    ],
)
def test_nothing_is_lost(source: str) -> None:
    assert text_of(highlighted(source)) == source.rstrip()


def test_words_have_classes() -> None:
    html = highlighted("@step\ndef f():\n    return 'x', 3  # why")
    for part in (
        '@<span class="d">step</span>',
        '<span class="k">def</span> <span class="f">f</span>',
        '<span class="s">&#x27;x&#x27;</span>',
        '<span class="n">3</span>',
        '<span class="c"># why</span>',
    ):
        assert part in html
