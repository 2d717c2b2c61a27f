"""Charts are drawn where a page is made or shown, without a network; what cannot be drawn says so."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from metaflow.cards import BlankCard, VegaChart
from metaflow.cards.charts import _drawn, chart_svg, with_charts
from metaflow.cards.drawing import WITHOUT_CHARTS, draw

SPEC: dict[str, Any] = {
    "mark": "bar",
    "title": "Bars </script></figure>",
    "width": "container",
    "data": {"values": [{"a": "x", "b": 3}]},
    "encoding": {"x": {"field": "a"}, "y": {"field": "b", "type": "quantitative"}},
}
TASK: Any = SimpleNamespace(pathspec="F/1/start/1")


@pytest.fixture
def without_vega(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    _drawn.cache_clear()
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "vl_convert", None)
        yield patch
    _drawn.cache_clear()


def blank(spec: dict[str, Any], **options: Any) -> BlankCard:
    chart = VegaChart(spec)
    chart.component_id = "chart"
    return BlankCard(options=options, components=[chart.render()])


def test_a_chart_is_drawn_when_its_page_is_made() -> None:
    page = blank(SPEC).render(TASK)
    assert 'alt="Bars &lt;/script&gt;&lt;/figure&gt;"></figure>' in page
    assert "data:image/svg+xml;base64," in page
    assert "vegaEmbed" not in page


def test_what_is_no_chart_says_so() -> None:
    html = with_charts(draw({"type": "vegaChart", "spec": {"mark": {"type": "nonsense"}}}))
    assert "This chart cannot be drawn: " in html
    assert with_charts(html) == html


def test_nothing_is_fetched() -> None:
    svg, trouble = chart_svg({**SPEC, "data": {"url": "http://127.0.0.1:9/data.csv"}})
    assert svg is None or "127.0.0.1" not in svg
    assert svg is not None or trouble


def test_without_the_extra_a_page_says_what_draws_it_and_is_drawn_where_the_extra_is(
    without_vega: pytest.MonkeyPatch,
) -> None:
    page = blank(SPEC, interactive_charts=True).render(TASK)
    assert WITHOUT_CHARTS.replace("'", "&#x27;") in page
    assert "&quot;mark&quot;: &quot;bar&quot;" in page
    assert with_charts(page) == page
    without_vega.undo()
    _drawn.cache_clear()
    assert with_charts(page) == blank(SPEC).render(TASK)


def test_a_live_page_is_left_to_those_who_show_it(without_vega: pytest.MonkeyPatch) -> None:
    data = {"components": {"chart": VegaChart(SPEC).render()}}
    page = blank(SPEC).render_runtime(TASK, data)
    update = blank(SPEC).refresh(TASK, data)["chart"]["html"]
    without_vega.setattr(sys.modules["metaflow.cards.charts"], "chart_svg", lambda spec: ("<svg/>", ""))
    for html in (page, update):
        assert "chart undrawn" in html
        assert "chart undrawn" not in with_charts(html)


def test_vega_comes_along_once_if_it_is_asked_for_and_there_is_a_chart(without_vega: pytest.MonkeyPatch) -> None:
    charts = sys.modules["metaflow.cards.charts"]
    without_vega.setattr(charts, "chart_svg", lambda spec: ("<svg/>", ""))
    without_vega.setattr(charts, "_vega", lambda: "VEGA")
    card = BlankCard(options={"interactive_charts": True}, components=[VegaChart(SPEC).render()] * 2)
    page = card.render(TASK)
    assert page.count("VEGA") == 1
    assert page.count('<figure class="chart interactive">') == 2
    assert "VEGA" not in BlankCard(options={"interactive_charts": True}).render(TASK)
