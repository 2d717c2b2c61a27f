"""Components as plain data: the form that Metaflow 2.19.39 has, bounds, and components that cannot be rendered."""

from __future__ import annotations

import base64
import itertools
import json
import sys
from typing import Any

import pytest

from metaflow.cards import images, tables
from metaflow.cards.component import Artifact, MetaflowCardComponent, rendered
from metaflow.cards.components import (
    Error,
    EventsTimeline,
    JSONViewer,
    Markdown,
    PageComponent,
    ProgressBar,
    PythonCode,
    ValueBox,
    VegaChart,
    YAMLViewer,
)
from metaflow.cards.drawing import draw
from metaflow.cards.images import LARGEST_IMAGE, Image
from metaflow.cards.tables import Table

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 20


def without_id(component: MetaflowCardComponent) -> dict[str, Any]:
    shown: dict[str, Any] = dict(rendered(component))
    json.dumps(shown, allow_nan=False)
    assert shown.pop("id") == component.component_id
    return shown


def function() -> int:
    return 1


def of(image: bytes) -> str:
    return "data:image/png;base64, " + base64.b64encode(image).decode()


# What the original renders for the same component, its id aside; seen with 2.19.39.
AS_METAFLOW = [
    (Markdown("# hi"), {"type": "markdown", "source": "# hi"}),
    (Markdown(None), {"type": "markdown", "source": None}),
    (
        Table([[1, "a", None, 2.5]], headers=list("abcd")),
        {"type": "table", "columns": list("abcd"), "data": [[1, "a", None, 2.5]], "vertical": False},
    ),
    (Table(data="x"), {"type": "table", "columns": [], "data": [[]], "vertical": False}),
    (Image(PNG, label="lab"), {"type": "image", "src": of(PNG), "label": "lab"}),
    (
        Artifact({"a": 1}, name="n"),
        {
            "type": "artifacts",
            "data": [
                {
                    "type": "dict",
                    "data": "{'a': 1}",
                    "large_object": False,
                    "supported_type": False,
                    "only_repr": True,
                    "name": "n",
                }
            ],
        },
    ),
    (
        Artifact([1], compressed=False),
        {
            "type": "artifacts",
            "data": [
                {
                    "type": "list",
                    "data": [1],
                    "large_object": False,
                    "supported_type": True,
                    "only_repr": False,
                    "name": None,
                }
            ],
        },
    ),
    (
        VegaChart({"data": {"values": [1]}, "mark": "bar"}),
        {
            "type": "vegaChart",
            "spec": {"data": {"values": [1]}, "mark": "bar", "width": "container"},
            "options": {"actions": False},
        },
    ),
    (
        VegaChart({"mark": "bar"}, show_controls=True),
        {"type": "vegaChart", "spec": {"mark": "bar", "width": "container"}},
    ),
    (
        ProgressBar(max=10, label="L", unit="u", metadata="m"),
        {"type": "progressBar", "max": 10, "value": 0, "label": "L", "unit": "u", "details": "m"},
    ),
    (PythonCode(code_string="def f(): pass"), {"type": "pythonCode", "data": "def f(): pass"}),
    (PythonCode(function), {"type": "pythonCode", "data": "def function() -> int:\n    return 1\n"}),
    (
        ValueBox("t", 12, "s", "success", "+3%"),
        {
            "type": "valueBox",
            "value": 12,
            "title": "t",
            "subtitle": "s",
            "theme": "success",
            "change_indicator": "+3%",
        },
    ),
    (ValueBox(value=1), {"type": "valueBox", "value": 1}),
    (
        JSONViewer({"a": [1, 2]}, title="J"),
        {
            "type": "jsonViewer",
            "json_string": '{\n  "a": [\n    1,\n    2\n  ]\n}',
            "collapsible": True,
            "show_copy_button": True,
            "title": "J",
        },
    ),
    (
        YAMLViewer({"a": [1, 2]}),
        {
            "type": "yamlViewer",
            "yaml_string": "a:\n- 1\n- 2\n",
            "collapsible": True,
            "show_copy_button": True,
            "title": "YAML",
        },
    ),
    (Error(ValueError("boom"), "T"), {"type": "log", "data": "T\n\nValueError('boom')"}),
]


@pytest.mark.parametrize(("component", "expected"), AS_METAFLOW, ids=lambda each: type(each).__name__)
def test_components_have_the_form_of_metaflow(component: MetaflowCardComponent, expected: dict[str, Any]) -> None:
    assert without_id(component) == expected


def test_ids_are_drawn_once_and_can_be_given() -> None:
    component = Markdown("x")
    drawn = component.component_id
    assert drawn == component.component_id
    assert drawn.startswith("markdown_")
    component.component_id = "mine"
    assert rendered(component)["id"] == "mine"
    with pytest.raises(TypeError, match="must be a string"):
        component.component_id = 3  # type: ignore[assignment]


