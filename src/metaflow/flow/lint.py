"""The rules of a flow's graph: a list of small functions, each of which raises for the first offence it finds.

Each says one sentence that points to the user's line, and a hint. They run in the order of `CHECKS`, so that a later
one may rely on what the earlier ones ask for. Whatever Metaflow accepts and can run is accepted; what it accepts and
what then breaks in every run is refused here.

Start reading at `CHECKS`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from itertools import combinations
from typing import Never

from metaflow.exception import InvalidFlow
from metaflow.flow.graph import Graph, Node
from metaflow.flow.source import Transition

RESERVED = ("cmd", "index", "input", "name", "next")
"""Attributes of every flow: no step may take them."""

_SHAPES = (
    "the forms are self.next(self.a), self.next(self.a, self.b), self.next(self.a, foreach='items') "
    "and self.next({'x': self.a, 'y': self.b}, condition='choice')"
)
_SWITCH = "to choose between steps at run time use self.next({'x': self.a, 'y': self.b}, condition='choice')"

Frames = tuple[tuple[str, str], ...]


def check(graph: Graph) -> None:
    """Run all checks.

    Raises
    ------
    InvalidFlow
        The first offence, with file, line and hint.
    """
    for rule in CHECKS:
        rule(graph)


def has_one_start_and_one_end(graph: Graph) -> None:
    for name, steps, place in (("start", graph.starts, "begins"), ("end", graph.ends, "ends")):
        if not steps:
            _refuse_flow(graph, f"has no step '{name}'", f"every run {place} there: add `@step def {name}(self)`")
        if len(steps) > 1:
            _refuse_flow(graph, f"{place} in {_names(steps)}, but can do so in one step only", "choose one of them")


def names_are_usable(graph: Graph) -> None:
    for node in graph.nodes.values():
        if node.name in RESERVED:
            _refuse(node, f"No step can be called '{node.name}': flows have an attribute of this name.", "rename it")
        if not re.fullmatch("[a-z][a-z0-9_]*", node.name):
            _refuse(
                node,
                f"The name of the step '{node.name}' has characters that paths and other systems do not take.",
                "begin with a lower-case letter and go on with lower-case letters, digits and underscores",
            )


def steps_are_plain_methods(graph: Graph) -> None:
    for node in graph.nodes.values():
        if node.definition.fault:
            _refuse(node, f"The step '{node.name}' {node.definition.fault}.", "write it as a plain `def name(self)`")
        if node.definition.arguments == 0:
            _refuse(
                node,
                f"The step '{node.name}' takes no argument 'self'.",
                "write `def name(self)`; a decorator of your own around a step needs functools.wraps",
            )
        if node.definition.arguments > 2:
            _refuse(
                node,
                f"The step '{node.name}' takes {node.definition.arguments} arguments, more than a step is called with.",
                "a step takes self, a join takes self and inputs",
            )


def start_and_end_take_no_inputs(graph: Graph) -> None:
    for name, which, hint in (
        (graph.start, "first", "there is nothing to join yet"),
        (graph.end, "last", "join the branches in a step before it"),
    ):
        if graph[name].is_join:
            _refuse(graph[name], f"The step '{name}' takes inputs, but the {which} step is no join.", hint)


def steps_go_somewhere(graph: Graph) -> None:
    for node in graph.nodes.values():
        if node.definition.last or node.name == graph.end:
            continue
        if node.definition.others:
            _refuse(
                node,
                f"self.next() is not the last statement of the step '{node.name}'.",
                f"put one self.next() at its end, not behind return and not under if, try or for; {_SWITCH}",
                node.definition.others[-1].line,
            )
        _refuse(
            node,
            f"The step '{node.name}' does not say which step comes next.",
            f"end it with self.next(self.<step>), such as self.next(self.{graph.end})",
        )


def end_goes_nowhere(graph: Graph) -> None:
    node = graph[graph.end]
    for transition in (node.definition.last, *node.definition.others):
        if transition and len(graph) > 1:
            _refuse(
                node,
                f"The last step '{node.name}' goes on to another step.",
                f"remove its self.next(), or give the last step of the flow the name '{node.name}'",
                transition.line,
            )


def transitions_have_a_known_form(graph: Graph) -> None:
    for node in graph.nodes.values():
        fault = node.definition.last and node.definition.last.fault
        if fault:
            _refuse(node, f"self.next() in the step '{node.name}' has no known form: {fault}.", _SHAPES, node.next_line)


def transitions_happen_once(graph: Graph) -> None:
    for node in graph.nodes.values():
        last = node.definition.last
        for other in node.definition.others:
            if last and other.alone:
                _refuse(
                    node,
                    f"The step '{node.name}' calls self.next() twice, in the lines {other.line} and {last.line}.",
                    f"name all successors in one call; {_SWITCH}",
                    other.line,
                )
            if last and not _may_replace(other, last):
                _refuse(
                    node,
                    f"The step '{node.name}' goes elsewhere in line {other.line} than at its end in line {last.line}.",
                    f"a step has one transition; {_SWITCH}",
                    other.line,
                )


def gangs_are_not_available(graph: Graph) -> None:
    for node in graph.nodes.values():
        if node.num_parallel:
            _refuse(
                node,
                f"The step '{node.name}' uses num_parallel, which is not available in this version of Millrace.",
                "use foreach for tasks that do not need to reach one another",
                node.next_line,
            )


def targets_are_steps(graph: Graph) -> None:
    for node in graph.nodes.values():
        for target in node.next:
            if target in graph:
                continue
            near = difflib.get_close_matches(target, graph, n=1)
            hint = f"the steps are {_names(graph)}"
            if target in graph.methods:
                hint = f"put @step directly above `def {target}`"
            elif near:
                hint = f"did you mean self.{near[0]}?"
            _refuse(node, f"The step '{node.name}' goes to self.{target}, which is not a step.", hint, node.next_line)


def steps_do_not_run_in_circles(graph: Graph) -> None:
    position = {name: number for number, name in enumerate(graph)}
    for node in map(graph.nodes.__getitem__, _ways(graph, graph.start)):
        for target in node.next:
            if target == node.name and node.kind == "switch":
                if target == graph.start:
                    _refuse(node, f"The first step '{target}' repeats itself.", "put a step before it", node.next_line)
                if len(node.next) == 1:
                    _refuse(node, f"The step '{target}' repeats itself for ever.", "add a case that goes on", node.next_line)
            elif position[target] <= position[node.name]:
                ways, circle = _ways(graph, target), [target, node.name]
                while circle[-1] != target:
                    circle.append(ways[circle[-1]])
                _refuse(
                    node,
                    f"The steps run in a circle: {' → '.join(reversed(circle))}.",
                    "a step can repeat only itself, as one case of a switch",
                    node.next_line,
                )


def steps_are_reached(graph: Graph) -> None:
    reached = _ways(graph, graph.start)
    for node in graph.nodes.values():
        if node.name not in reached:
            _refuse(
                node,
                f"No way leads from '{graph.start}' to the step '{node.name}'.",
                f"name it in the self.next() of another step, as self.next(self.{node.name}), or remove it",
            )


def joins_do_not_split(graph: Graph) -> None:
    for node in graph.nodes.values():
        if node.is_join and node.kind not in ("join", "end"):
            _refuse(
                node,
                f"The step '{node.name}' takes inputs and is a {node.kind} as well.",
                "let the join go on to one step, and split or switch there",
                node.next_line,
            )


def splits_and_switches_do_not_lead_straight_to_a_join(graph: Graph) -> None:
    for node in graph.nodes.values():
        for target in node.next:
            if graph[target].is_join and node.kind not in ("linear", "join"):
                _refuse(
                    node,
                    f"The {node.kind} in the step '{node.name}' leads straight to the join '{target}'.",
                    f"put a step between them, which goes on with self.next(self.{target})",
                    node.next_line,
                )


def branches_meet_in_joins(graph: Graph) -> None:
    """Refuse a step without inputs that two branches of a split are both bound to come to.

    With a switch on the way of one of them it may be shared: each task that comes to it stays in its own branch.
    """
    for split in graph.nodes.values():
        if split.kind != "split":
            continue
        inside = {branch: _ways(graph, branch, avoiding=split.matching_join) for branch in split.next}
        for pair in combinations(split.next, 2):
            shared = [name for name in graph if all(name in inside[branch] for branch in pair)]
            for name in shared:
                if graph[name].is_join:
                    break
                if all(_must_pass(graph, branch, name, split.matching_join) for branch in pair):
                    _refuse(
                        graph[name],
                        f"The branches {_names(pair)} of '{split.name}' meet in '{name}', which takes no inputs.",
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
                _refuse(
                    node,
                    f"The step '{node.name}' is reached from '{inside}', inside the {split.kind} of '{split.name}', "
                    f"and from '{outside}', outside of it.",
                    f"join the branches of '{split.name}' in a step of their own first",
                )
        _check_same_splits(graph, node, arrivals)
        if node.is_join:
            _check_join(graph, node, frames)
        elif node.name == graph.end and frames:
            split = graph[frames[-1][0]]
            _refuse(
                split,
                f"The {split.kind} in the step '{split.name}' is never joined: the flow ends inside it.",
                f"add a step `def join(self, inputs)` before '{node.name}'",
                split.next_line,
            )


def _check_same_splits(graph: Graph, node: Node, arrivals: dict[str, Frames]) -> None:
    """Refuse a step behind different splits, unless they go to the same steps: then a switch has chosen one of them."""
    first, *others = arrivals
    for other in others:
        for (split, branch), (other_split, other_branch) in zip(arrivals[first], arrivals[other], strict=True):
            closed = node.is_join and split == arrivals[first][-1][0]
            same = set(graph[split].next) == set(graph[other_split].next) if closed else branch == other_branch
            if split != other_split and not same:
                _refuse(
                    node,
                    f"The step '{node.name}' is reached from '{first}', a branch of '{split}', "
                    f"and from '{other}', a branch of '{other_split}'.",
                    "the branches of each split lead to a join of their own",
                )


def _check_join(graph: Graph, node: Node, frames: Frames) -> None:
    if not frames:
        _refuse(
            node,
            f"The step '{node.name}' takes inputs, but there is no split before it that it could close.",
            f"write `def {node.name}(self)`",
        )
    split = graph[frames[-1][0]]
    missing = [branch for branch in split.next if node.name not in _ways(graph, branch)]
    if missing:
        _refuse(
            node,
            f"The join '{node.name}' would close the split '{split.name}' without its branch {_names(missing)}.",
            "all branches of a split lead to its one join; inner splits are joined first",
        )


def _must_pass(graph: Graph, branch: str, name: str, join: str | None) -> bool:
    """Tell whether every way from the first step of a branch to the join goes through the step `name`."""
    return branch == name or join not in _ways(graph, branch, avoiding=name)


def _may_replace(other: Transition, last: Transition) -> bool:
    """Tell whether a transition on an early way out can agree with the one at the end, which makes the graph."""
    if other.fault:
        return False
    kinds = {other.kind, last.kind}
    if "switch" in kinds and kinds <= {"linear", "switch"}:
        return not set(other.targets).isdisjoint(last.targets)
    return other.kind == last.kind and other.targets == last.targets


def _ways(graph: Graph, begin: str, avoiding: str | None = None) -> dict[str, str]:
    """Return all steps that can follow `begin`, with the step before each on a shortest way."""
    came = {begin: begin}
    queue = [begin]
    for name in queue:
        for target in graph[name].next:
            if target not in came and target != avoiding:
                came[target] = name
                queue.append(target)
    return came


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _refuse_flow(graph: Graph, what: str, hint: str) -> Never:
    raise InvalidFlow(f"The flow '{graph.name}' {what}.", graph.line or None, graph.source_file, hint=hint)


def _refuse(node: Node, msg: str, hint: str, line: int = 0) -> Never:
    raise InvalidFlow(msg, line or node.line, node.source_file, hint=hint)


CHECKS: tuple[Callable[[Graph], None], ...] = (
    has_one_start_and_one_end,
    names_are_usable,
    steps_are_plain_methods,
    start_and_end_take_no_inputs,
    steps_go_somewhere,
    end_goes_nowhere,
    transitions_have_a_known_form,
    transitions_happen_once,
    gangs_are_not_available,
    targets_are_steps,
    steps_do_not_run_in_circles,
    steps_are_reached,
    joins_do_not_split,
    splits_and_switches_do_not_lead_straight_to_a_join,
    branches_meet_in_joins,
    splits_are_joined,
)
