"""The graph of a flow: its steps, where each one goes, and which join closes which split. Read from source, never run.

A `Graph` depends on the class alone and is a plain frozen value: whoever needs it twice keeps it, hands it down or
pickles it. Reading accepts faulty flows, so that `metaflow.flow.lint` can say what is wrong with them; everything else
takes a graph that has passed lint.

The frames around a step (`Node.split_parents`, `Node.split_branches`) are those of the first way to it. Usually there
is one; a switch can lead two splits, or two branches of a split, to the same step: `metaflow.flow.splits` has all.

Start reading at `read`, then `metaflow.flow.node`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from metaflow.exception import InvalidFlow
from metaflow.flow.node import DecoratorSpec, Node, Way
from metaflow.flow.source import Sources, Transition, without_indentation
from metaflow.flow.step import limits, steps_of

__all__ = ["DecoratorSpec", "Graph", "Node", "read"]


class Graph:
    """The steps of a flow by name; iterates over names, each after its parents.

    Attributes
    ----------
    name : str
        The flow's name.
    source_file, line : str, int
        Where the flow's class is; line 0 if it has no steps of its own.
    doc : str
        The class's docstring without indentation.
    nodes : dict of str to Node
        All steps, each after its parents; unreachable ones last.
    starts, ends : tuple of str
        The steps that begin and end the flow: one each, or lint objects.
    constants : tuple of (str, str)
        Plain attributes of the class and the names of their types.
    methods : tuple of str
        Other methods of the flow's classes.
    """

    __slots__ = ("constants", "doc", "ends", "line", "methods", "name", "nodes", "source_file", "starts")

    def __init__(
        self,
        name: str,
        source_file: str,
        line: int,
        doc: str,
        nodes: dict[str, Node],
        starts: tuple[str, ...],
        ends: tuple[str, ...],
        constants: tuple[tuple[str, str], ...] = (),
        methods: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.source_file = source_file
        self.line = line
        self.doc = doc
        self.nodes = nodes
        self.starts = starts
        self.ends = ends
        self.constants = constants
        self.methods = methods

    @property
    def start(self) -> str:
        """Name of the step that every run begins with."""
        return self.starts[0]

    @property
    def end(self) -> str:
        """Name of the step that every run ends with; that of `start` in a flow of one step."""
        return self.ends[0]

    def with_decorators(self, decorators: Mapping[str, tuple[DecoratorSpec, ...]]) -> Graph:
        """Return the same graph with other decorators of its steps."""
        nodes = {name: node._replace(decorators=decorators.get(name, ())) for name, node in self.nodes.items()}
        where = (self.name, self.source_file, self.line, self.doc)
        return Graph(*where, nodes, self.starts, self.ends, self.constants, self.methods)

    @property
    def joins(self) -> frozenset[str]:
        """The steps that take inputs."""
        return frozenset(name for name, node in self.nodes.items() if node.is_join)

    @property
    def lists_of_one(self) -> frozenset[tuple[str, str]]:
        """Step and successor where a case of a switch is a list of one step: going on to it opens a split."""
        return frozenset(
            (node.name, way.steps[0])
            for node in self.nodes.values()
            for way in node.ways
            if node.kind == "switch" and way.is_split and len(way.steps) == 1
        )

    def closes_foreach(self, name: str) -> bool:
        """Tell whether a step is a join that closes a foreach, and so stands in one loop less than its inputs."""
        node = self.nodes[name]
        return node.is_join and self.nodes[node.split_parents[-1]].kind == "foreach"

    def join_of(self, way: Way) -> str | None:
        """Return the join that closes what a way opens: the first behind it that nothing within has use for."""
        return _join_of(self.nodes, way) if way.is_split else None

    def __getitem__(self, name: str) -> Node:
        return self.nodes[name]

    def __contains__(self, name: object) -> bool:
        return name in self.nodes

    def __iter__(self) -> Iterator[str]:
        return iter(self.nodes)

    def __len__(self) -> int:
        return len(self.nodes)

    def __repr__(self) -> str:
        return f"Graph({self.name}: {', '.join(self.nodes)})"

    def ways(self, begin: str, avoiding: str | None = None) -> dict[str, str]:
        """Return all steps that can follow `begin`, itself included, each with the step before it on a shortest way.

        Parameters
        ----------
        begin : str
            Name of a step.
        avoiding : str, optional
            A step that no way goes through.
        """
        came = {begin: begin}
        queue = [begin]
        for name in queue:
            for target in self.nodes[name].next:
                if target in self.nodes and target not in came and target != avoiding:
                    came[target] = name
                    queue.append(target)
        return came

    def error(self, msg: str, hint: str) -> InvalidFlow:
        """Return an error that points to the flow's class."""
        return InvalidFlow(msg, self.line or None, self.source_file, hint=hint)


