"""`flow._graph`: the graph of a flow under the names that Metaflow gives to it, for programs of users that look at it.

Ours is `metaflow.flow.graph`; nothing in the house reads this one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from metaflow.flow import plan
from metaflow.flow.graph import Graph
from metaflow.flow.node import DecoratorSpec, Node


class DAGNode:
    """One step, under Metaflow's names; see `metaflow.flow.node.Node` for what they mean.

    `type` is ``start``, ``linear``, ``split``, ``foreach``, ``split-switch``, ``join`` or ``end``.
    """

    def __init__(self, node: Node, graph: Graph) -> None:
        first = node.name == graph.start and node.kind == "linear"
        self.name = node.name
        self.type = "start" if first else {"switch": "split-switch"}.get(node.kind, node.kind)
        self.source_file = node.source_file
        self.func_lineno = node.line
        self.doc = node.doc
        self.decorators: list[DecoratorSpec] = list(node.decorators)
        self.node_info: dict[str, Any] = dict(node.node_info)
        self.in_funcs = sorted(node.parents)
        self.out_funcs = list(node.next)
        self.split_parents = list(node.split_parents)
        self.split_branches = list(node.split_branches)
        self.matching_join = node.matching_join
        self.is_inside_foreach = any(graph[split].kind == "foreach" for split in node.split_parents)
        self.foreach_param = node.foreach
        self.condition = node.condition
        self.switch_cases: dict[Any, str | list[str]] = {
            key: case if isinstance(case, str) else list(case) for key, case in node.cases
        }
        self.num_args = node.definition.arguments
        self.num_parallel = int(node.num_parallel)
        self.parallel_foreach = node.num_parallel
        self.has_tail_next = bool(node.next_line)
        self.tail_next_lineno = node.next_line

    def __str__(self) -> str:
        return f"<step {self.name}: {self.type}, goes to {', '.join(self.out_funcs) or 'no step'}>"


class FlowGraph:
    """The steps of a flow: iterates over nodes, in order of their names.

    Parameters
    ----------
    flow : type of FlowSpec
        The user's class.
    """

    def __init__(self, flow: type) -> None:
        graph = plan.read(flow).graph
        self.name = graph.name
        self.doc = graph.doc
        self.start_step = next(iter(graph.starts), None)
        self.end_step = next(iter(graph.ends), None)
        self.sorted_nodes = list(graph)
        self.nodes = {name: DAGNode(graph[name], graph) for name in sorted(graph)}

    def __getitem__(self, name: str) -> DAGNode:
        return self.nodes[name]

    def __contains__(self, name: object) -> bool:
        return name in self.nodes

    def __iter__(self) -> Iterator[DAGNode]:
        return iter(self.nodes.values())

    def __len__(self) -> int:
        return len(self.nodes)

    def __str__(self) -> str:
        return "\n".join(map(str, self))
