"""Which splits are open around each step, over all ways to it.

A way that splits opens a `Frame` around the steps behind it; a join closes the innermost one. Most steps have one
possible frame at each depth. A switch can give them several: two splits, or two branches of a split, that lead to the
same step. Pure; `metaflow.flow.lint_splits` says what must hold, `metaflow.runtime.places` tells the ways apart.

Start reading at `trace`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from metaflow.flow.node import Node, Way

if TYPE_CHECKING:
    from metaflow.flow.graph import Graph


class Frame(NamedTuple):
    """One branch of something that splits.

    Attributes
    ----------
    split : str
        The step that splits.
    way : Way
        The way on which it does.
    branch : str
        The step that the branch begins with.
    """

    split: str
    way: Way
    branch: str


Open = tuple[dict[Frame, str], ...]
"""By depth, the outermost first: each possible frame, and the step before on a way on which it is open."""


class Arrival(NamedTuple):
    """One edge into a step: where it comes from, and what is open on it."""

    parent: str
    open: Open


class Trace(NamedTuple):
    """A step, all edges into it but its own, and what is open around it by all of them together."""

    node: Node
    arrivals: tuple[Arrival, ...]
    open: Open


def trace(graph: Graph) -> Iterator[Trace]:
    """Yield each step after its parents. Where depths differ, which lint refuses, the smallest counts."""
    arrivals: dict[str, list[Arrival]] = {name: [] for name in graph}
    for name, node in graph.nodes.items():
        found = tuple(arrivals[name])
        around = _merged(found)
        yield Trace(node, found, around)
        kept = tuple(dict.fromkeys(level, name) for level in (around[:-1] if node.is_join else around))
        for way in node.ways:
            for target in way.steps:
                if target != name:
                    inner: Open = ({Frame(name, way, target): name},) if way.is_split else ()
                    arrivals[target].append(Arrival(name, (*kept, *inner)))


def _merged(arrivals: Sequence[Arrival]) -> Open:
    levels = zip(*(arrival.open for arrival in arrivals), strict=False)
    return tuple({frame: step for level in reversed(alike) for frame, step in level.items()} for alike in levels)


def in_several_branches(graph: Graph) -> frozenset[str]:
    """Return the steps that tasks of several branches of a static split can come to, each for itself.

    The foreaches around such a task do not tell which branch it is in.
    """
    return frozenset(
        node.name
        for node, _, open in trace(graph)
        for level in (open[:-1] if node.is_join else open)
        if len({frame.branch for frame in level if graph[frame.split].kind != "foreach"}) > 1
    )
