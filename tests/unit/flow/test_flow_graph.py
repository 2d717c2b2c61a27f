"""`flow._graph`; the expected values are those of Metaflow 2.19.39."""

from __future__ import annotations

from pathlib import Path

from metaflow.flow.flow_graph import FlowGraph
from support.sketch import flow_class, source


def test_the_graph_under_the_names_of_metaflow(tmp_path: Path) -> None:
    sketch = "start > a, b; a > ? v x:c y:d; c > e; d > e; e > j; b > j; j(inputs) > m; "
    sketch += "m > f * xs; f > k; k(inputs) > end; end"
    graph = FlowGraph(flow_class(tmp_path, source(sketch)))
    assert (graph.start_step, graph.end_step, len(graph)) == ("start", "end", 11)
    assert [node.name for node in graph] == sorted(graph.sorted_nodes)
    assert {node.name: node.type for node in graph} == {
        "start": "split",
        "a": "split-switch",
        "b": "linear",
        "c": "linear",
        "d": "linear",
        "e": "linear",
        "j": "join",
        "m": "foreach",
        "f": "linear",
        "k": "join",
        "end": "end",
    }
    assert (graph["j"].in_funcs, graph["m"].out_funcs, graph["m"].foreach_param) == (["b", "e"], ["f"], "xs")
    assert (graph["f"].is_inside_foreach, graph["b"].is_inside_foreach) == (True, False)
    assert (graph["a"].condition, graph["a"].switch_cases) == ("v", {"x": "c", "y": "d"})
    assert (graph["k"].num_args, graph["k"].split_parents, graph["start"].matching_join) == (2, ["m"], "j")
    assert "nowhere" not in graph
    assert FlowGraph(flow_class(tmp_path, source("start > end; end")))["start"].type == "start"
