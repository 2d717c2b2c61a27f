"""Values of `metaflow.serve.reading` as what templates say: how a step is doing, marks on the graph, commands."""

from __future__ import annotations

import ast
import json
import shlex
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from markupsafe import Markup

from metaflow.cards.graph import StepNote, draw_graph
from metaflow.cards.units import duration
from metaflow.serve.pages import addresses
from metaflow.serve.reading.encoding import columns
from metaflow.serve.reading.protocol import (
    TASK_STATES,
    Pair,
    Phase,
    Preview,
    RunComparison,
    RunDetail,
    StepCounts,
    TaskRow,
)

PHASES = {
    "queued": "waiting for a place",
    "pulled": "getting the image",
    "started": "starting the container",
    "code": "getting the code",
    "data": "reading inputs",
    "ran": "running the step",
}
"""What an attempt's time is spent on, in order."""

_UNITS = 1000
"""Width of a drawn track."""
_NARROWEST = 8.0
"""What can still be seen of a track."""


class Command(NamedTuple):
    """Something to copy: what it does, and its text."""

    title: str
    text: str


class Track(NamedTuple):
    """A part of a drawn track: where it begins and how long it is, of a thousand; its class, and what it stands for."""

    x: float
    width: float
    kind: str
    title: str = ""


def state_of(counts: Mapping[Any, int]) -> str:
    """Return how a step is doing: the state of its tasks that asks for a look first."""
    return next((state for state in TASK_STATES if counts.get(state)), "none")


def counted(counts: Mapping[Any, int]) -> str:
    """Return how many tasks are in which state, in words."""
    return ", ".join(f"{counts[state]:,} {state}" for state in TASK_STATES if counts.get(state))


def graph(detail: RunDetail) -> Markup:
    """Return the graph of a run, its steps marked with how they are doing; empty if it is not known."""
    known = {step.name: step for step in detail.steps}
    steps: Mapping[str, Mapping[str, Any]] = detail.graph.get("steps") or {}
    notes = {name: _note(detail, name, known.get(name)) for name in steps}
    kinds = {"split-foreach": "foreach"}
    shown = {name: {**step, "type": kinds.get(str(step.get("type")), step.get("type"))} for name, step in steps.items()}
    return Markup(draw_graph({**detail.graph, "steps": shown}, notes=notes))


def _note(detail: RunDetail, name: str, step: StepCounts | None) -> StepNote:
    address = addresses.step(detail.row.flow, detail.row.run, name)
    if step is None:
        waits = {"successful": "skipped", "running": "not yet"}
        return StepNote("none", waits.get(detail.row.state, "not reached"), address)
    total, state = sum(step.counts.values()), state_of(step.counts)
    number = step.counts.get(state, 0)  # type: ignore[call-overload]
    if total == 1:
        return StepNote(state, state, address)
    return StepNote(state, f"{number:,} {state}" if number == total else f"{number:,} of {total:,} {state}", address)


def spans(steps: Sequence[StepCounts], began: int, end: int) -> dict[str, list[Track]]:
    """Return where in a run's time each step lies, divided by how its tasks are doing."""
    whole = max(1, end - began)
    found = {}
    for step in steps:
        if step.started is not None:
            x = _UNITS * max(0, step.started - began) / whole
            length = min(_UNITS * ((step.ended or end) - step.started) / whole, _UNITS - x)
            x = min(x, _UNITS - _NARROWEST)
            found[step.name] = _shares(step.counts, round(x, 1), round(max(_NARROWEST, length), 1))
    return found


def _shares(counts: Mapping[Any, int], x: float, width: float) -> list[Track]:
    """Return a track divided by states, so that few failures among many tasks can still be seen."""
    states = [state for state in reversed(TASK_STATES) if counts.get(state)]
    total = sum(counts.values())
    least = min(_NARROWEST, width / max(1, len(states)))
    widths = [max(least, width * counts[state] / total) for state in states]
    widths = [each * width / sum(widths) for each in widths]
    drawn = []
    for state, each in zip(states, widths, strict=True):
        drawn.append(Track(round(x, 1), round(each, 1), state, f"{counts[state]:,} {state}"))
        x += each
    return drawn


def phases(parts: Sequence[Phase]) -> list[Track]:
    """Return the phases of an attempt as parts of one track."""
    whole = sum(part.seconds for part in parts) or 1.0
    drawn, x = [], 0.0
    for part in parts:
        width = _UNITS * part.seconds / whole
        drawn.append(Track(round(x, 1), round(width, 1), part.name, PHASES.get(part.name, part.name)))
        x += width
    return drawn


def task_data(rows: Iterable[TaskRow]) -> Markup:
    """Return a table of tasks as JSON that may stand in a page."""
    text = json.dumps(columns(rows), separators=(",", ":"))
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def commands(detail: RunDetail, place: str) -> list[Command]:
    """Return what one may want to do with a run, as commands."""
    row, script = detail.row, shlex.quote(detail.code.script or "flow.py")
    run = shlex.quote(row.run)
    found = [Command("Resume it where it failed", f"python {script} resume --origin-run-id {run}")]
    if row.state == "successful":
        found = [Command("Run it again from one of its steps", f"python {script} resume --origin-run-id {run} STEP")]
    options, unknown = _options(detail.parameters)
    title = f"Run it anew with its parameters{', but for ' if unknown else ''}{', '.join(unknown)}"
    found += [
        Command(title, " ".join(["python", script, "run", *options])),
        Command("Ask how it is doing", f"python {script} status {run}"),
        Command("Read it in a notebook", notebook(place, "Run", f"{row.flow}/{row.run}")),
    ]
    return found


def notebook(place: str, kind: str, pathspec: str) -> str:
    """Return the lines of Python that find a run or a task with the client."""
    name = kind.lower()
    data = f"{name}.data" if kind == "Run" else f"{name}.artifacts"
    return (
        f"from metaflow import {kind}, metadata, namespace\n"
        f"metadata({place!r})\nnamespace(None)\n{name} = {kind}({pathspec!r})\n{data}"
    )


def _options(parameters: Iterable[Preview]) -> tuple[list[str], list[str]]:
    """Return parameters as options of a command line, and the names of those whose value is not known whole."""
    options, unknown = [], []
    for each in parameters:
        try:
            value = ast.literal_eval(each.text if each.text is not None else each.summary)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            unknown.append(each.name)
            continue
        text = json.dumps(value) if isinstance(value, (dict, list)) else str(value)
        if value is not None:  # as it is without the option
            options.append(f"--{shlex.quote(each.name)} {shlex.quote(text)}")
    return options, unknown


def durations(both: RunComparison) -> list[Pair]:
    """Return the durations of two runs, as people read them."""

    def said(seconds: str | None) -> str | None:
        return None if seconds is None else duration(float(seconds))

    return [each._replace(left=said(each.left), right=said(each.right)) for each in both.durations]


def now() -> int:
    """Return the time in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000
