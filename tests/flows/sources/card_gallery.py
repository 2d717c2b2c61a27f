"""All components on one page, hostile strings wherever a user has a say, and default cards of many shapes."""

import datetime
import os
import time

from metaflow import FlowSpec, Parameter, card, catch, current, retry, step
from metaflow.cards import (
    Artifact,
    Error,
    EventsTimeline,
    Image,
    JSONViewer,
    Markdown,
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


Odd.__qualname__ = f"Odd{EVIL}"


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


def hostile():
    """Return components whose every string is hostile."""
    events = EventsTimeline(EVIL)
    events.update({EVIL: EVIL, "timestamp": EVIL}, payloads={EVIL: Markdown(EVIL)})
    chart = {**CHART, "title": EVIL}
    return [
        Markdown(EVIL),
        Markdown(LINKS),
        Markdown(f"```{EVIL}\n{EVIL}\n```\n\n# {EVIL}\n\n[a]({EVIL} '{EVIL}')"),
        Table([[EVIL, Odd(EVIL), {EVIL: EVIL}, [EVIL], Markdown(EVIL)]], headers=[EVIL] * 5),
        Table([[EVIL, Odd(EVIL), {EVIL: EVIL}, [EVIL], Markdown(EVIL)]] * 1500, headers=[EVIL] * 5),
        Image(DRAWING, EVIL),
        Image(f"data:image/png;{EVIL},{EVIL}", EVIL),
        Image(f"data:image/svg+xml;base64,PHN2Zz4{EVIL}", EVIL),
        Artifact(EVIL, name=EVIL),
        Artifact(Odd(EVIL), name=EVIL),
        Artifact({EVIL: [EVIL]}, compressed=False),
        VegaChart(chart),
        VegaChart({"mark": EVIL, "title": EVIL}),
        ProgressBar(max=EVIL, label=EVIL, value=EVIL, unit=EVIL, metadata=EVIL),
        PythonCode(code_string=f"x = '''{EVIL}'''  # {EVIL}\n{EVIL}"),
        ValueBox(EVIL, EVIL, EVIL, change_indicator=EVIL),
        events,
        JSONViewer({EVIL: EVIL}, title=EVIL, max_height=f'3rem"{EVIL}'),
        YAMLViewer({EVIL: EVIL}, title=EVIL, max_height=EVIL.replace(";", "")),
        Error(ValueError(EVIL), EVIL),
        PageComponent(EVIL, EVIL, [EVIL, {"type": EVIL, "id": EVIL, EVIL: EVIL}, Markdown(EVIL)]),
        EVIL,
    ]


class CardGallery(FlowSpec):
    """Cards to look at."""

    alpha = Parameter("alpha", default=0.5)
    evil = Parameter("evil", default=EVIL, help=EVIL)
    fails = Parameter("fails", default=False)
    gate = Parameter("gate", default="")

    @card
    @card(type="blank", id="all", options={"title": "All components"})
    @card(type="blank", id="hostile", options={"title": EVIL})
    @card(type="blank", id="large")
    @card(type="blank", id="empty")
    @step
    def start(self):
        """The first step, with a sentence on what it is there for: </script><b class=owned>."""
        self.items = ["a", EVIL]
        self.odd = [EVIL]
        self.document = {EVIL: EVIL}
        setattr(self, '<b>setattr(self, EVIL, EVIL)amp;"x', EVIL)
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
            raise ValueError(EVIL)
        self.next(self.end)

    @card
    @step
    def end(self):
        if self.fails:
            raise ValueError(EVIL)


if __name__ == "__main__":
    CardGallery()
