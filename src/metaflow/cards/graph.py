"""The graph of a flow as SVG: layers from top to bottom, one box for each step; pure.

After Sugiyama, Tagawa and Toda (1981): the longest way from the start gives a step its layer; an arrow across several
layers gets a bend in each, which takes room as a step does, so that no arrow runs behind a box; within a layer, boxes
and bends are ordered by the mean of what they come from. Start reading at `draw_graph`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias

_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _MARGIN = 150, 34, 26, 40, 24
_BEND_WIDTH = 16
_LONGEST_NAME = 20
_LONGEST_NOTE = 27

Way: TypeAlias = tuple["Point", ...]


class Point(NamedTuple):
    """In pixels, from the left and from the top."""

    x: float
    y: float


class StepNote(NamedTuple):
    """What a drawing says of a step beside its name.

    Attributes
    ----------
    state : str
        Becomes the class ``state-…`` of its box.
    text : str
        Below the name.
    address : str
        What the box leads to.
    """

    state: str
    text: str
    address: str


class _Bend(NamedTuple):
    """Where an arrow crosses a layer."""

    start: str
    end: str
    layer: int


class Layout(NamedTuple):
    """Where everything is.

    Attributes
    ----------
    boxes : dict of str to Point
        The left upper corner of each step's box.
    ways : dict of (str, str) to tuple of Point
        The points that each arrow goes through, from the bottom of one box to the top of the other.
    back : list of (str, str)
        Arrows that lead back to a step that they come from.
    """

    boxes: dict[str, Point]
    ways: dict[tuple[str, str], Way]
    back: list[tuple[str, str]]


def draw_graph(graph: Mapping[str, Any], marked: str | None = None, notes: Mapping[str, StepNote] | None = None) -> str:
    """Return a graph as an SVG that explains itself to screen readers.

    Parameters
    ----------
    graph : mapping
        ``steps``: name to a mapping with ``type``, ``next`` and ``doc``; ``start_step``.
    marked : str, optional
        The step that is highlighted.
    notes : mapping of str to StepNote, optional
        How steps are doing.
    """
    notes = notes or {}
    steps: Mapping[str, Mapping[str, Any]] = graph.get("steps") or {}
    if not steps:
        return ""
    nexts = {name: [each for each in step.get("next") or () if each in steps] for name, step in steps.items()}
    found = layout(nexts, str(graph.get("start_step") or "start"))
    points = [*found.boxes.values(), *(point for way in found.ways.values() for point in way)]
    width = max(max(box.x for box in found.boxes.values()) + _WIDTH, max(point.x for point in points)) + _MARGIN
    height = max(box.y for box in found.boxes.values()) + _HEIGHT + _MARGIN
    many = {name for name, step in steps.items() if step.get("type") == "foreach"}
    arrows = [_arrow(_curve(way), pair[0] in many) for pair, way in found.ways.items()]
    arrows += [_arrow(_loop(found.boxes[start], found.boxes[end]), False) for start, end in found.back]
    boxes = [_box(name, steps[name], place, name == marked, notes.get(name)) for name, place in found.boxes.items()]
    told = "; ".join(f"{name} to {', '.join(targets)}" for name, targets in nexts.items() if targets)
    return (
        f'<div class="graph" tabindex="0" role="region" aria-label="Graph of the flow">'
        f'<svg viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" '
        f'role="{"group" if notes else "img"}" aria-label="{escape(f"Steps: {told}", quote=True)}">'
        '<defs><marker id="arrow-head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
        'markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0L8 4L0 8z"/></marker></defs>'
        f"{''.join(arrows)}{''.join(boxes)}</svg></div>"
    )


def layout(nexts: Mapping[str, Sequence[str]], start: str) -> Layout:
    """Return a place for each step, and a way for each arrow.

    Parameters
    ----------
    nexts : mapping of str to sequence of str
        Each step and those that come after it; may have loops.
    start : str
        Where the flow begins.
    """
    forward, back = _without_loops(nexts, start)
    layer_of = _layers(forward)
    layers: list[list[str | _Bend]] = [[] for _ in range(max(layer_of.values()) + 1)]
    for name, layer in layer_of.items():
        layers[layer].append(name)
    chains: dict[tuple[str, str], list[str | _Bend]] = {}
    before: dict[str | _Bend, list[str | _Bend]] = {}
    for name, targets in forward.items():
        for target in targets:
            bends = [_Bend(name, target, layer) for layer in range(layer_of[name] + 1, layer_of[target])]
            for bend in bends:
                layers[bend.layer].append(bend)
            chains[name, target] = [name, *bends, target]
            for one, other in pairwise(chains[name, target]):
                before.setdefault(other, []).append(one)
    centres = _ordered(layers, before)
    left = min(centres[name] - _WIDTH / 2 for name in layer_of)
    left = min(left, *centres.values())

    def top(layer: int) -> float:
        return _MARGIN + layer * (_HEIGHT + _GAP_Y)

    def way(chain: Sequence[str | _Bend]) -> Way:
        *points, last = chain
        first, *bends = points
        assert isinstance(first, str)
        assert isinstance(last, str)
        ends = [Point(_MARGIN + centres[first] - left, top(layer_of[first]) + _HEIGHT)]
        for bend in bends:
            assert isinstance(bend, _Bend)
            x = _MARGIN + centres[bend] - left
            ends += [Point(x, top(bend.layer)), Point(x, top(bend.layer) + _HEIGHT)]
        return (*ends, Point(_MARGIN + centres[last] - left, top(layer_of[last]) - 1))

    boxes = {name: Point(_MARGIN + centres[name] - left - _WIDTH / 2, top(layer)) for name, layer in layer_of.items()}
    return Layout(boxes, {pair: way(chain) for pair, chain in chains.items()}, back)


def _ordered(
    layers: list[list[str | _Bend]], before: Mapping[str | _Bend, Sequence[str | _Bend]]
) -> dict[str | _Bend, float]:
    """Order each layer, in place; return the middle of each box and bend."""
    centres: dict[str | _Bend, float] = {}
    for layer in layers:
        layer.sort(key=lambda each: _mean([centres[one] for one in before.get(each, ())]))
        widths = [_WIDTH if isinstance(each, str) else _BEND_WIDTH for each in layer]
        x = -(sum(widths) + _GAP_X * (len(layer) - 1)) / 2
        for each, width in zip(layer, widths, strict=True):
            centres[each] = x + width / 2
            x += width + _GAP_X
    return centres


def _layers(forward: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Return for each step the length of the longest way to it."""
    waiting = dict.fromkeys(forward, 0)
    for targets in forward.values():
        for each in targets:
            waiting[each] += 1
    layer = dict.fromkeys(forward, 0)
    ready = deque(name for name, count in waiting.items() if not count)
    while ready:
        name = ready.popleft()
        for each in forward[name]:
            layer[each] = max(layer[each], layer[name] + 1)
            waiting[each] -= 1
            if not waiting[each]:
                ready.append(each)
    return layer


