"""Drawings of a graph as text: a tree for the terminal, and Graphviz. Any graph can be drawn, a faulty one too.

Start reading at `show`.
"""

from __future__ import annotations

from collections.abc import Iterable

from metaflow.flow.graph import Graph
from metaflow.flow.node import Case, Node, steps_of_case

_WIDEST_COLUMN = 48  # longer texts push the next column instead of all of them


def show(graph: Graph) -> str:
    """Return the flow as a tree: a line for each step, indented by the splits around it.

    A line has the step's name with its decorators, where it goes, and its doc, which goes on in the lines below. ``├``
    begins a branch of a split, ``│`` goes on with it.

    Examples
    --------
    ::

        start     foreach over items → work      Load the items.
        ├ work    → join
        join      joins start → end
        end       end
    """
    rows = []
    for node in graph.nodes.values():
        depth = len(node.split_branches)
        begins = bool(depth) and node.split_branches[-1] == node.name
        tree = "│ " * (depth - begins) + "├ " * begins
        marks = "".join(f" @{decorator.name}" for decorator in node.decorators)
        first, *more = node.doc.splitlines() or [""]
        rows.append((tree + node.name + marks, _course(node), first))
        rows += [("│ " * depth, "", line) for line in more]
    title = f"{graph.name}  {graph.source_file}"
    doc = [graph.doc] if graph.doc else []
    return "\n".join([title, *doc, "", *_table(rows)])


def _course(node: Node) -> str:
    """Return where a step comes from, if it is a join, and where it goes."""
    targets = ", ".join(node.next)
    if node.kind == "switch":
        cases = (f"{key!r} → {_case(case)}{' (again)' * (case == node.name)}" for key, case in node.cases)
        course = f"switch on {node.condition}: {', '.join(cases)}"
    elif node.kind == "foreach":
        course = f"foreach over {node.foreach or '…'} → {targets}"
    elif node.kind == "split":
        course = f"split → {targets}"
    else:
        course = f"→ {targets}" if targets else "end"
    if node.is_join and node.split_parents:
        return f"joins {node.split_parents[-1]}{' ' if course.startswith('→') else ', '}{course}"
    return course


def _case(case: Case) -> str:
    return case if isinstance(case, str) else f"[{', '.join(case)}]"


def _table(rows: list[tuple[str, str, str]]) -> Iterable[str]:
    widths = [
        max((len(row[column]) for row in rows if len(row[column]) <= _WIDEST_COLUMN), default=0) for column in (0, 1)
    ]
    return ("  ".join((row[0].ljust(widths[0]), row[1].ljust(widths[1]), row[2])).rstrip() for row in rows)


def dot(graph: Graph) -> str:
    """Return the flow in the language of Graphviz: kinds as shapes, cases and foreaches on the edges."""
    lines = [
        f"digraph {_text(graph.name)} {{",
        '  node [shape=box fontname="Helvetica"];',
        '  edge [fontname="Helvetica"];',
    ]
    shapes = {"switch": "diamond", "foreach": "folder", "join": "house", "split": "invhouse", "end": "oval"}
    for node in graph.nodes.values():
        shape = "oval" if node.name in graph.starts else shapes.get(node.kind, "box")
        lines.append(f"  {_text(node.name)} [shape={shape}];")
    for node in graph.nodes.values():
        edges = [(target, f"{node.condition} = {key!r}") for key, case in node.cases for target in steps_of_case(case)]
        if not edges:
            label = f"foreach {node.foreach or '…'}" if node.kind == "foreach" else ""
            edges = [(target, label) for target in node.next]
        for target, label in edges:
            mark = f" [label={_text(label)}]" if label else ""
            lines.append(f"  {_text(node.name)} -> {_text(target)}{mark};")
    return "\n".join([*lines, "}"])


def _text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
