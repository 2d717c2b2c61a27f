"""The graph as SVG: no box over another, no arrow through a box, every step there."""

from __future__ import annotations

from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaflow.cards.graph import _HEIGHT, _WIDTH, Layout, draw_graph, layout

SHAPES = {
    "linear": {"start": ["a"], "a": ["end"], "end": []},
    "split": {"start": ["a", "b", "c"], "a": ["join"], "b": ["join"], "c": ["join"], "join": ["end"], "end": []},
    "switch that skips": {"start": ["a", "b", "end"], "a": ["b"], "b": ["end"], "end": []},
    "recursion": {"start": ["again"], "again": ["again", "end"], "end": []},
    "loop over two": {"start": ["a"], "a": ["b"], "b": ["a", "end"], "end": []},
    "single": {"start": []},
    "long": {f"s{number}": [f"s{number + 1}"] if number < 299 else [] for number in range(300)},
    "wide": {"start": [f"s{n}" for n in range(60)], **{f"s{n}": ["end"] for n in range(60)}, "end": []},
}


def boxes_met(found: Layout) -> list[tuple[str, str, str]]:
    """Return the arrows that run through a box between their ends, with the box."""
    met = []
    for (start, end), way in found.ways.items():
        for one, other in pairwise(way):
            for name, box in found.boxes.items():
                inside = box.y < max(one.y, other.y) and box.y + _HEIGHT > min(one.y, other.y)
                crosses = any(
                    box.x < one.x + (other.x - one.x) * share < box.x + _WIDTH
                    and box.y < one.y + (other.y - one.y) * share < box.y + _HEIGHT
                    for share in (0.0, 0.25, 0.5, 0.75, 1.0)
                )
                if name not in (start, end) and inside and crosses:
                    met.append((start, end, name))
    return met


@pytest.mark.parametrize("nexts", SHAPES.values(), ids=SHAPES)
def test_layouts(nexts: dict[str, list[str]]) -> None:
    check(nexts)


@given(st.integers(2, 12).flatmap(lambda size: st.lists(st.tuples(st.integers(0, size), st.integers(0, size)))))
def test_any_graph(arrows: list[tuple[int, int]]) -> None:
    nexts: dict[str, list[str]] = {"start": [], **{str(end): [] for arrow in arrows for end in arrow}}
    for one, other in set(arrows):
        nexts[str(one)].append(str(other))
    check(nexts)


def check(nexts: dict[str, list[str]]) -> None:
    found = layout(nexts, next(iter(nexts)))
    assert found.boxes.keys() == nexts.keys()
    drawn = [*found.ways, *found.back]
    assert sorted(drawn) == sorted((name, each) for name, targets in nexts.items() for each in targets)
    for one, other in combinations(found.boxes.values(), 2):
        assert abs(one.x - other.x) >= _WIDTH or abs(one.y - other.y) >= _HEIGHT
    assert min(box.x for box in found.boxes.values()) >= 0
    assert boxes_met(found) == []
    for (start, end), _ in found.ways.items():
        assert found.boxes[start].y < found.boxes[end].y


def test_the_svg_tells_what_it_shows() -> None:
    steps = {
        "start": {"type": "foreach", "next": ["a_step_with_a_very_long_name"], "doc": "begins"},
        "a_step_with_a_very_long_name": {"type": "join", "next": ["start", "gone"]},
    }
    html = draw_graph({"steps": steps, "start_step": "start"}, "start")
    for part in (
        'aria-label="Steps: start to a_step_with_a_very_long_name; a_step_with_a_very_long_name to start"',
        "<title>start\nbegins</title>",
        'class="step kind-foreach marked"',
        ">a_step_with_a_very_…<",
        '<path class="many"',
    ):
        assert part in html
    assert draw_graph({}) == ""
