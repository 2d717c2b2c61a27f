from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from importlib.resources import files

from metaflow.serve.pages import rendering


def test_the_policy_allows_the_style_sheet_as_it_stands_in_the_page() -> None:
    html = rendering.render("error.html", title="T", message="<i>", hint=None, place="p", events=None)
    style = re.search("<style>(.*)</style>", html, re.DOTALL)
    assert style is not None
    digest = b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in rendering.POLICY
    assert "&lt;i&gt;" in html


def test_no_template_has_a_script_a_style_or_a_handler_of_its_own_or_switches_escaping_off() -> None:
    for template in (files("metaflow.serve.pages") / "templates").iterdir():
        text = template.read_text(encoding="utf-8")
        assert not re.search(r"""\sstyle=|\son[a-z]+=|javascript:|\|\s*safe|autoescape|Markup""", text), template.name
        for script in re.findall(r"<script[^>]*>", text):
            assert "src=" in script or "application/json" in script


def test_times_and_durations_say_what_a_script_needs() -> None:
    assert rendering.time(1_790_000_000_123) == (
        '<time datetime="2026-09-21T14:13:20.123+00:00" title="2026-09-21 14:13:20 UTC">2026-09-21 14:13:20 UTC</time>'
    )
    assert rendering.took(1000, 3500) == "2.5 s"
    assert rendering.took(1000, None, True) == '<span data-since="1000">running</span>'
    assert rendering.took(1000, None) == ""
    assert rendering.took(None, 1000) == ""
