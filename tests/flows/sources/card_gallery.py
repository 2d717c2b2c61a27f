"""All components on one page, hostile strings wherever a user has a say, and default cards of many shapes."""

import datetime
import os
import time

from metaflow import FlowSpec, Parameter, card, catch, current, environment, retry, step
from metaflow.cards import (
    Artifact,
    Error,
    EventsTimeline,
    Image,
    JSONViewer,
    Markdown,
    MetaflowCard,
    MetaflowCardComponent,
    PageComponent,
    ProgressBar,
    PythonCode,
    Table,
    ValueBox,
    VegaChart,
    YAMLViewer,
)

EVIL = (
    "</script><script>document.title='owned';alert(1)</script>"
    "<img src=x onerror=\"document.title='owned';alert(2)\"><svg onload=\"document.title='owned'\">"
    "\"'><b class=owned>owned</b>&lt;/td&gt;\u2028]]>--><!--"
)


def attack(place):
    """Return a hostile string that says where it stands."""
    return f"({place}) {EVIL}"


LINKS = "[one](javascript:alert(3)) [two](data:text/html,x) ![three](javascript:alert(4)) <javascript:alert(5)>"
DRAWING = b"""<svg xmlns="http://www.w3.org/2000/svg" width="900" height="300">
<rect width="900" height="300" fill="#245"/><script>parent.document.title = "owned"; alert(6)</script>
<circle cx="150" cy="150" r="90" fill="#fa3" onload="alert(7)"/></svg>"""
CHART = {
    "title": "Scores",
    "data": {"values": [{"epoch": each, "score": each**0.5} for each in range(20)]},
    "mark": "line",
    "encoding": {
        "x": {"field": "epoch", "type": "quantitative"},
        "y": {"field": "score", "type": "quantitative"},
    },
}


class Odd:
    def __init__(self, text):
        self.text = text

    def __repr__(self):
        return self.text


class Plain(Odd):
    """An object whose class can be found again."""


Odd.__qualname__ = f"Odd{attack('name of a class')}"


class DataFrame:
    """What a card sees of a data frame of polars, whose import takes its time."""

    def __init__(self, columns):
        self.columns = list(columns)
        self._columns = columns

    def __len__(self):
        return len(self.rows())

    def head(self, most):
        return self

    def rows(self):
        return list(zip(*self._columns.values(), strict=True))


class Own(MetaflowCardComponent):
    """A component of a user."""

    def __init__(self, shown):
        self.shown = shown

    def render(self):
        if isinstance(self.shown, Exception):
            raise self.shown
        return self.shown


class Refused(MetaflowCard):
    type = "refused"

    def render(self, task):
        raise RuntimeError(attack("error of a card"))


CARDS = [Refused]


def components():
    """Return one of each component, and those with more to show more than once."""
    events = EventsTimeline("Events")
    for theme, priority in (("success", "low"), ("warning", "normal"), ("error", "high"), ("info", "critical")):
        events.update({"what": theme, "seconds": 1.5}, theme, priority, payloads={"more": Markdown("*details*")})
    return [
        Markdown(
            "# Training\n\nText with *emphasis*, `code`, [a link](https://example.org) and a list:\n\n- one\n- two"
        ),
        Markdown("| name | value |\n|---|---|\n| a | 1 |\n\n> A quotation\n\n```\nfenced = 1\n```\n\n## Smaller"),
        Table([["first", 1, 2.5], ["second", 10, None], ["third", 9, -1e-9]], headers=["name", "count", "score"]),
        Table([[Markdown("**bold**"), Image(DRAWING, "in a cell"), ProgressBar(max=10, value=4)]], headers=list("abc")),
        Table([["no", "headers"], ["at", "all"]]),
        Table([["x" * 300, *range(30)]], headers=["long", *(f"column {each}" for each in range(30))]),
        Image(DRAWING, "A drawing"),
        Image(b"no image"),
        Artifact({"a": list(range(50)), "now": datetime.date(2026, 1, 1)}, name="some artifact"),
        Artifact([1, {"b": None}], compressed=False),
        VegaChart(CHART),
        ProgressBar(max=20, label="epochs", value=7, unit="epochs", metadata="a note"),
        ProgressBar(max=None, label="unknown end", value=7),
        PythonCode(components),
        *(
            ValueBox("Accuracy", 0.93, "of the test set", theme, "+3 %")
            for theme in (None, "success", "warning", "danger", "bg-gradient-indigo-purple")
        ),
        events,
        JSONViewer({"a": [1, 2, {"b": "c" * 200}]}, title="A document"),
        YAMLViewer({"a": [1, 2], "b": {"c": "d"}}, title="Another", collapsible=False, max_height="8rem"),
        Error(ValueError("it went wrong"), "An error"),
        PageComponent("A page", "with a subtitle", [Markdown("inside"), Table([[1]], headers=["n"])]),
        Markdown("שלום עולם — مرحبا بالعالم — 🎉👩‍💻 — " + "verylongword" * 40),
    ]


