"""The rules about splits and joins, for graphs that satisfy the other rules of `metaflow.flow.lint`.

What goes on to several steps at once opens a split: `self.next` with several steps, a foreach, a case of a switch that
is a list. One join closes it, with all of its branches. A case that is one step opens nothing: it may lead to a step
that other ways lead to, or to the join of the split around the switch. So each task belongs to one branch of one split,
and these rules see to it that its tokens come together (`metaflow.runtime.scheduler`).

Each error draws the ways that break the rule. Start reading at `SPLIT_CHECKS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from metaflow.exception import InvalidFlow
from metaflow.flow.graph import Graph
from metaflow.flow.node import Node
from metaflow.flow.splits import Arrival, Frame, Open, trace


def splits_have_branches(graph: Graph) -> None:
    for node in graph.nodes.values():
        for way in node.ways:
            for target in way.steps:
                if way.is_split and graph[target].is_join:
                    raise node.error(
                        f"The {node.kind} in the step '{node.name}' leads straight to the join '{target}'.",
                        f"put a step between them, which goes on with self.next(self.{target})",
                        node.next_line,
                    )


def joins_close_splits(graph: Graph) -> None:
    """Refuse a step in and outside of a split, a join that closes nothing or less than all, an end inside a split."""
    around: dict[str, Open] = {}
    for node, arrivals, open in trace(graph):
        around[node.name] = open
        _check_depths(graph, node, arrivals, around)
        _check_kinds(graph, node, open, around)
        if node.is_join:
            _check_join(graph, node, open, around)
        if node.name == graph.end:
            _check_end(graph, node, open[:-1] if node.is_join else open, around)


def _check_depths(graph: Graph, node: Node, arrivals: Sequence[Arrival], around: Mapping[str, Open]) -> None:
    if not arrivals:
        return
    outside, *others = sorted(arrivals, key=lambda arrival: len(arrival.open))
    depth = len(outside.open)
    for inside in others:
        if len(inside.open) == depth:
            continue
        frame = next(iter(inside.open[depth]))
        split = graph[frame.split]
        if outside.parent == inside.parent:
            raise node.error(
                f"The switch in the step '{split.name}' leads to '{node.name}' as one step of a list, and alone.",
                f"a list is a split, even a list of one: write [self.{node.name}] if a join follows in both cases",
                split.next_line,
            )
        other = [*_after(split.name, _way_from(graph, graph.start, outside.parent)), node.name]
        chosen = other[1] if other[0] == split.name and split.kind == "switch" and node.is_join else None
        raise drawn(
            graph,
            node.error(
                f"The step '{node.name}' is reached from '{inside.parent}', inside the {split.kind} of "
                f"'{split.name}', and from '{outside.parent}', outside of it.",
                f"write the case as a list of one, [self.{chosen}], if '{node.name}' is to take it as well"
                if chosen
                else f"join the branches of '{split.name}' in a step of their own first",
            ),
            [[*_way_back(inside.parent, depth, frame, around), node.name], other],
        )


def _check_kinds(graph: Graph, node: Node, open: Open, around: Mapping[str, Open]) -> None:
    """Refuse a step that one switch has led to a foreach for and another to a split, as the loops differ there."""
    for depth, level in enumerate(open):
        loops = {graph[frame.split].kind == "foreach": frame for frame in level}
        if len(loops) == 2:
            foreach, split = loops[True], loops[False]
            raise drawn(
                graph,
                node.error(
                    f"The step '{node.name}' is inside the foreach of '{foreach.split}' on one way to it, "
                    f"and inside the split of '{split.split}' on another.",
                    "join each of them in a step of its own",
                ),
                [_way_back(node.name, depth, frame, around) for frame in (foreach, split)],
            )


def _check_join(graph: Graph, node: Node, open: Open, around: Mapping[str, Open]) -> None:
    """Refuse a join behind no split, and one that some branch of its split never comes to."""
    if not open:
        raise drawn(
            graph,
            node.error(
                f"The step '{node.name}' takes inputs, but there is no split before it that it could close.",
                f"write `def {node.name}(self)`",
            ),
            [_way_from(graph, graph.start, node.name)],
        )
    for frame in open[-1]:
        missing = [branch for branch in frame.way.steps if node.name not in graph.ways(branch)]
        if missing:
            raise drawn(
                graph,
                node.error(
                    f"The join '{node.name}' would close the split '{frame.split}' without its branch "
                    f"{quoted(missing)}.",
                    "all branches of a split lead to its one join; inner splits are joined first",
                ),
                [
                    _way_back(node.name, len(open) - 1, frame, around),
                    [
                        frame.split,
                        *_way_from(graph, missing[0], graph.join_of(frame.way._replace(steps=(missing[0],)))),
                    ],
                ],
            )


def _check_end(graph: Graph, node: Node, open: Open, around: Mapping[str, Open]) -> None:
    if open:
        frame = next(iter(open[-1]))
        split = graph[frame.split]
        raise drawn(
            graph,
            split.error(
                f"The {split.kind} in the step '{split.name}' is never joined: the flow ends inside it.",
                f"add a step `def join(self, inputs)` before '{node.name}'",
                split.next_line,
            ),
            [_way_back(node.name, len(open) - 1, frame, around)],
        )


def branches_meet_in_joins(graph: Graph) -> None:
    """Refuse a step without inputs that two branches of a split are both bound to come to.

    With a switch on the way of one of them they may share it: each task that comes to it stays in its own branch.
    """
    for split, bound, step in _meetings(graph):
        if not graph[step].is_join:
            raise _met(graph, split, bound, step, "takes no inputs")


def branches_meet_in_their_join(graph: Graph) -> None:
    for split, bound, step in _meetings(graph):
        raise _met(graph, split, bound, step, "closes other splits")


def _meetings(graph: Graph) -> Iterator[tuple[str, list[str], str]]:
    """Yield each split, branches of it, and the first step, not their join, that these are all bound to come to."""
    for split in graph.nodes.values():
        for way in split.ways:
            if len(way.steps) < 2:
                continue
            join = graph.join_of(way)
            inside = {branch: graph.ways(branch, avoiding=join) for branch in way.steps}
            for name in graph:
                sharing = [branch for branch in way.steps if name in inside[branch]]
                if len(sharing) < 2:
                    continue
                bound = [
                    branch for branch in sharing if branch == name or join not in graph.ways(branch, avoiding=name)
                ]
                if len(bound) > 1:
                    yield split.name, bound, name
                    break


def _met(graph: Graph, split: str, bound: Sequence[str], step: str, why: str) -> InvalidFlow:
    error = graph[step].error(
        f"The branches {quoted(bound)} of '{split}' meet in '{step}', which {why}.",
        f"join them in a step `def join(self, inputs)` that goes on to '{step}'"
        if not graph[step].is_join
        else f"join what is split inside of each branch first, then the branches of '{split}'",
    )
    return drawn(graph, error, [[split, *_way_from(graph, branch, step)] for branch in bound[:2]])


def _way_back(step: str, depth: int, frame: Frame, around: Mapping[str, Open]) -> list[str]:
    """Return the steps from the split of a frame to `step`, on a way on which the frame is open."""
    steps = [step]
    while steps[-1] != frame.split:
        steps.append(around[steps[-1]][depth][frame])
    return steps[::-1]


def _way_from(graph: Graph, begin: str, end: str | None) -> list[str]:
    """Return the steps on a shortest way from one step to another; to the end of the flow if there is no other."""
    came = graph.ways(begin)
    steps = [end if end in came else graph.end]
    while steps[-1] != begin:
        steps.append(came[steps[-1]])
    return steps[::-1]


def _after(step: str, way: list[str]) -> list[str]:
    """Return what of a way is left from a step on; all of it if it does not lead there."""
    return way[way.index(step) :] if step in way else way


def drawn(graph: Graph, error: InvalidFlow, ways: Sequence[Sequence[str]]) -> InvalidFlow:
    """Return an error with a drawing of ways through the flow: a line for each step, with its file and line."""
    width = max(len(_signature(graph[name])) for way in ways for name in way)
    error.drawing = "\n\n".join(
        "\n".join(
            f"{'→ ' if number else '  '}{_signature(node).ljust(width)}  {node.source_file.rpartition('/')[2]}"
            f":{node.line if number else node.next_line or node.line}"
            for number, node in enumerate(map(graph.__getitem__, way))
        )
        for way in ways
    )
    return error


def _signature(node: Node) -> str:
    return f"{node.name}(inputs)" if node.is_join else node.name


def quoted(names: Iterable[str]) -> str:
    """Return names for a sentence."""
    return ", ".join(f"'{name}'" for name in names)


SPLIT_CHECKS: tuple[Callable[[Graph], None], ...] = (
    splits_have_branches,
    branches_meet_in_joins,
    joins_close_splits,
    branches_meet_in_their_join,
)
