"""One step of a graph, as a frozen value: what it is, where it goes, what is around it. Knows no other steps.

Where it goes are its ways (`Way`): one, but for a switch, which takes one of several. A way that splits opens a frame
around the steps behind it, and a join closes that; a way to one step alone opens none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from metaflow.exception import InvalidFlow

if TYPE_CHECKING:
    from metaflow.flow.source import Definition


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
    inserted_by : tuple of str
        The mutator that has added it, if one has.
    """

    name: str
    attributes: dict[str, Any]
    static: bool = True
    inserted_by: tuple[str, ...] = ()


Case = str | tuple[str, ...]
"""What a key of a switch leads to: one step, or a list of steps, which is a split even if it is a list of one."""


def steps_of_case(case: Case) -> tuple[str, ...]:
    """Return the names that a case leads to."""
    return (case,) if isinstance(case, str) else case


class Way(NamedTuple):
    """Steps that a step goes on to at once.

    Attributes
    ----------
    steps : tuple of str
        Their names, in order of the source.
    is_split : bool
        Whether each begins a branch, which a join ends: of a split, a foreach, a case that is a list.
    """

    steps: tuple[str, ...]
    is_split: bool


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
    cases : tuple of (object, str or tuple of str)
        Of a switch: key (a literal, else its source text), and the step, or the list of steps.
    num_parallel : bool
        Whether its successor is a gang.
    split_parents : tuple of str
        The steps that have opened the frames around it, outermost first; of a join, the last is that which it closes.
    split_branches : tuple of str
        For each of these the successor of the split through which the step is reached; a join lacks the last.
    matching_join : str or None
        The join that closes what this step opens; None if it opens nothing, or has cases with different joins.
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
    node_info : dict of str to object
        What ``@step(node_info=…)`` says.
    """

    name: str
    kind: str
    next: tuple[str, ...]
    parents: tuple[str, ...]
    is_join: bool
    foreach: str | None
    condition: str | None
    cases: tuple[tuple[Any, Case], ...]
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
    node_info: dict[str, Any]

    def error(self, msg: str, hint: str, line: int = 0) -> InvalidFlow:
        """Return an error that points to `line` of this step's file, else to its ``def``."""
        return InvalidFlow(msg, line or self.line, self.source_file, hint=hint)

    @property
    def ways(self) -> tuple[Way, ...]:
        """Where it can go, each way once, in order of the source."""
        if self.kind == "switch":
            cases = dict.fromkeys(case for _, case in self.cases)
            return tuple(Way(steps_of_case(case), is_split=not isinstance(case, str)) for case in cases)
        return (Way(self.next, self.kind in ("split", "foreach")),) if self.next else ()
