"""The rules about splits and joins, for graphs that satisfy the other rules of `metaflow.flow.lint`.

A split or foreach opens a frame, and one join closes it with all of its branches. A switch opens none, so it may lead
branches to a common step and choose between splits; each task that runs still belongs to one branch of one split, and
these rules see to it that its tokens come together (`metaflow.runtime.scheduler`).

Start reading at `SPLIT_CHECKS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from metaflow.flow.graph import Graph
from metaflow.flow.node import Node

Frames = tuple[tuple[str, str], ...]


def joins_do_not_split(graph: Graph) -> None:
    for node in graph.nodes.values():
        if node.is_join and node.kind != "join":
            raise node.error(
                f"The step '{node.name}' takes inputs and is a {node.kind} as well.",
                "let the join go on to one step, and split or switch there",
                node.next_line,
            )


def joins_come_after_a_step(graph: Graph) -> None:
    for node in graph.nodes.values():
        for target in node.next:
            if graph[target].is_join and node.kind not in ("linear", "join"):
                raise node.error(
                    f"The {node.kind} in the step '{node.name}' leads straight to the join '{target}'.",
                    f"put a step between them, which goes on with self.next(self.{target})",
                    node.next_line,
                )


def branches_meet_in_joins(graph: Graph) -> None:
    """Refuse a step without inputs that two branches of a split are both bound to come to.

    With a switch on the way of one of them they may share it: each task that comes to it stays in its own branch.
    """
    for split in graph.nodes.values():
        if split.kind != "split":
            continue
        join = split.matching_join
        inside = {branch: graph.ways(branch, avoiding=join) for branch in split.next}
        for name in graph:
            sharing = [branch for branch in split.next if name in inside[branch]]
            if len(sharing) < 2:
                continue
            bound = [branch for branch in sharing if branch == name or join not in graph.ways(branch, avoiding=name)]
            if len(bound) > 1 and graph[name].is_join:
                break  # `splits_are_joined` knows more
            if len(bound) > 1:
                raise graph[name].error(
                    f"The branches {quoted(bound)} of '{split.name}' meet in '{name}', which takes no inputs.",
                    f"join them in a step `def join(self, inputs)` that goes on to '{name}'",
                )


def splits_are_joined(graph: Graph) -> None:
    """Refuse a join that does not close one whole split, a step in and outside of a split, and an end inside of one."""
    for node in graph.nodes.values():
        if node.name == graph.start:
            continue
        arrivals = {parent: graph[parent].frames_to(node.name) for parent in node.parents}
        outside, *others = sorted(arrivals, key=lambda parent: len(arrivals[parent]))
        frames = arrivals[outside]
        for inside in others:
            if len(arrivals[inside]) > len(frames):
                split = graph[arrivals[inside][len(frames)][0]]
                raise node.error(
                    f"The step '{node.name}' is reached from '{inside}', inside the {split.kind} of '{split.name}', "
                    f"and from '{outside}', outside of it.",
                    f"join the branches of '{split.name}' in a step of their own first",
                )
        _check_same_splits(graph, node, arrivals)
        if node.is_join:
            _check_whole_split(graph, node, frames)
        elif node.name == graph.end and frames:
            split = graph[frames[-1][0]]
            raise split.error(
                f"The {split.kind} in the step '{split.name}' is never joined: the flow ends inside it.",
                f"add a step `def join(self, inputs)` before '{node.name}'",
                split.next_line,
            )


def _check_same_splits(graph: Graph, node: Node, arrivals: dict[str, Frames]) -> None:
    """Refuse a step behind different splits, unless they go to the same steps: then a switch has chosen one of them."""
    first, *others = arrivals
    for other in others:
        for depth, (one, two) in enumerate(zip(arrivals[first], arrivals[other], strict=True), 1):
            same = one[1] == two[1]
            if node.is_join and depth == len(arrivals[first]):
                same = set(graph[one[0]].next) == set(graph[two[0]].next)
            if one[0] != two[0] and not same:
                raise node.error(
                    f"The step '{node.name}' is reached from '{first}', in a branch of '{one[0]}', "
                    f"and from '{other}', in a branch of '{two[0]}'.",
                    "the branches of each split lead to a join of their own",
                )


def _check_whole_split(graph: Graph, node: Node, frames: Frames) -> None:
    """Refuse a join behind no split, and one that some branch of its split never comes to."""
    if not frames:
        raise node.error(
            f"The step '{node.name}' takes inputs, but there is no split before it that it could close.",
            f"write `def {node.name}(self)`",
        )
    split = graph[frames[-1][0]]
    missing = [branch for branch in split.next if node.name not in graph.ways(branch)]
    if missing:
        raise node.error(
            f"The join '{node.name}' would close the split '{split.name}' without its branch {quoted(missing)}.",
            "all branches of a split lead to its one join; inner splits are joined first",
        )


def quoted(names: Iterable[str]) -> str:
    """Return names for a sentence."""
    return ", ".join(f"'{name}'" for name in names)


SPLIT_CHECKS: tuple[Callable[[Graph], None], ...] = (
    joins_do_not_split,
    joins_come_after_a_step,
    branches_meet_in_joins,
    splits_are_joined,
)
