"""Places of tasks: elements of foreaches always, branches where the step does not tell them."""

from __future__ import annotations

from pathlib import Path

import pytest

from metaflow.runtime.events import Launch, TaskRef
from metaflow.runtime.places import Place, Places
from support.sketch import graph_of

J = "j(inputs) > end; end"


@pytest.mark.parametrize(
    ("sketch", "launches", "places"),
    [
        (  # step, id of the task before it, position in a foreach
            f"start > a, b; a > c * xs; c > k; k(inputs) > j; b > j; {J}",
            [("start", 0, None), ("a", 1, None), ("c", 2, 7), ("k", 3, None), ("j", 4, None)],
            [Place(), Place(), Place((7,)), Place(), Place()],
        ),
        (
            f"start > w * xs; w > a, b; a > ? v x:s y:c; b > s; c > j1; s > j1; j1(inputs) > j; {J}",
            [("start", 0, None), ("w", 1, 3), ("b", 2, None), ("s", 3, None), ("a", 2, None), ("s", 5, None)],
            [Place(), Place((3,)), Place((3,)), Place((3,), ("b",)), Place((3,)), Place((3,), ("a",))],
        ),
        (
            f"start > ? v x:[a,b] y:[a]; a > j; b > j; {J}",
            [("start", 0, None), ("a", 1, None), ("j", 2, None), ("end", 3, None)],
            [Place()] * 4,
        ),
    ],
)
def test_of(tmp_path: Path, sketch: str, launches: list[tuple[str, int, int | None]], places: list[Place]) -> None:
    told = Places(graph_of(tmp_path, sketch))
    assert bool(told) == any(place.branches for place in places)
    steps = ["_parameters", *(step for step, _, _ in launches)]
    assert [
        told.of(Launch(id, step, 0, index, (TaskRef(steps[before], before),)))
        for id, (step, before, index) in enumerate(launches, 1)
    ] == places
