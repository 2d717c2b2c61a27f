"""Graphs as a whole: order, parents, frames, matching joins, what a class adds to them."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from metaflow.flow import graph as graphs
from metaflow.flow.description import describe
from metaflow.flow.plan import read as read_plan
from support.sketch import flow_class, graph_of

NESTED = "start > a, b; a > c * xs; c > j1; j1(inputs) > j2; b > j2; j2(inputs) > end; end"


def test_kinds_and_neighbours(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, NESTED)
    assert {name: node.kind for name, node in graph.nodes.items()} == {
        "start": "split",
        "a": "foreach",
        "c": "linear",
        "j1": "join",
        "b": "linear",
        "j2": "join",
        "end": "end",
    }
    assert graph["j2"].parents == ("j1", "b")
    assert graph["start"].next == ("a", "b")
    assert graph["a"].foreach == "xs"
    assert [name for name in graph if graph[name].is_join] == ["j1", "j2"]
    assert (graph.start, graph.end, len(graph), "c" in graph, "nope" in graph) == ("start", "end", 7, True, False)


def test_order_follows_parents_branch_by_branch(tmp_path: Path) -> None:
    sketch = "end; j(inputs) > end; b > j; a2 > j; start > a, b; a > a2"
    assert list(graph_of(tmp_path, sketch)) == ["start", "a", "a2", "b", "j", "end"]


def test_unreachable_steps_come_last(tmp_path: Path) -> None:
    assert list(graph_of(tmp_path, "lost > end; start > end; end")) == ["start", "end", "lost"]


@pytest.mark.parametrize(
    ("sketch", "frames"),
    [
        (
            NESTED,
            {
                "start": ("", "", "j2"),
                "a": ("start", "a", "j1"),
                "c": ("start a", "a c", None),
                "j1": ("start a", "a", None),
                "b": ("start", "b", None),
                "j2": ("start", "", None),
                "end": ("", "", None),
            },
        ),
        (  # a switch opens no frame; its cases may run into different joins of inner splits
            "start > a * xs; a > ? v x:b y:c; b > d * ys; d > k; k(inputs) > j; c > j; j(inputs) > end; end",
            {
                "start": ("", "", "j"),
                "a": ("start", "a", None),
                "b": ("start", "a", "k"),
                "d": ("start b", "a d", None),
                "k": ("start b", "a", None),
                "c": ("start", "a", None),
                "j": ("start", "", None),
                "end": ("", "", None),
            },
        ),
        (  # recursion inside a branch
            "start > a, b; a > ? v x:a y:c; c > j; b > j; j(inputs) > end; end",
            {"a": ("start", "a", None), "c": ("start", "a", None), "j": ("start", "", None), "start": ("", "", "j")},
        ),
        (  # two foreaches, one of which a switch chooses, with one body
            "start > ? v x:a y:b; a > c * xs; b > c * ys; c > j; j(inputs) > end; end",
            {"a": ("", "", "j"), "b": ("", "", "j"), "c": ("a", "c", None), "j": ("a", "", None)},
        ),
    ],
)
def test_frames(tmp_path: Path, sketch: str, frames: dict[str, tuple[str, str, str | None]]) -> None:
    graph = graph_of(tmp_path, sketch)
    for name, (parents, branches, join) in frames.items():
        node = graph[name]
        assert (node.split_parents, node.split_branches, node.matching_join) == (
            tuple(parents.split()),
            tuple(branches.split()),
            join,
        ), name


def test_recursion_is_no_parent_of_itself(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, "start > a; a > ? more yes:a no:end; end")
    assert graph["a"].next == ("a", "end")
    assert graph["a"].cases == (("yes", "a"), ("no", "end"))
    assert graph["a"].parents == ("start",)


def test_faulty_flows_are_read_too(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, "start > nope; a > b; b > a; c = self.next('x'); c2 > c2")
    assert graph["start"].next == ("nope",)
    assert (graph.starts, graph.ends) == (("start",), ())
    assert graph["c"].next == ()
    assert set(graph) == {"start", "a", "b", "c", "c2"}


def test_a_single_step_is_start_and_end(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, "alone")
    assert (graph.start, graph.end, graph["alone"].kind) == ("alone", "alone", "end")


def test_a_step_can_be_marked_as_first_or_last(tmp_path: Path) -> None:
    flow = flow_class(
        tmp_path,
        "from metaflow import FlowSpec, step\n\nclass Flow(FlowSpec):\n    @step\n    def begin(self):\n"
        "        self.next(self.finish)\n    begin.is_start = True\n    @step\n    def finish(self):\n        pass\n"
        "    finish.is_end = True\n",
    )
    graph = graphs.read(flow)
    assert (graph.start, graph.end) == ("begin", "finish")


def test_decorators_constants_and_methods(tmp_path: Path) -> None:
    flow = flow_class(
        tmp_path,
        "from metaflow import FlowSpec, Parameter, resources, step\n\nclass Flow(FlowSpec):\n    '''About.'''\n"
        "    size = 3\n    alpha = Parameter('alpha', default=1)\n    @resources(cpu=2)\n    @step\n"
        "    def start(self):\n        self.next(self.end)\n    def helper(self):\n        pass\n"
        "    @step\n    def end(self):\n        pass\n",
    )
    graph = read_plan(flow).graph
    (resources,) = graph["start"].decorators
    assert (resources.name, resources.attributes["cpu"], resources.static) == ("resources", 2, True)
    assert graph.doc == "About."
    assert graph.constants == (("size", "int"),)
    assert graph.methods == ("helper",)


def test_ways(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, NESTED)
    assert graph.ways("a") == {"a": "a", "c": "a", "j1": "c", "j2": "j1", "end": "j2"}
    assert set(graph.ways("a", avoiding="j1")) == {"a", "c"}


def test_graphs_can_be_pickled(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, NESTED)
    copy = pickle.loads(pickle.dumps(graph))
    assert copy.nodes == graph.nodes
    assert describe(copy) == describe(graph)


def test_deep_and_wide_flows(tmp_path: Path) -> None:
    deep = "start > s0; " + "; ".join(f"s{n} > s{n + 1}" for n in range(1500)) + "; s1500 > end; end"
    assert len(graph_of(tmp_path, deep)) == 1503
    branches = [f"b{n}" for n in range(300)]
    wide = graph_of(
        tmp_path, f"start > {', '.join(branches)}; {'; '.join(f'{b} > j' for b in branches)}; j(inputs) > end; end"
    )
    assert wide["j"].parents == tuple(branches)