def read(flow_class: type, decorators: Mapping[str, tuple[DecoratorSpec, ...]] = MappingProxyType({})) -> Graph:
    """Read the graph of a flow from the source of its steps.

    Parameters
    ----------
    flow_class : type
        The user's class. Its steps are found over all its base classes, in whatever files they are.
    decorators : mapping of str to tuple of DecoratorSpec
        Those of each step, as `metaflow.flow.plan` has them.

    Raises
    ------
    InvalidFlow
        The source of a step is not to be found. Faults of the graph itself are left to `metaflow.flow.lint`.
    """
    steps = steps_of(flow_class)
    sources = Sources()
    definitions = {name: sources.definition(name, member) for name, member in steps.items()}
    transitions = {name: written.last or Transition(0, kind="end") for name, written in definitions.items()}
    edges = {
        name: tuple(target for target in made.targets if target in definitions and target != name)
        for name, made in transitions.items()
    }
    starts, ends = limits(steps)
    order = _topological(edges, (*starts, *definitions))
    parents: dict[str, list[str]] = {name: [] for name in order}
    frames: dict[str, tuple[tuple[str, str], ...]] = {}
    nodes: dict[str, Node] = {}
    for name in order:
        written, made, arrived = definitions[name], transitions[name], frames.get(name, ())
        is_join = written.arguments > 1
        node = nodes[name] = Node(
            name=name,
            kind="join" if is_join and made.kind == "linear" else made.kind,
            next=made.targets,
            parents=(),
            is_join=is_join,
            foreach=made.foreach,
            condition=made.condition,
            cases=made.cases,
            num_parallel=made.num_parallel,
            split_parents=tuple(split for split, _ in arrived),
            split_branches=tuple(branch for _, branch in (arrived[:-1] if is_join else arrived)),
            matching_join=None,
            source_file=written.source_file,
            line=written.line,
            next_line=made.line,
            doc=written.doc,
            decorators=decorators.get(name, ()),
            definition=written,
            node_info=getattr(steps[name], "node_info", {}),
        )
        around = tuple(zip(node.split_parents, node.split_branches, strict=False))
        for way in node.ways:
            for target in way.steps:
                frames.setdefault(target, (*around, (name, target)) if way.is_split else around)
        for target in edges[name]:
            parents[target].append(name)
    for name, node in nodes.items():
        joins = {_join_of(nodes, way) for way in node.ways if way.is_split}
        join = joins.pop() if len(joins) == 1 else None
        nodes[name] = node._replace(parents=tuple(parents[name]), matching_join=join)
    source_file = getattr(sys.modules.get(flow_class.__module__), "__file__", None)
    source_file = source_file or next((written.source_file for written in definitions.values()), "")
    lines = [written.class_line for written in definitions.values() if written.source_file == source_file]
    constants = {name: type(getattr(flow_class, name)).__name__ for name in getattr(flow_class, "_constants", ())}
    return Graph(
        flow_class.__name__,
        source_file,
        lines[-1] if lines else 0,
        without_indentation(flow_class.__doc__),
        nodes,
        starts,
        ends,
        tuple(sorted(constants.items())),
        _methods(flow_class),
    )


def _methods(flow_class: type) -> tuple[str, ...]:
    """Return the methods of the user's classes that are no steps."""
    return tuple(
        name
        for owner in flow_class.__mro__
        if not owner.__module__.startswith(("builtins", "metaflow."))
        for name, member in vars(owner).items()
        if hasattr(member, "__code__") and not hasattr(member, "is_step")
    )


def _topological(edges: Mapping[str, tuple[str, ...]], roots: Iterable[str]) -> list[str]:
    """Return all names so that each follows its parents as far as there are no cycles, branches in order of source."""
    finished: list[str] = []
    seen: set[str] = set()
    groups: list[list[str]] = []
    for root in roots:
        if root in seen:
            continue
        seen.add(root)
        stack = [(root, list(edges[root]))]
        while stack:
            rest = stack[-1][1]
            if not rest:
                finished.append(stack.pop()[0])
            elif (target := rest.pop()) not in seen:  # the last one first: all is reversed in the end
                seen.add(target)
                stack.append((target, list(edges[target])))
        groups.append(finished[::-1])
        finished = []
    return [name for group in groups for name in group]


def _join_of(nodes: Mapping[str, Node], way: Way) -> str | None:
    """Return the first join behind `way` at which as many frames are closed as were opened since."""
    todo = [(target, 0) for target in reversed(way.steps)]
    seen = set(todo)
    while todo:
        name, depth = todo.pop()
        node = nodes.get(name)
        if node is None:
            continue
        if node.is_join:
            if depth == 0:
                return name
            depth -= 1
        for onward in reversed(node.ways):
            for target in reversed(onward.steps):
                state = (target, depth + onward.is_split)
                if target != name and state not in seen and state[1] <= len(nodes):
                    seen.add(state)
                    todo.append(state)
    return None