def cells(kind):
    """Return a row of hostile cells."""
    return [
        attack(f"string in {kind}"),
        Odd(attack(f"repr in {kind}")),
        {attack(f"key in {kind}"): attack(f"value in {kind}")},
        [attack(f"list in {kind}")],
        Markdown(attack(f"Markdown in {kind}")),
    ]


def hostile():
    """Return components whose every string is hostile."""
    events = EventsTimeline(attack("title of events"))
    events.update(
        {attack("key of an event"): attack("value of an event"), "timestamp": attack("time of an event")},
        priority=attack("priority of an event"),
        payloads={attack("name of a payload"): Markdown(attack("payload"))},
    )
    axis = {"field": "epoch", "type": "quantitative", "title": attack("axis of a chart")}
    frame = DataFrame({attack("column of a frame"): [attack("value in a frame")]})
    return [
        Markdown(attack("Markdown")),
        Markdown(LINKS),
        Markdown(f"```{EVIL}\n{attack('fenced code')}\n```\n\n# {attack('heading')}\n\n[a]({EVIL} '{EVIL}')"),
        Table([cells("a table")], headers=[attack("header of a table")] * 5),
        Table([cells("a large table")] * 1500, headers=[attack("header of a large table")] * 5),
        Table.from_dataframe(frame),
        Image(DRAWING, attack("label of an image")),
        Image(f"data:image/png;{EVIL},{EVIL}", EVIL),
        Image(f"data:image/svg+xml;base64,PHN2Zz4{EVIL}", EVIL),
        Artifact(attack("artifact"), name=attack("name of an artifact")),
        Artifact(Odd(attack("repr of an artifact"))),
        Artifact({attack("key of an artifact"): [attack("value of an artifact")]}, compressed=False),
        VegaChart({**CHART, "title": attack("title of a chart"), "encoding": {**CHART["encoding"], "x": axis}}),
        VegaChart({"mark": attack("mark of a chart"), "title": EVIL}),
        ProgressBar(
            max=attack("end of a bar"),
            label=attack("label of a bar"),
            value=attack("value of a bar"),
            unit=attack("unit of a bar"),
            metadata=attack("note of a bar"),
        ),
        PythonCode(
            code_string=f"x = '''{attack('string of code')}'''  # {attack('comment of code')}\n{attack('code')}"
        ),
        ValueBox(
            attack("title of a value"),
            attack("value"),
            attack("subtitle of a value"),
            change_indicator=attack("change of a value"),
        ),
        events,
        JSONViewer(
            {attack("key of JSON"): attack("value of JSON")}, title=attack("title of JSON"), max_height=f'3rem"{EVIL}'
        ),
        JSONViewer(attack("text that is no JSON")),
        YAMLViewer(
            {attack("key of YAML"): attack("value of YAML")},
            title=attack("title of YAML"),
            max_height=EVIL.replace(";", ""),
        ),
        YAMLViewer(attack("text of YAML")),
        Error(ValueError(attack("exception")), attack("title of an exception")),
        PageComponent(
            attack("title of a page"),
            attack("subtitle of a page"),
            [attack("text on a page"), {"type": EVIL, "id": EVIL, attack("key of what is unknown"): EVIL}],
        ),
        Own(attack("text of a user's component")),
        Own({"type": attack("type of a user's component"), "data": EVIL}),
        Own({"type": "artifacts", "data": [{"name": EVIL, "type": attack("type of a user's artifact"), "data": EVIL}]}),
        Own({"type": "log", "data": attack("log line of a user's component")}),
        Own(RuntimeError(attack("error of a user's component"))),
        attack("string"),
    ]


