"""The graph of a flow: its steps, where each one goes, and which join closes which split. Read from source, never run.

A `Graph` depends on the class alone and is a plain frozen value: whoever needs it twice keeps it, hands it down or
pickles it. Reading accepts faulty flows, so that `metaflow.flow.lint` can say what is wrong with them; everything else
takes a graph that has passed lint.

Splits and foreaches open a frame and the join that matches closes it; a switch opens none, since one of its cases runs.
The frames around a step are `Node.split_parents`, with the branch that the step is in beside each
(`Node.split_branches`). Two splits may share a body when a switch chooses between them; the body then shows the first.

Start reading at `Node`, then `read`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from metaflow.flow.source import Definition, Sources, Transition, without_indentation
from metaflow.flow.step import steps_of


class DecoratorSpec(NamedTuple):
    """A decorator as the graph shows it.

    Attributes
    ----------
    name : str
        Without ``@``.
    attributes : dict
        All of them, defaults included.
    static : bool
        Whether it stands in the flow's source; False if it came from the command line.
    """

    name: str
    attributes: dict[str, Any]
    static: bool = True


class Node(NamedTuple):
    """One step.

    Attributes
    ----------
    name : str
        The step's name.
    kind : str
        What its transition is: "linear", "split", "foreach", "switch", "join" (takes inputs and goes to one step), or
        "end" (has none).
    next : tuple of str
        Successors in order of the source, each once.
    parents : tuple of str
        Steps that lead here, itself excluded, in order of the graph.
    is_join : bool
        Whether it takes inputs.
    foreach : str or None
        Artifact that a foreach runs over; None also if its name is known at run time only.
    condition : str or None
        Artifact that a switch looks at.
    cases : tuple of (object, str)
        Of a switch: key (a literal, else its source text) and step.
    num_parallel : bool
        Whether its successor is a gang.
    split_parents : tuple of str
        Splits and foreaches around the step, outermost first; of a join, the last one is the one that it closes.
    split_branches : tuple of str
        For each of these the successor of the split through which the step is reached; a join lacks the last.
    matching_join : str or None
        Of a split or foreach, the join that closes it.
    source_file, line : str, int
        Where its ``def`` is.
    next_line : int
        Line of its `self.next`; 0 if it has none.
    doc : str
        Its docstring without indentation.
    decorators : tuple of DecoratorSpec
        Innermost first, those of the command line last.
    definition : Definition
        All that its source says, faults included.
    """

    name: str
    kind: str
    next: tuple[str, ...]
    parents: tuple[str, ...]
    is_join: bool
    foreach: str | None
    condition: str | None
    cases: tuple[tuple[Any, str], ...]
    num_parallel: bool
    split_parents: tuple[str, ...]
    split_branches: tuple[str, ...]
    matching_join: str | None
    source_file: str
    line: int
    next_line: int
    doc: str
    decorators: tuple[DecoratorSpec, ...]
    definition: Definition

    @property
    def opens_frame(self) -> bool:
        """Whether it is a split or a foreach."""
        return self.kind in ("split", "foreach")

    def frames_to(self, successor: str) -> tuple[tuple[str, str], ...]:
        """Return (split, branch) of each frame, outermost first, in which `successor` is reached from here."""
        around = tuple(zip(self.split_parents, self.split_branches, strict=False))
        return (*around, (self.name, successor)) if self.opens_frame else around


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

    def show(self) -> str:
        """Return the flow as a tree of text."""
        from metaflow.flow.picture import show

        return show(self)

    def dot(self) -> str:
        """Return the flow in the language of Graphviz."""
        from metaflow.flow.picture import dot

        return dot(self)

    def info(
        self, parameters: Iterable[tuple[str, str]] = (), decorators: Iterable[DecoratorSpec] = ()
    ) -> dict[str, Any]:
        """Return the artifact ``_graph_info`` in the form that Metaflow 2.19 writes.

        Parameters
        ----------
        parameters : iterable of (str, str)
            Attribute name and class name of each parameter.
        decorators : iterable of DecoratorSpec
            The flow's own.
        """
        from metaflow.flow.description import describe

        return describe(self, parameters, decorators)


def read(flow_class: type) -> Graph:
    """Read the graph of a flow from the source of its steps.

    Parameters
    ----------
    flow_class : type
        The user's class. Its steps are found over all its base classes, in whatever files they are.

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
    starts, ends = _limits(steps)
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
            decorators=_decorators(steps[name]),
            definition=written,
        )
        for target in edges[name]:
            frames.setdefault(target, node.frames_to(target))
            parents[target].append(name)
    for name, node in nodes.items():
        join = _matching_join(nodes, edges, name) if node.opens_frame else None
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


def _limits(steps: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the steps that may begin and end the flow: those called so or marked so, else the only one there is."""
    if len(steps) == 1:
        return tuple(steps), tuple(steps)
    starts = tuple(name for name, step in steps.items() if name == "start" or getattr(step, "is_start", False))
    ends = tuple(name for name, step in steps.items() if name == "end" or getattr(step, "is_end", False))
    return starts, ends


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


def _matching_join(nodes: Mapping[str, Node], edges: Mapping[str, tuple[str, ...]], split: str) -> str | None:
    """Return the first join behind `split` at which as many frames are closed as were opened since."""
    todo = [(target, 0) for target in reversed(edges[split])]
    seen = set(todo)
    while todo:
        name, depth = todo.pop()
        if nodes[name].is_join:
            if depth == 0:
                return name
            depth -= 1
        depth += nodes[name].opens_frame
        for target in reversed(edges[name]):
            if (target, depth) not in seen and depth <= len(nodes):
                seen.add((target, depth))
                todo.append((target, depth))
    return None


def _decorators(step: Any) -> tuple[DecoratorSpec, ...]:
    attached = getattr(step, "decorators", ())
    specs = [DecoratorSpec(each.name, dict(each.attributes), each.origin is not None) for each in attached]
    return (*(spec for spec in reversed(specs) if spec.static), *(spec for spec in specs if not spec.static))
