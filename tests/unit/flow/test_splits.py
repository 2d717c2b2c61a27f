"""What is open around each step, over all ways to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from metaflow.flow.splits import in_several_branches, trace
from support.sketch import graph_of

J = "j(inputs) > end; end"


def test_every_way_counts_at_each_depth(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, f"start > ? v x:[a,b] y:[c]; a > w * xs; b > j; c > j; w > k; k(inputs) > j; {J}")
    found = {
        node.name: [sorted(f"{frame.split}>{frame.branch}" for frame in level) for level in open]
        for node, _, open in trace(graph)
    }
    assert found["w"] == [["start>a"], ["a>w"]]
    assert found["k"] == [["start>a"], ["a>w"]]
    assert found["j"] == [["start>a", "start>b", "start>c"]]
    assert found["end"] == []


@pytest.mark.parametrize(
    ("sketch", "steps"),
    [
        (f"start > a, b; a > j; b > j; {J}", set()),
        (f"start > a, b; a > ? v x:s y:c; b > ? v x:s y:d; c > j; d > j; s > t; t > j; {J}", {"s", "t"}),
        (f"start > ? v x:a y:b; a > c * xs; b > c * ys; c > j; {J}", set()),
        (f"start > ? v x:[a,b] y:[b,c]; a > j; b > j; c > j; {J}", set()),
    ],
)
def test_in_several_branches(tmp_path: Path, sketch: str, steps: set[str]) -> None:
    assert in_several_branches(graph_of(tmp_path, sketch)) == steps
