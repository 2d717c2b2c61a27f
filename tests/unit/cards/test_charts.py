"""Charts as SVG, without a network; what cannot be drawn says so."""

from __future__ import annotations

import sys

import pytest

from metaflow.cards.charts import WITHOUT, _drawn, chart_svg
from metaflow.cards.drawing import draw

SPEC = {
    "mark": "bar",
    "width": "container",
    "data": {"values": [{"a": "x", "b": 3}]},
    "encoding": {"x": {"field": "a"}, "y": {"field": "b", "type": "quantitative"}},
}


def test_a_chart_is_drawn() -> None:
    svg, trouble = chart_svg(SPEC)
    assert svg is not None
    assert svg.startswith("<svg")
    assert trouble == ""
    html = draw({"type": "vegaChart", "spec": {**SPEC, "title": "Bars"}})
    assert 'alt="Bars"><' in html
    assert "data:image/svg+xml;base64," in html


def test_what_is_no_chart_says_so() -> None:
    svg, trouble = chart_svg({"mark": {"type": "nonsense"}})
    assert svg is None
    assert trouble.startswith("This chart cannot be drawn: ")
    assert "cannot be drawn" in draw({"type": "vegaChart", "spec": {"mark": {"type": "nonsense"}}})


def test_nothing_is_fetched() -> None:
    svg, trouble = chart_svg({**SPEC, "data": {"url": "http://127.0.0.1:9/data.csv"}})
    assert svg is None or "127.0.0.1" not in svg
    assert svg is not None or trouble


def test_without_the_extra_the_page_says_what_draws_it(monkeypatch: pytest.MonkeyPatch) -> None:
    _drawn.cache_clear()
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    assert chart_svg(SPEC) == (None, WITHOUT)
    html = draw({"type": "vegaChart", "spec": SPEC})
    assert "pip install" in html
    assert "&quot;mark&quot;: &quot;bar&quot;" in html
    _drawn.cache_clear()
