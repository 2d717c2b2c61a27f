"""Components as HTML: every string of a user is text, every type has a drawing, nothing is lost."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from metaflow.cards import drawing
from metaflow.cards.component import Artifact, rendered
from metaflow.cards.components import (
    EventsTimeline,
    JSONViewer,
    Markdown,
    ProgressBar,
    PythonCode,
    ValueBox,
    VegaChart,
    YAMLViewer,
)
from metaflow.cards.drawing import draw, draw_all, script_json
from metaflow.cards.tables import Table

ATTACK = "</script></pre><img src=x onerror=alert(1)><script>alert(2)</script>\" onclick='alert(3)'"


class Reader(HTMLParser):
    """Collects what a browser would find: elements, their attributes, the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def hostile() -> list[Any]:
    timeline = EventsTimeline(ATTACK)
    timeline.update({ATTACK: ATTACK, "timestamp": ATTACK}, priority=ATTACK, payloads={ATTACK: Markdown(ATTACK)})
    return [
        Markdown(ATTACK),
        Markdown(f"[x](javascript:alert(1)) ![y](javascript:alert(2)) <b onclick=alert(3)>{ATTACK}</b> `{ATTACK}`"),
        Table([[ATTACK, Markdown(ATTACK), [ATTACK], {ATTACK: ATTACK}]], headers=[ATTACK] * 4),
        Table([[ATTACK, Markdown(ATTACK)], *[[ATTACK, ATTACK]] * 3000], headers=[ATTACK, ATTACK]),
        Artifact({ATTACK: ATTACK}, name=ATTACK),
        Artifact([ATTACK], name=ATTACK, compressed=False),
        ProgressBar(max=ATTACK, value=ATTACK, label=ATTACK, unit=ATTACK, metadata=ATTACK),  # type: ignore[arg-type]
        PythonCode(code_string=ATTACK),
        ValueBox(ATTACK, ATTACK, ATTACK, "success", ATTACK),
        JSONViewer({ATTACK: ATTACK}, title=ATTACK, max_height=f'3em" onload="{ATTACK}'),
        YAMLViewer(ATTACK, title=ATTACK),
        VegaChart({"title": ATTACK, "mark": ATTACK}),
        timeline,
        {"type": ATTACK, "id": ATTACK, "data": ATTACK},
        {"type": "image", "src": f"javascript:{ATTACK}", "label": ATTACK, "id": ATTACK},
        {"type": "image", "src": f'data:image/png;base64,x" onerror="{ATTACK}', "label": ATTACK},
        {"type": "page", "title": ATTACK, "subtitle": ATTACK, "contents": [ATTACK]},
        {"type": "title", "text": ATTACK},
        {
            "type": "dag",
            "data": {"steps": {ATTACK: {"type": ATTACK, "next": [], "doc": ATTACK}}, "start_step": ATTACK},
        },
        ATTACK,
    ]


@pytest.mark.parametrize("component", hostile(), ids=lambda each: type(each).__name__)
def test_no_string_of_a_user_becomes_markup(component: Any) -> None:
    plain = component if isinstance(component, (dict, str)) else rendered(component)
    found = Reader(draw(plain))
    assert [name for name, _ in found.attributes if name.startswith("on")] == []
    assert [value for _, value in found.attributes if (value or "").startswith("javascript:")] == []
    # The only script is the data of a large table, which no browser runs.
    assert found.elements.count("script") == found.attributes.count(("type", "application/json"))
    assert "alert" in found.text + "".join(value or "" for _, value in found.attributes)


def test_markdown_is_drawn() -> None:
    html = draw({"type": "markdown", "source": "# A\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n~~x~~ <i>y</i>"})
    for part in ("<h1>A</h1>", "<td>1</td>", "<s>x</s>", "&lt;i&gt;y&lt;/i&gt;"):
        assert part in html


def test_a_component_can_be_found_by_its_id() -> None:
    assert draw({"type": "title", "text": "x", "id": 'a"b'}).startswith('<div class="component" data-id="a&quot;b">')


def test_a_small_table_is_whole_and_numbers_stand_to_the_right() -> None:
    html = draw(rendered(Table([["a", 1.5, None], ["b", 2, True]], headers=["n", "x", "t"])))
    assert '<th scope="col">n</th><th scope="col" class="number">x</th><th scope="col">t</th>' in html
    assert '<td>a</td><td class="number">1.5</td><td></td>' in html


def test_a_large_table_has_its_rows_once_as_data() -> None:
    rows: list[list[Any]] = [[number, f"name {number}", None] for number in range(4999)]
    rows.append([4999, "name 4999", Markdown("*x*")])
    html = draw(rendered(Table(rows, headers=["n", "name", "m"])))
    data = json.loads(re.search(r'<script type="application/json">(.*)</script>', html)[1])  # type: ignore[index]
    assert len(data) == 5000
    assert data[4999][:2] == [4999, "name 4999"]
    assert "<em>x</em>" in data[4999][2]["html"]
    assert html.count("<tr>") == 31
    assert "The first 30 of 5,000 rows." in html


def test_rows_of_different_length_are_drawn() -> None:
    assert "<td>c</td>" in draw(rendered(Table([["a"], ["b", "c"]])))
    assert "<table>" in draw(rendered(Table([])))


def test_a_vertical_table_has_names_at_the_left() -> None:
    html = draw({"type": "table", "vertical": True, "columns": ["a", "b"], "data": [[1, 2]]})
    assert '<tr><th scope="row">a</th><td>1</td></tr>' in html


@pytest.mark.parametrize(
    ("most", "value", "expected"), [(10, 3, "0.3000"), (10, 30, "1.0000"), (10, -1, "0.0000"), (0, 1, None)]
)
def test_progress(most: float, value: float, expected: str | None) -> None:
    html = draw(rendered(ProgressBar(max=most, value=value, label="epochs")))
    assert ('value="' in html) == (expected is not None)
    assert expected is None or f'max="1" value="{expected}"' in html


def test_what_is_not_known_is_shown_as_data() -> None:
    assert "&quot;strange&quot;" in draw({"type": "strange", "a": 1})


def test_times_outside_any_calendar_are_text() -> None:
    for stamp in (1e300, float("nan"), "yesterday", -5):
        assert draw({"type": "eventsTimeline", "events": [{"metadata": {"timestamp": stamp}}]})


def test_viewers_fold_and_copy_as_told() -> None:
    html = draw(rendered(JSONViewer({}, collapsible=False, show_copy_button=False, max_height="9em")))
    assert "<details" not in html
    assert "Copy" not in html
    assert "max-height: 9em" in html


def test_json_between_script_tags() -> None:
    text = script_json(["</script>\u2028"])
    assert "<" not in text
    assert json.loads(text) == ["</script>\u2028"]


def test_draw_all_keeps_the_order() -> None:
    html = draw_all([{"type": "title", "text": "one"}, "two"])
    assert html.index("one") < html.index("two")


def test_a_page_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "LARGEST_PAGE", 100)
    html = draw_all(["first", "x" * 200, "third"])
    assert html.count("the card is too large") == 2
    assert "first" in html


def test_a_quantity_has_the_number_that_it_is_sorted_by() -> None:
    cell = {"type": "quantity", "text": "1.2 kB", "value": 1200}
    assert '<td><data value="1200">1.2 kB</data></td>' in draw({"type": "table", "columns": ["n"], "data": [[cell]]})
