"""Names that users import from `metaflow.graph`; the room is `metaflow.flow.flow_graph`."""

from __future__ import annotations

from metaflow.flow.flow_graph import DAGNode, FlowGraph

__all__ = ["DAGNode", "FlowGraph"]