def test_drawing_an_id_leaves_the_random_numbers_of_the_user_alone() -> None:
    import random

    random.seed(1)
    expected = random.random()
    random.seed(1)
    assert Markdown("x").component_id
    assert random.random() == expected


def test_markdown_that_is_indented_in_the_source_is_not_code() -> None:
    text = """
        # Title

            code
    """
    assert without_id(Markdown(text))["source"].splitlines()[1] == "# Title"


def test_updates_show_at_the_next_render() -> None:
    markdown, bar, box, table = Markdown("a"), ProgressBar(max=4), ValueBox(value=1, title="t"), Table([[1]], ["h"])
    chart, artifact = VegaChart({"mark": "bar"}), Artifact(1)
    viewer = JSONViewer({})
    markdown.update("b")
    bar.update(3, "note")
    box.update(value=2)
    table.update([[2]])
    chart.update({"mark": "line"})
    artifact.update(2)
    viewer.update([1])
    assert without_id(markdown)["source"] == "b"
    assert (without_id(bar)["value"], without_id(bar)["details"]) == (3, "note")
    assert (without_id(box)["value"], without_id(box)["title"]) == (2, "t")
    assert (without_id(table)["data"], without_id(table)["columns"]) == ([[2]], ["h"])
    assert without_id(chart)["spec"]["mark"] == "line"
    assert without_id(artifact)["data"][0]["data"] == "2"
    assert without_id(viewer)["json_string"] == "[\n  1\n]"


def test_what_does_not_take_updates_ignores_them() -> None:
    image, table = Image(PNG), Table([[1]], disable_updates=True)
    image.update(b"x", "other")
    table.update([[2]])
    assert without_id(image) == {"type": "image", "src": of(PNG), "label": None}
    assert without_id(table)["data"] == [[1]]


def test_cells_may_be_components_and_anything_else() -> None:
    cell = Markdown("x")
    row = without_id(Table([[cell, object(), [1], {"a": float("nan")}]]))["data"][0]
    assert row[0] == {"type": "markdown", "source": "x", "id": cell.component_id}
    assert row[1].startswith("<object object")
    assert row[2:] == [[1], {"a": "nan"}]


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (Image("text"), "must be a data:image/… URL"),
        (Image(b"garbage"), "not a PNG, JPEG, GIF, WebP or SVG file"),
        (Image(5), "not a int"),  # type: ignore[arg-type]
        (Image(PNG + b"0" * LARGEST_IMAGE), "a card takes images up to 5.2 MB"),
        (Image.from_matplotlib(3), "A int could not be drawn"),
        (Image.from_pil_image(3), "A int could not be drawn"),
        (Image("data:text/html,<b>"), "must be a data:image/… URL"),
    ],
)
def test_an_image_that_cannot_be_shown_says_why(image: Image, message: str) -> None:
    shown = without_id(image)
    assert shown["type"] == "log"
    assert message in shown["data"]


def test_a_chart_that_is_none_says_so() -> None:
    assert "dictionary of Vega-Lite, not a str" in without_id(VegaChart("x"))["data"]  # type: ignore[arg-type]


def test_code_that_cannot_be_read_says_so() -> None:
    assert "cannot be read" in without_id(PythonCode(len))["data"]


def test_a_component_that_raises_becomes_a_message() -> None:
    class Bad(MetaflowCardComponent):
        def render(self) -> str:
            raise RuntimeError("no such thing")

    shown = without_id(Bad())
    assert shown["type"] == "log"
    assert "The component Bad could not be rendered." in shown["data"]
    assert "RuntimeError: no such thing" in shown["data"]


def test_a_component_of_a_user_may_render_text() -> None:
    class Plain(MetaflowCardComponent):
        def render(self) -> str:
            return "<b>text</b>"

    assert without_id(Plain()) == {"type": "text", "text": "<b>text</b>"}


def test_what_is_no_component_is_shown_as_an_artifact() -> None:
    assert rendered([1, 2])["data"][0]["data"] == "[1, 2]"


def test_themes_are_checked() -> None:
    for wrong in (lambda: ValueBox(theme="no"), lambda: EventsTimeline().update({}, style_theme="no")):
        with pytest.raises(ValueError, match="there is no theme 'no'"):
            wrong()