class CardGallery(FlowSpec):
    """Cards to look at."""

    alpha = Parameter("alpha", default=0.5)
    evil = Parameter("evil", default=attack("value of a parameter"), help=EVIL)
    fails = Parameter("fails", default=False)
    gate = Parameter("gate", default="")

    @card
    @card(type="blank", id="all", options={"title": "All components"})
    @card(type="blank", id="hostile", options={"title": EVIL})
    @card(type="refused", id="refused")
    @environment(vars={"(name of a variable) <script>alert(8)</script>": "x"})
    @card(type="blank", id="large", timeout=300)
    @card(type="blank", id="empty")
    @step
    def start(self):
        """The first step, with a sentence on what it is there for: (docstring) </script><b class=owned>."""
        self.items = ["a", attack("item of a foreach")]
        self.odd = [attack("artifact in a list")]
        self.document = {attack("key of an artifact"): EVIL}
        self.object = Plain(attack("repr of an artifact"))
        self.frame = DataFrame({attack("column of a frame"): [attack("value in a frame")]})
        setattr(self, '<b>setattr(self, EVIL, EVIL)amp;"x', attack("artifact with a hostile name"))
        self.picture = DRAWING
        current.card["all"].extend(components())
        current.card["hostile"].extend(hostile())
        current.card["hostile"].append(Markdown(EVIL), id=EVIL)
        current.card["hostile"].append(Table([[1, 2], [3, 4]], ["after", "all"]))
        rows = [
            [row * 7919 % 100_003, f"name {row % 977}", *(round(row / n, 3) for n in range(1, 19))]
            for row in range(100_000)
        ]
        current.card["large"].append(Table(rows, headers=["number", "name", *(f"f{n}" for n in range(1, 19))]))
        self.next(self.each, foreach="items")

    @card(type="blank", id="live", refresh_interval=0)
    @card
    @step
    def each(self):
        bar = ProgressBar(max=10, label="turns")
        mine = current.card["live"]
        mine.append(bar, id="bar")
        mine.append(Table([[EVIL, 1]], ["name", "turn"]), id=EVIL)
        turn = 0
        while self.gate and not os.path.exists(self.gate):
            turn += 1
            bar.update(turn % 10)
            if os.path.exists(f"{self.gate}-more") and "added" not in mine.components:
                mine.append(Markdown("added while it runs"), id="added")
            mine.refresh(force=True)
            time.sleep(0.2)
        self.next(self.join)

    @card
    @step
    def join(self, inputs):
        self.way = "left"
        self.next({"left": self.left, "right": self.right}, condition="way")

    @card
    @step
    def left(self):
        self.next(self.caught)

    @card
    @step
    def right(self):
        self.next(self.caught)

    @card
    @catch(var="failure")
    @retry(times=1, minutes_between_retries=0)
    @step
    def caught(self):
        if current.retry_count < 2:
            raise ValueError(attack("failure that is caught"))
        self.next(self.end)

    @card
    @step
    def end(self):
        if self.fails:
            raise ValueError(attack("failure"))


if __name__ == "__main__":
    CardGallery()
