"""The rules of a flow, most of them about its graph: small functions, each of which raises for its first offence.

Each says one sentence that points to the user's line, and a hint. They run in the order of `CHECKS`, so that a later
one may rely on what the earlier ones ask for. Whatever Metaflow accepts and can run is accepted; what it accepts and
what then fails in every run is refused here.

Start reading at `CHECKS`. The rules about splits and joins are in `metaflow.flow.lint_splits`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from metaflow.exception import InvalidFlow
from metaflow.flow.graph import Graph
from metaflow.flow.lint_splits import SPLIT_CHECKS, quoted
from metaflow.flow.parameters import check_parameters
from metaflow.flow.source import Transition

if TYPE_CHECKING:
    from metaflow.flow.plan import FlowPlan, StepPlan

RESERVED = ("cmd", "index", "input", "name", "next")
"""Attributes of every flow: no step may take them."""

_FORMS = (
    "the forms are self.next(self.a), self.next(self.a, self.b), self.next(self.a, foreach='items') "
    "and self.next({'x': self.a, 'y': [self.b, self.c]}, condition='choice')"
)
_SWITCH = "to choose between steps at run time use self.next({'x': self.a, 'y': self.b}, condition='choice')"


def check(plan: FlowPlan) -> None:
    """Run all checks of a flow: its parameters, its graph, its decorators.

    Raises
    ------
    InvalidFlow
        The first offence, with file, line and hint.
    """
    check_parameters(plan.parameters)
    check_graph(plan.graph)
    for error in _wrong_assignments(plan, certain=True):
        raise error
    for step in plan.steps.values():
        _decorators_fit(plan, step)
    for decorator in plan.decorators:
        decorator.check_flow(plan.graph)


def doubts(plan: FlowPlan) -> Iterator[InvalidFlow]:
    """Yield an error for each line that fails if it is reached, which the source does not tell."""
    return _wrong_assignments(plan, certain=False)


def _wrong_assignments(plan: FlowPlan, *, certain: bool) -> Iterator[InvalidFlow]:
    """Yield an error for each assignment to what a step cannot set."""
    for node in plan.graph.nodes.values():
        for name, line, is_certain in node.definition.assignments:
            if is_certain != certain:
                continue
            if name in plan.parameters:
                what = "a parameter, the same in all steps"
            elif name in plan.steps:
                what = "a step of the flow"
            elif name in plan.flow_class._constants:
                what = "an attribute of the flow's class, the same in all steps"
            else:
                continue
            yield node.error(
                f"The step '{node.name}' assigns self.{name}, which is {what}.",
                "assign to an artifact of another name",
                line,
            )


def check_graph(graph: Graph) -> None:
    """Run the checks of the graph alone."""
    for rule in CHECKS:
        rule(graph)


def _decorators_fit(plan: FlowPlan, step: StepPlan) -> None:
    for decorator in step.decorators:
        decorator.check_step(plan.graph[step.name])
        artifact = decorator.assigns()
        if artifact is not None and hasattr(plan.flow_class, artifact):
            raise decorator.error(
                f"@{decorator.name} of the step '{step.name}' would assign self.{artifact}, and the flow has a step, "
                "parameter or attribute of this name.",
                hint="choose another name for the artifact",
            )


def has_one_start_and_one_end(graph: Graph) -> None:
    for name, steps, verb in (("start", graph.starts, "begins"), ("end", graph.ends, "ends")):
        if not steps:
            raise graph.error(
                f"The flow '{graph.name}' has no step '{name}'.",
                f"every run {verb} there: add `@step` and `def {name}(self)`",
            )
        if len(steps) > 1:
            raise graph.error(
                f"The flow '{graph.name}' {verb} in {quoted(steps)}, but can do so in one step only.",
                "choose one of them",
            )


def names_are_usable(graph: Graph) -> None:
    for node in graph.nodes.values():
        if node.name in RESERVED:
            raise node.error(
                f"No step can be called '{node.name}': all flows have an attribute of this name.", "rename it"
            )
        if not re.fullmatch("[a-z][a-z0-9_]*", node.name):
            raise node.error(
                f"The step '{node.name}' has a name that not all paths and systems can take.",
                "begin with a lower-case letter and go on with lower-case letters, digits and underscores",
            )


def steps_are_plain_methods(graph: Graph) -> None:
    for node in graph.nodes.values():
        written = node.definition
        if written.fault:
            raise node.error(f"The step '{node.name}' {written.fault}.", f"write it as a plain `def {node.name}(self)`")
        if written.arguments == 0:
            raise node.error(
                f"The step '{node.name}' takes no argument 'self'.",
                f"write `def {node.name}(self)`; a decorator of your own under @step needs functools.wraps",
            )
        if written.arguments > 2:
            raise node.error(
                f"The step '{node.name}' takes {written.arguments} arguments, more than a step is called with.",
                "a step takes self; a join takes self and inputs",
            )


def start_takes_no_inputs(graph: Graph) -> None:
    if graph[graph.start].is_join:
        raise graph[graph.start].error(
            f"The step '{graph.start}' takes inputs, but the first step cannot be a join.",
            "there is nothing to join yet",
        )


def steps_go_somewhere(graph: Graph) -> None:
    for node in graph.nodes.values():
        if node.definition.last or node.name == graph.end:
            continue
        if node.definition.others:
            raise node.error(
                f"self.next() is not the last statement of the step '{node.name}'.",
                f"put one self.next() at its end, not behind return and not under if, try or for; {_SWITCH}",
                node.definition.others[-1].line,
            )
        raise node.error(
            f"The step '{node.name}' does not say which step comes next.",
            f"end it with self.next(self.<step>), such as self.next(self.{graph.end})",
        )


def end_goes_nowhere(graph: Graph) -> None:
    node = graph[graph.end]
    for transition in (node.definition.last, *node.definition.others):
        if transition and len(graph) > 1:
            raise node.error(
                f"The last step '{node.name}' goes on to another step.",
                f"remove its self.next(), or give the step that ends the flow the name '{node.name}'",
                transition.line,
            )


def transitions_have_a_known_form(graph: Graph) -> None:
    for node in graph.nodes.values():
        fault = node.definition.last and node.definition.last.fault
        if fault:
            raise node.error(f"self.next() in '{node.name}' has no known form: {fault}.", _FORMS, node.next_line)


def transitions_happen_once(graph: Graph) -> None:
    for node in graph.nodes.values():
        last = node.definition.last
        for other in node.definition.others:
            if last and other.alone:
                raise node.error(
                    f"The step '{node.name}' calls self.next() twice, in the lines {other.line} and {last.line}.",
                    f"name all successors in one call; {_SWITCH}",
                    other.line,
                )
            if last and not _may_replace(other, last):
                raise node.error(
                    f"The step '{node.name}' goes elsewhere in line {other.line} than at its end in line {last.line}.",
                    f"a step has one transition; {_SWITCH}",
                    other.line,
                )


def _may_replace(other: Transition, last: Transition) -> bool:
    """Tell whether a transition on an early way out can agree with the one at the end, which makes the graph."""
    if other.fault:
        return False
    kinds = {other.kind, last.kind}
    if any(isinstance(case, tuple) for _, case in (*other.cases, *last.cases)):
        return {case for _, case in other.cases} <= {case for _, case in last.cases} and other.kind == last.kind
    if "switch" in kinds and kinds <= {"linear", "switch"}:
        return not set(other.targets).isdisjoint(last.targets)
    return other.kind == last.kind and other.targets == last.targets


def gangs_are_not_available(graph: Graph) -> None:
    for node in graph.nodes.values():
        if node.num_parallel:
            raise node.error(
                f"The step '{node.name}' uses num_parallel, which is not available in this version of Millrace.",
                "use foreach for tasks that do not need to reach one another",
                node.next_line,
            )


def targets_are_steps(graph: Graph) -> None:
    for node in graph.nodes.values():
        for target in node.next:
            if target not in graph:
                raise node.error(
                    f"The step '{node.name}' goes to self.{target}, which is not a step.",
                    _advice(graph, target),
                    node.next_line,
                )


def _advice(graph: Graph, target: str) -> str:
    import difflib

    if target in graph.methods:
        return f"put @step directly above `def {target}`"
    near = difflib.get_close_matches(target, graph, n=1)
    return f"did you mean self.{near[0]}?" if near else f"the steps are {quoted(graph)}"


def steps_do_not_run_in_circles(graph: Graph) -> None:
    position = {name: number for number, name in enumerate(graph)}
    for name in graph.ways(graph.start):
        node = graph[name]
        for target in node.next:
            if target == name and node.kind == "switch":
                if node.is_join:
                    raise node.error(
                        f"The join '{name}' repeats itself.",
                        "let it go on to a step that repeats itself",
                        node.next_line,
                    )
                if any(way.is_split and name in way.steps for way in node.ways):
                    raise node.error(
                        f"The step '{name}' repeats itself as one step of a list.",
                        f"a step repeats itself alone: write self.{name} as a case of its own",
                        node.next_line,
                    )
                if name == graph.start:
                    raise node.error(f"The first step '{name}' repeats itself.", "put a step before it", node.next_line)
                if len(node.next) == 1:
                    raise node.error(f"The step '{name}' repeats itself for ever.", "add another case", node.next_line)
            elif position[target] <= position[name]:
                ways, circle = graph.ways(target), [target, name]
                while circle[-1] != target:
                    circle.append(ways[circle[-1]])
                raise node.error(
                    f"The steps run in a circle: {' → '.join(reversed(circle))}.",
                    "a step can repeat only itself, as one case of a switch",
                    node.next_line,
                )


def steps_are_reached(graph: Graph) -> None:
    reached = graph.ways(graph.start)
    for node in graph.nodes.values():
        if node.name not in reached:
            raise node.error(
                f"No way leads from '{graph.start}' to the step '{node.name}'.",
                f"name it in the self.next() of another step, as self.next(self.{node.name}), or remove it",
            )


CHECKS: tuple[Callable[[Graph], None], ...] = (
    has_one_start_and_one_end,
    names_are_usable,
    steps_are_plain_methods,
    start_takes_no_inputs,
    steps_go_somewhere,
    end_goes_nowhere,
    transitions_have_a_known_form,
    transitions_happen_once,
    gangs_are_not_available,
    targets_are_steps,
    steps_do_not_run_in_circles,
    steps_are_reached,
    *SPLIT_CHECKS,
)