def test_a_timeline_keeps_the_latest_and_counts_all() -> None:
    timeline = EventsTimeline("T", max_events=2)
    for number in range(5):
        timeline.update({"n": number}, "success", "high", {"more": Markdown("x")})
    timeline.update({"n": 5, "timestamp": 3}, finished=True)
    shown = without_id(timeline)
    assert [event["metadata"]["n"] for event in shown["events"]] == [5, 4]
    assert shown["events"][0]["metadata"]["timestamp"] == 3
    assert shown["events"][1]["payloads"]["more"]["source"] == "x"
    assert shown["events"][1]["style_theme"] == "success"
    assert shown["stats"]["total_events"] == timeline.get_stats()["total_events"] == 6
    assert shown["stats"]["finished"] is True


def test_a_page_has_its_components() -> None:
    page = PageComponent("p", "sub", [Markdown("x")])
    shown = page.render()
    assert (shown["title"], shown["subtitle"], shown["contents"][0]["source"]) == ("p", "sub", "x")


class Frame:
    """Stands for a data frame of polars; pandas' is tested where it is installed."""

    columns = ("a", "b")

    def __init__(self, rows: list[tuple[Any, ...]]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def head(self, most: int) -> Frame:
        return Frame(self._rows[:most])

    def rows(self) -> list[tuple[Any, ...]]:
        return self._rows


def test_a_data_frame_is_truncated_and_says_so() -> None:
    frame = Frame([(number, str(number)) for number in range(250)])
    shown = without_id(Table.from_dataframe(frame))
    assert (shown["columns"], len(shown["data"]), shown["note"]) == (["a", "b"], 100, "The first 100 of 250 rows.")
    whole = without_id(Table.from_dataframe(frame, truncate=False))
    assert len(whole["data"]) == 250
    assert "note" not in whole
    assert without_id(Table.from_dataframe("x"))["columns"] == ["A str is not a data frame."]


def test_a_huge_table_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "LARGEST_TABLE", 8 * 1000)
    for table in (Table([[1, 2]] * 900), Table.from_dataframe(Frame([(1, 2)] * 900), truncate=False)):
        shown = without_id(table)
        assert 300 < len(shown["data"]) <= 500
        assert "a card takes no more" in shown["note"]
    assert len(without_id(Table([number] for number in itertools.count()))["data"]) == 1000
    assert len(without_id(Table([["x" * 1000]] * 900))["data"]) < 10
    assert len(without_id(Table([itertools.repeat(0)]))["data"][0]) == 1000


class Rude:
    """Does what nobody expects when it is asked."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __repr__(self) -> str:
        match self.what:
            case "exits":
                sys.exit("no")
            case "huge":
                return "x" * 10**7
            case _:
                raise RuntimeError(self)


def nested(levels: int) -> Any:
    value: Any = "core"
    for _ in range(levels):
        value = [value]
    return value


def in_itself() -> list[Any]:
    value: list[Any] = []
    value.extend([value] * 10)
    return value


HUGE = "x " * 10**6
BOUNDED: list[MetaflowCardComponent] = [
    *(kind(Rude(what)) for what in ("exits", "huge", "raises") for kind in (Artifact, JSONViewer, YAMLViewer)),
    *(Artifact(each, compressed=False) for each in (HUGE, nested(10**4), list(range(10**6)), {HUGE: 1})),
    *(JSONViewer(each) for each in (HUGE, "[" * 10**5, "[" + "1," * 10**6 + "1]", nested(10**4))),
    YAMLViewer(in_itself()),
    Markdown(HUGE),
    Table([[HUGE, 10**5000, Rude("raises"), Rude("exits"), in_itself()]], [HUGE]),
    Image(b"\x89PNG\r\n\x1a\n" + bytes(20_000_000), HUGE),
    ProgressBar(max=10**400, label=HUGE, value=HUGE, unit=HUGE, metadata=HUGE),  # type: ignore[arg-type]
    ValueBox(HUGE, HUGE, HUGE, change_indicator=HUGE),
    VegaChart({"data": {"values": [HUGE]}}),
    VegaChart({"data": nested(10**5)}),
    PythonCode(code_string=HUGE),
    Error(ValueError(HUGE), HUGE),
    PageComponent(HUGE, HUGE, [HUGE]),
]


@pytest.mark.parametrize("component", BOUNDED, ids=lambda component: type(component).__name__)
def test_what_is_huge_or_rude_is_bounded(component: MetaflowCardComponent) -> None:
    assert len(draw(without_id(component))) < 2_500_000


def test_a_deep_document_is_shown_as_such() -> None:
    assert json.loads(without_id(JSONViewer(nested(20)))["json_string"]) == nested(20)


def test_a_figure_that_takes_for_ever_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    class Endless:
        def savefig(self, *args: object, **kwargs: object) -> None:
            while True:
                pass

    monkeypatch.setattr(images, "_PATIENCE", 0.01)
    assert "could not be drawn. It was not ready after 0.01 s." in without_id(Image.from_matplotlib(Endless()))["data"]
