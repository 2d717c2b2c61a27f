from __future__ import annotations

import pytest

from metaflow.serve.pages.ansi import as_html


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("plain", "plain"),
        ("<b>&\"'", "&lt;b&gt;&amp;&#34;&#39;"),
        ("\x1b[31mred\x1b[0m not", '<span class="ansi-31">red</span> not'),
        ("\x1b[1;31mboth\x1b[22mone", '<span class="ansi-1 ansi-31">both</span><span class="ansi-31">one</span>'),
        ("\x1b[32mgreen\x1b[39mnone", '<span class="ansi-32">green</span>none'),
        ("\x1b[38;5;9mbright\x1b[m", '<span class="ansi-91">bright</span>'),
        ("\x1b[48;5;1mground\x1b[m", '<span class="ansi-41">ground</span>'),
        ("\x1b[38;2;1;2;3mtrue\x1b[1mbold", 'true<span class="ansi-1">bold</span>'),
        ("\x1b[38;5;200mother", "other"),
        ("\x1b[31m<i>", '<span class="ansi-31">&lt;i&gt;</span>'),
        ("\x1b]0;title\x07after \x1b[2K\x1b[1Amoved", "after moved"),
        ("\x1b]8;;javascript:alert(1)\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("10%\r50%\r100%\r", "100%"),
        ("half \x1b[3", "half \N{REPLACEMENT CHARACTER}[3"),
        ("nul\x00bell\x07\ttab", "nul\N{REPLACEMENT CHARACTER}bell\N{REPLACEMENT CHARACTER}\ttab"),
    ],
)
def test_colours_become_classes_and_everything_else_is_text(text: str, html: str) -> None:
    assert as_html(text) == html


def test_a_line_without_end_is_cut_and_says_so() -> None:
    html = as_html("x" * 1_000_000)
    assert len(html) < 21_000
    assert html.endswith("… 980,000 more characters</span>")
