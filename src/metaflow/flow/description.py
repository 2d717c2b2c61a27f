"""What a run says of its flow: the artifact ``_graph_info``, in the form that Metaflow 2.19 writes.

User interfaces draw the flow from it. Knows graphs, and nothing of where the artifact goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import FunctionType
from typing import Any

from metaflow.flow.graph import Graph
from metaflow.flow.node import Case, DecoratorSpec, Node, Way, steps_of_case

_FINGERPRINT = "source_sha1"
"""Tells a later run whether a step has changed; stands where the form leaves room, and Metaflow writes nothing."""


def describe(
    graph: Graph, parameters: Iterable[tuple[str, str]] = (), decorators: Iterable[DecoratorSpec] = ()
) -> dict[str, Any]:
    """Return the artifact ``_graph_info`` in the form that Metaflow 2.19 writes.

    Parameters
    ----------
    graph : Graph
        A flow that has passed lint.
    parameters : iterable of (str, str)
        Attribute name and class name of each parameter.
    decorators : iterable of DecoratorSpec
        The flow's own.
    """
    structure, order = _structure(graph)
    return {
        "file": graph.source_file.rpartition("/")[2],
        "start_step": graph.start,
        "end_step": graph.end,
        "parameters": [{"name": name, "type": kind} for name, kind in sorted(parameters)],
        "constants": [{"name": name, "type": kind} for name, kind in graph.constants],
        "steps": {name: _step(graph[name], name == graph.start) for name in order},
        "graph_structure": structure,
        "doc": graph.doc,
        "decorators": [_decorator(decorator) for decorator in decorators],
        "extensions": {"installed": {}},
    }


def fingerprint_in(description: Any, step: str) -> str | None:
    """Return the fingerprint of a step in a description that any version has stored; None if it has none."""
    for name in ("steps", step, "node_info", _FINGERPRINT):
        description = description.get(name) if isinstance(description, Mapping) else None
    return description if isinstance(description, str) else None


def _step(node: Node, first: bool) -> dict[str, Any]:
    kinds = {"split": "split-static", "foreach": "split-foreach", "switch": "split-switch"}
    if first:
        kinds["linear"] = "start"
    step: dict[str, Any] = {
        "name": node.name,
        "type": kinds.get(node.kind, node.kind),
        "line": node.line,
        "source_file": node.source_file,
        "doc": node.doc,
        "decorators": [_decorator(decorator) for decorator in node.decorators],
        "next": [target for _, case in node.cases for target in steps_of_case(case)] or list(node.next),
        "node_info": {**_plain(node.node_info), _FINGERPRINT: node.definition.fingerprint},
    }
    if node.kind == "foreach":
        step["foreach_artifact"] = node.foreach
    if node.kind == "switch":
        step["condition"] = node.condition
        step["switch_cases"] = {key: case if isinstance(case, str) else list(case) for key, case in node.cases}
    if node.matching_join:
        step["matching_join"] = node.matching_join
    return step


def _structure(graph: Graph) -> tuple[list[Any], list[str]]:
    """Return the flow as nested lists, and its steps in the order in which these name them.

    A split is followed by the list of its branches and then by its join. The branches of a switch run on to the next
    join or end, common steps repeated; equal ones are one list object, or a row of switches would take exponential
    space. A case that is a list of steps is a branch that begins with the list of its own branches.
    """
    order: dict[str, None] = {}
    known: dict[tuple[Case, str], list[Any]] = {}

    def branch(case: Case, until: str) -> list[Any]:
        if (case, until) not in known:
            known[case, until] = walk(case, until) if isinstance(case, str) else split(case, until)
        return known[case, until]

    def split(steps: tuple[str, ...], until: str) -> list[Any]:
        join = graph.join_of(Way(steps, is_split=True)) or until
        return [[branch(step, join) for step in steps], *branch(join, until)]

    def walk(name: str, until: str) -> list[Any]:
        out: list[Any] = []
        while name != until:
            node = graph[name]
            order.setdefault(name)
            out.append(name)
            if node.kind == "switch":
                out.append([branch(case, until) for _, case in node.cases if case != name])
                break
            if node.matching_join:
                out.append([branch(target, node.matching_join) for target in node.next])
            name = node.matching_join or (node.next[0] if node.next else until)
        return out

    return [*walk(graph.start, graph.end), graph.end], [*order, graph.end]


def _decorator(decorator: DecoratorSpec) -> dict[str, Any]:
    return {
        "name": decorator.name,
        "attributes": _plain(decorator.attributes),
        "statically_defined": decorator.static,
        "inserted_by": list(decorator.inserted_by) or None,
    }


def _plain(value: Any) -> Any:
    """Return `value` in numbers, texts, lists and dictionaries; a class or function by its name, else the text of it.

    None is the text ``'None'``.
    """
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return value.__name__ if isinstance(value, type | FunctionType) else str(value)