def _without_loops(
    nexts: Mapping[str, Sequence[str]], start: str
) -> tuple[dict[str, list[str]], list[tuple[str, str]]]:
    """Return the arrows that lead on, and those that lead back to a step that they come from."""
    forward: dict[str, list[str]] = {name: [] for name in nexts}
    back: list[tuple[str, str]] = []
    done: set[str] = set()
    for root in [start, *nexts]:
        if root not in nexts or root in done:
            continue
        path, stack = {root}, [(root, iter(nexts[root]))]
        while stack:
            name, targets = stack[-1]
            each = next(targets, None)
            if each is None:
                stack.pop()
                path.discard(name)
                done.add(name)
            elif each in path:
                back.append((name, each))
            else:
                forward[name].append(each)
                if each not in done:
                    path.add(each)
                    stack.append((each, iter(nexts[each])))
    return forward, back


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _box(name: str, step: Mapping[str, Any], place: Point, is_marked: bool, note: StepNote | None) -> str:
    shown = _shortened(name, _LONGEST_NAME)
    kind = escape(str(step.get("type") or ""), quote=True)
    title = escape("\n".join(part for part in (name, str(step.get("doc") or "").strip()) if part))
    middle = place.x + _WIDTH / 2
    classes = f"step kind-{kind}{' marked' if is_marked else ''}"
    rect = f'<rect x="{place.x:g}" y="{place.y:g}" width="{_WIDTH}" height="{_HEIGHT}" rx="6"/>'
    if note is None:
        text = f'<text x="{middle:g}" y="{place.y + _HEIGHT / 2 + 4.5:g}">{escape(shown)}</text>'
        return f'<g class="{classes}"><title>{title}</title>{rect}{text}</g>'
    text = (
        f'<text x="{middle:g}" y="{place.y + 15:g}">{escape(shown)}</text>'
        f'<text class="note" x="{middle:g}" y="{place.y + 28:g}">{escape(_shortened(note.text, _LONGEST_NOTE))}</text>'
    )
    return (
        f'<a href="{escape(note.address, quote=True)}" class="{classes} state-{escape(note.state, quote=True)}" '
        f'aria-label="{escape(f"{name}: {note.text}", quote=True)}"><title>{title}</title>{rect}{text}</a>'
    )


def _shortened(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _arrow(path: str, is_many: bool) -> str:
    many = ' class="many"' if is_many else ""
    return f'<path{many} d="{path}" marker-end="url(#arrow-head)"/>'


def _curve(way: Way) -> str:
    parts = [f"M{way[0].x:g} {way[0].y:g}"]
    for one, other in pairwise(way):
        middle = (one.y + other.y) / 2
        parts.append(f"C{one.x:g} {middle:g} {other.x:g} {middle:g} {other.x:g} {other.y:g}")
    return "".join(parts)


def _loop(start: Point, end: Point) -> str:
    """Return the way of an arrow back, round the side on which its start lies."""
    y1, y2 = start.y + _HEIGHT * 0.6, end.y + _HEIGHT * 0.4
    if start.x < end.x:
        side = start.x - 22
        return f"M{start.x:g} {y1:g}C{side:g} {y1:g} {side:g} {y2:g} {end.x - 1:g} {y2:g}"
    side = max(start.x, end.x) + _WIDTH + 22
    return f"M{start.x + _WIDTH:g} {y1:g}C{side:g} {y1:g} {side:g} {y2:g} {end.x + _WIDTH + 1:g} {y2:g}"
