"""The rules of the graph: what is accepted, and for each fault one sentence, the user's line and a hint."""

from __future__ import annotations

from pathlib import Path

import pytest

from metaflow.exception import InvalidFlow
from metaflow.flow import lint, plan
from support.sketch import flow_class, graph_of, source

J = "j(inputs) > end; end"

# Accepted by Metaflow 2.19.39 as well, which runs each of them.
VALID = {
    "linear": "start > a; a > end; end",
    "one step": "only",
    "branches": f"start > a, b; a > j; b > j; {J}",
    "branches of different lengths": f"start > a, b; a > a2; a2 > j; b > j; {J}",
    "nested branches": "start > a, b; a > c, d; c > k; d > k; k(inputs) > j; b > j; " + J,
    "foreach": f"start > a * xs; a > j; {J}",
    "foreach over a name known at run time": f"start = n = 'xs' / self.next(self.a, foreach=n); a > j; {J}",
    "nested foreach": "start > a * xs; a > b * ys; b > k; k(inputs) > j; " + J,
    "foreach in a branch": "start > a, b; a > c * xs; c > k; k(inputs) > j; b > j; " + J,
    "branches in a foreach": "start > a * xs; a > b, c; b > k; c > k; k(inputs) > j; " + J,
    "switch": "start > ? v x:a y:b; a > end; b > end; end",
    "switch that converges": "start > ? v x:a y:b; a > c; b > c; c > end; end",
    "switch to one step": "start > ? v x:a y:a; a > end; end",
    "switch to the end": "start > ? v x:end y:a; a > end; end",
    "nested switches": "start > ? v x:a y:b; a > ? w p:c q:d; b > e; c > e; d > e; e > end; end",
    "switch in a branch": f"start > a, b; a > ? v x:c y:d; c > j; d > j; b > j; {J}",
    "switch in a foreach": f"start > a * xs; a > ? v x:c y:d; c > e; d > e; e > j; {J}",
    "foreach in a case": "start > ? v x:a y:b; a > c * xs; c > j; j(inputs) > m; b > m; m > end; end",
    "split in a case, inside a split": "start > a, b; a > ? v x:c y:d; c > e, f; e > k; f > k; k(inputs) > j;"
    f" d > j; b > j; {J}",
    "splits in both cases": "start > ? v x:a y:b; a > c, d; c > j; d > j; b > e, f; e > k; f > k;"
    " k(inputs) > end; " + J,
    "two foreaches with one body": f"start > ? v x:a y:b; a > c * xs; b > c * ys; c > j; {J}",
    "two splits with one body": f"start > ? v x:a y:b; a > c, d; b > c, d; c > j; d > j; {J}",
    "a case shared by two branches": "start > a, b; a > ? v go:a1 skip:s; b > ? v go:b1 skip:s;"
    f" a1 > j; b1 > j; s > j; {J}",
    "recursion": "start > a; a > ? v x:a y:end; end",
    "recursion with three cases": "start > a; a > ? v x:a y:b z:end; b > end; end",
    "recursion in a branch": f"start > a, b; a > ? v x:a y:c; c > j; b > j; {J}",
    "recursion in a foreach": f"start > a * xs; a > ? v x:a y:b; b > j; {J}",
    "early way out to the same step": "start = if self.x:\n    self.next(self.end)\n    return / self.next(self.end);"
    " end",
    "early way out into one of the cases": "start = if self.x:\n    self.next(self.a)\n    return"
    " / self.next({'x': self.a, 'y': self.end}, condition='v'); a > end; end",
    "early switch between other ways to the same step": "start = if self.x:\n"
    "    self.next({'x': self.a, 'y': self.end}, condition='v')\n    return / self.next(self.a); a > end; end",
    "inputs with a default": "start > a * xs; a > j; j(inputs=None) > end; end",
    "more arguments with defaults": "start > a; a(*args, x=1, **more) > end; end",
    "names of methods of FlowSpec": "start > foreach_stack; foreach_stack > script_name; script_name > end; end",
    "a name ending in an underscore": "start > class_; class_ > end; end",
    "next in a lambda": "start = f = lambda: self.next(self.nope) / self.next(self.end); end",
}

# Refused by Metaflow, and harmless here.
ALSO_VALID = {
    "self by another name": source("start > end; end").replace("self", "this"),
    "positional-only inputs": "start > a * xs; a > j; j(inputs, /) > end; end",
    "keys that are expressions": "start = K = 'k' / self.next({K: self.a, None: self.end, -1: self.a}, condition='v');"
    " a > end; end",
    "cases shared by two branches": f"start > a, b; a > ? v x:c y:d; b > ? v x:c y:d; c > j; d > j; {J}",
    "end as join": "start > a, b; a > end; b > end; end(inputs)",
    "end as join of a foreach": "start > a * xs; a > end; end(inputs)",
    "join that splits": "start > a, b; a > j; b > j; j(inputs) > c, d; c > k; d > k; k(inputs) > end; end",
    "join that switches": "start > a * xs; a > j; j(inputs) > ? v x:c y:end; c > end; end",
    "join that opens a foreach": f"start > b * xs; b > k; k(inputs) > c * ys; c > j; {J}",
    "switch straight to a join": f"start > a * xs; a > ? v x:b y:j; b > j; {J}",
    "recursion until the join": f"start > a * xs; a > ? v x:a y:j; {J}",
    "splits of two cases joined at once": "start > ? v x:a y:b; a > c, d; b > e, f; c > j; d > j; e > j; f > j; " + J,
    "foreaches of two cases joined at once": "start > ? v x:a y:b; a > c * xs; b > d * ys; c > j; d > j; " + J,
    "list": "start > ? v x:[a,b] y:c; a > j; b > j; j(inputs) > m; c > m; m > end; end",
    "list, and a case that goes past its join": f"start > ? v x:[a,b] y:end; a > j; b > j; {J}",
    "list of one": f"start > ? v x:[a,b] y:[a]; a > j; b > j; {J}",
    "tuple": f"start = self.next({{1: (self.a, self.b), 2: self.end}}, condition='v'); a > j; b > j; {J}",
    "lists with one step in common": f"start > ? v x:[a,b] y:[b,c]; a > j; b > j; c > j; {J}",
    "lists with joins of their own": "start > ? v x:[a,b] y:[c,d]; a > j; b > j; c > k; d > k; k(inputs) > end; " + J,
    "list joined by the end": "start > ? v x:[a,b] y:[c]; a > end; b > end; c > end; end(inputs)",
    "list in a branch": "start > a, b; a > ? v x:[c,d] y:e; c > k; d > k; k(inputs) > j; e > j; b > j; " + J,
    "list in a list": "start > ? v x:[a,b] y:[c]; a > ? w p:[e,f] q:g; e > k; f > k; k(inputs) > g; g > j; b > j;"
    f" c > j; {J}",
    "list beside a repetition": f"start > a; a > ? v again:a go:[b,c] no:end; b > j; c > j; {J}",
    "foreach in a branch of a list": f"start > ? v x:[a,b] y:end; a > c * xs; c > k; k(inputs) > j; b > j; {J}",
    "list in a foreach": f"start > a * xs; a > ? v x:[b,c] y:d; b > k; c > k; k(inputs) > d; d > j; {J}",
    "a row of steps that join and split": "start > a, b; a > j; b > j; j(inputs) > ? v x:[c,d] y:[e]; c > k; d > k;"
    " e > k; k(inputs) > f * xs; f > end; end(inputs)",
}


@pytest.mark.parametrize("sketch", [*VALID.values(), *ALSO_VALID.values()], ids=[*VALID, *ALSO_VALID])
def test_accepted(tmp_path: Path, sketch: str) -> None:
    lint.check_graph(graph_of(tmp_path, sketch))


# sketch, line of the offence, part of the sentence, part of the hint
FAULTY = {
    "no start": ("a > end; end", 3, "'Sketch' has no step 'start'", "def start(self)"),
    "no end": ("start > a; a > start", 3, "'Sketch' has no step 'end'", "def end(self)"),
    "reserved name": ("start > input; input > end; end", 9, "No step can be called 'input'", "rename"),
    "upper case": ("start > Load; Load > end; end", 9, "'Load' has a name", "lower-case"),
    "leading underscore": ("start > _a; _a > end; end", 9, "'_a' has a name", "lower-case"),
    "not ASCII": ("start > \u00e9t\u00e9; \u00e9t\u00e9 > end; end", 9, "has a name that", "lower-case"),
    "no self": ("start > end; end", 5, "'start' takes no argument 'self'", "functools.wraps"),
    "async": ("start > end; end", 5, "'start' is async", "plain `def start(self)`"),
    "generator": ("start = yield 1 / self.next(self.end); end", 5, "'start' contains yield", "plain `def start"),
    "keyword-only argument": ("start > a; a(*, x) > end; end", 9, "'a' needs an argument 'x'", "plain `def a(self)`"),
    "too many arguments": ("start > a; a(x, y) > end; end", 9, "'a' takes 3 arguments", "self and inputs"),
    "start as join": ("start(inputs) > end; end", 5, "'start' takes inputs, but the first", "nothing to join"),
    "no transition": ("start > a; a; end", 9, "'a' does not say which step comes next", "self.next(self.end)"),
    "transition in a helper": ("start = self.leave(); end", 5, "'start' does not say which", "self.next(self.<step>)"),
    "transition in an inner function": (
        "start = def f():\n    self.next(self.end) / f(); end",
        5,
        "does not say",
        "end it",
    ),
    "transition not last": ("start = self.next(self.end) / x = 1; end", 6, "not the last statement", "at its end"),
    "transition returned": ("start = return self.next(self.end); end", 6, "not the last statement", "behind return"),
    "transition in one branch of an if": (
        "start = if self.x:\n    self.next(self.end); end",
        7,
        "not the last",
        "under if",
    ),
    "transition in both branches of an if": (
        "start = if self.x:\n    self.next(self.a)\nelse:\n    self.next(self.end); a > end; end",
        9,
        "not the last statement",
        "condition='choice'",
    ),
    "transition in try": ("start = try:\n    self.next(self.end)\nfinally:\n    pass; end", 7, "not the last", "try"),
    "end goes on": ("start > a; a > end; end > a", 14, "The last step 'end' goes on", "remove its self.next()"),
    "unknown form": ("start = self.next('end'); end", 6, "no known form: 'end' is not written as", "the forms are"),
    "switch without cases": ("start = self.next({}, condition='v'); end", 6, "a switch with no case", "the forms are"),
    "transition called twice": (
        "start = self.next(self.a) / self.next(self.a); a > end; end",
        6,
        "calls self.next() twice, in the lines 6 and 7",
        "in one call",
    ),
    "transition elsewhere on an early way out": (
        "start = if self.x:\n    self.next(self.end)\n    return / self.next(self.a); a > end; end",
        7,
        "goes elsewhere in line 7 than at its end in line 9",
        "condition='choice'",
    ),
    "foreach on an early way out only": (
        "start = if self.x:\n    self.next(self.a, foreach='xs')\n    return / self.next(self.a); a > end; end",
        7,
        "goes elsewhere in line 7",
        "one transition",
    ),
    "gang": ("start = self.next(self.a, num_parallel=2); a > j; " + J, 6, "not available in this version", "foreach"),
    "misspelt step": (
        "start > lod; load > end; end",
        6,
        "goes to self.lod, which is not a step",
        "did you mean self.load?",
    ),
    "no such step": ("start > x; end", 6, "goes to self.x, which is not a step", "the steps are 'start', 'end'"),
    "case without a step": ("start > ? v x:end y:x; end", 6, "goes to self.x, which is not", "the steps are"),
    "circle": ("start > a; a > b; b > a; end", 14, "in a circle: a \u2192 b \u2192 a", "only itself"),
    "circle through a switch": (
        "start > a; a > ? v x:b y:end; b > a; end",
        14,
        "in a circle: a \u2192 b \u2192 a",
        "only itself",
    ),
    "circle through a join": (
        "start > s; s > a * xs; a > j; j(inputs) > ? v x:s y:end; end",
        18,
        "in a circle: s \u2192 a \u2192 j \u2192 s",
        "only itself",
    ),
    "back to the start": ("start > a; a > start; end", 10, "in a circle: start \u2192 a \u2192 start", "only itself"),
    "plain repetition": ("start > a; a > a; end", 10, "in a circle: a \u2192 a", "one case of a switch"),
    "start repeats itself": ("start > ? v x:start y:end; end", 6, "The first step 'start' repeats", "before it"),
    "no way out": ("start > ? v x:a y:end; a > ? v x:a y:a; end", 10, "'a' repeats itself for ever", "another case"),
    "unreachable": ("start > end; a > end; end", 9, "No way leads from 'start' to the step 'a'", "self.next(self.a)"),
    "unreachable circle": (
        "start > end; a > b; b > a; end",
        9,
        "No way leads from 'start' to the step 'a'",
        "remove it",
    ),
    "join that repeats itself": (
        "start > a * xs; a > j; j(inputs) > ? v x:j y:end; end",
        14,
        "The join 'j' repeats itself",
        "a step that repeats itself",
    ),
    "repetition in a list": (
        f"start > a; a > ? v x:[a,b] y:end; b > j; {J}",
        10,
        "'a' repeats itself as one step of a list",
        "write self.a as a case of its own",
    ),
    "empty list": (
        "start = self.next({1: [], 2: self.end}, condition='v'); end",
        6,
        "[] in the dictionary is not written as self.<step> or [self.<step>, self.<step>]",
        "the forms are",
    ),
    "list in a list": (
        "start = self.next({1: [[self.end]], 2: self.end}, condition='v'); end",
        6,
        "[[self.end]] in the dictionary is not written",
        "the forms are",
    ),
    "a step twice in a list": (
        "start > ? v x:[a,a] y:end; a > end; end",
        6,
        "[self.a, self.a] in the dictionary names a step twice",
        "the forms are",
    ),
    "a step in a list and alone": (
        f"start > ? v x:[a,b] y:a; a > j; b > j; {J}",
        6,
        "The switch in the step 'start' leads to 'a' as one step of a list, and alone",
        "write [self.a]",
    ),
    "a case that is no list at the join of a list": (
        f"start > ? v x:[a,b] y:c; a > j; b > j; c > j; {J}",
        21,
        "'j' is reached from 'a', inside the switch of 'start', and from 'c', outside of it",
        "write the case as a list of one, [self.c], if 'j' is to take it",
    ),
    "list without join": (
        "start > ? v x:[a,b] y:end; a > end; b > c; c > end; end",
        21,
        "The branches 'a', 'b' of 'start' meet in 'end', which takes no inputs",
        "(self, inputs)",
    ),
    "list of one without join": (
        "start > ? v x:[a] y:[b]; a > end; b > end; end",
        6,
        "The switch in the step 'start' is never joined",
        "before 'end'",
    ),
    "list straight to its join": (
        f"start > ? v x:[a,j] y:end; a > j; {J}",
        6,
        "The switch in the step 'start' leads straight to the join 'j'",
        "between",
    ),
    "a way out early past a list": (
        f"start = if self.x:\n    self.next(self.a)\n    return"
        f" / self.next({{1: [self.a, self.b], 2: self.end}}, condition='v'); a > j; b > j; {J}",
        7,
        "goes elsewhere in line 7",
        "one transition",
    ),
    "foreach and split with one body": (
        f"start > ? v x:a y:[b]; a > b * xs; b > j; {J}",
        13,
        "'b' is inside the foreach of 'a' on one way to it, and inside the split of 'start' on another",
        "a step of its own",
    ),
    "split straight to its join": (
        f"start > a, j; a > j; {J}",
        6,
        "The split in the step 'start' leads straight",
        "between",
    ),
    "foreach straight to its join": (
        f"start > j * xs; {J}",
        6,
        "The foreach in the step 'start' leads",
        "self.next(self.j)",
    ),
    "split without join": (
        "start > a, b; a > end; b > end; end",
        17,
        "'a', 'b' of 'start' meet in 'end'",
        "(self, inputs)",
    ),
    "join without inputs": (
        "start > a, b; a > c; b > c; c > end; end",
        17,
        "The branches 'a', 'b' of 'start' meet in 'c', which takes no inputs",
        "def join(self, inputs)",
    ),
    "foreach without join": (
        "start > a * xs; a > end; end",
        6,
        "foreach in the step 'start' is never joined",
        "before 'end'",
    ),
    "outer foreach without join": (
        "start > a * xs; a > b * ys; b > j; j(inputs) > end; end",
        6,
        "foreach in the step 'start' is never joined",
        "before 'end'",
    ),
    "end inside a split": (
        f"start > a, b; a > ? v x:end y:c; c > j; b > j; {J}",
        25,
        "'end' is reached from 'a', inside the split of 'start', and from 'j', outside",
        "join the branches of 'start'",
    ),
    "join that closes nothing": ("start > j; j(inputs) > end; end", 9, "there is no split before it", "def j(self)"),
    "join after a switch only": (
        "start > ? v x:a y:b; a > j; b > j; " + J,
        17,
        "there is no split before it",
        "def j(self)",
    ),
    "second join of one split": (
        "start > a, b; a > j; b > j; j(inputs) > k; k(inputs) > end; end",
        21,
        "'k' takes inputs, but there is no split",
        "def k(self)",
    ),
    "join without one of the branches": (
        "start > a, b, c; a > j; b > j; j(inputs) > k; c > k; k(inputs) > end; end",
        17,
        "'j' would close the split 'start' without its branch 'c'",
        "all branches of a split",
    ),
    "branch to another join": (
        "start > a, b; a > c, d; c > j1; d > j2; j1(inputs) > j2; b > j2; j2(inputs) > end; end",
        21,
        "'j1' would close the split 'a' without its branch 'd'",
        "inner splits are joined first",
    ),
    "inner and outer split joined at once": (
        "start > a, b; a > c, d; c > j; d > j; b > j; " + J,
        25,
        "'j' is reached from 'c', inside the split of 'a', and from 'b', outside of it",
        "join the branches of 'a' in a step of their own",
    ),
    "foreach and branch joined at once": (
        "start > a, b; a > c * xs; c > j; b > j; " + J,
        21,
        "'j' is reached from 'c', inside the foreach of 'a'",
        "join the branches of 'a'",
    ),
    "branches of two foreaches joined": (
        "start > a, b; a > c * xs; b > d * ys; c > j; d > j; j(inputs) > k; k(inputs) > end; end",
        25,
        "The branches 'a', 'b' of 'start' meet in 'j', which closes other splits",
        "join what is split inside of each branch first",
    ),
    "switch into the middle of a branch": (
        "start > ? v x:s y:m; s > a, b; a > m; m > j; b > j; " + J,
        17,
        "'m' is reached from 'a', inside the split of 's', and from 'start', outside of it",
        "join the branches of 's'",
    ),
}


@pytest.mark.parametrize(("sketch", "line", "sentence", "hint"), FAULTY.values(), ids=list(FAULTY))
def test_refused(
    tmp_path: Path, request: pytest.FixtureRequest, sketch: str, line: int, sentence: str, hint: str
) -> None:
    text = source(sketch)
    if request.node.callspec.id == "no self":
        text = text.replace("def start(self)", "def start()")
    if request.node.callspec.id == "async":
        text = text.replace("def start(self)", "async def start(self)")
    graph = graph_of(tmp_path, text)
    with pytest.raises(InvalidFlow) as caught:
        lint.check_graph(graph)
    error = caught.value
    assert sentence in str(error)
    assert error.hint is not None
    assert hint in error.hint
    assert error.where == f"{graph.source_file}:{line}"
    assert str(error).endswith(".")


@pytest.mark.parametrize(
    ("sketch", "drawing"),
    [
        (
            "start > a * xs; a > b; b > end; end",
            "  start  6\n→ a      9\n→ b      13\n→ end    17",
        ),
        (
            f"start > s; s > ? v x:[a,b] y:c; a > j; b > j; c > j; {J}",
            "  s          10\n→ a          13\n→ j(inputs)  25\n\n  s          10\n→ c          21\n→ j(inputs)  25",
        ),
    ],
)
def test_the_ways_are_drawn(tmp_path: Path, sketch: str, drawing: str) -> None:
    graph = graph_of(tmp_path, sketch)
    with pytest.raises(InvalidFlow) as caught:
        lint.check_graph(graph)
    file = Path(graph.source_file).name
    assert caught.value.drawing.replace(f"{file}:", "") == drawing


def test_a_method_without_step_is_named(tmp_path: Path) -> None:
    text = source("start > load; load > end; end").replace("    @step\n    def load", "    def load")
    with pytest.raises(InvalidFlow, match=r"self\.load, which is not a step") as caught:
        lint.check_graph(graph_of(tmp_path, text))
    assert caught.value.hint == "put @step directly above `def load`"


def test_a_step_overridden_by_a_plain_method(tmp_path: Path) -> None:
    text = source("start > a; a > end; end") + "\nclass Over(Sketch):\n    def a(self):\n        pass\n"
    with pytest.raises(InvalidFlow, match=r"goes to self\.a, which is not a step") as caught:
        lint.check_graph(graph_of(tmp_path, text))
    assert caught.value.hint == "put @step directly above `def a`"


def test_two_first_steps(tmp_path: Path) -> None:
    text = source("start > end; end") + "    start.is_start = True\n\n    @step\n    def begin(self):\n"
    text += "        self.next(self.start)\n    begin.is_start = True\n"
    with pytest.raises(InvalidFlow, match="begins in 'start', 'begin'"):
        lint.check_graph(graph_of(tmp_path, text))


def test_a_flow_without_steps(tmp_path: Path) -> None:
    with pytest.raises(InvalidFlow, match="'Empty' has no step 'start'") as caught:
        lint.check_graph(graph_of(tmp_path, "from metaflow import FlowSpec\nclass Empty(FlowSpec):\n    pass\n"))
    assert caught.value.source_file is not None
    assert caught.value.line_no is None


def test_a_wide_split_is_checked_quickly(tmp_path: Path) -> None:
    branches = [f"b{n}" for n in range(300)]
    sketch = f"start > {', '.join(branches)}; {'; '.join(f'{b} > j' for b in branches)}; {J}"
    lint.check_graph(graph_of(tmp_path, sketch))


def test_assignments_that_fail_if_they_are_reached(tmp_path: Path) -> None:
    text = source("start = if self.go:\n    self.limit = 2 / self.next(self.end); end").replace(
        "(FlowSpec):\n", "(FlowSpec):\n    limit = 1\n"
    )
    planned = plan.read(flow_class(tmp_path, text))
    lint.check(planned)
    (doubt,) = lint.doubts(planned)
    assert "'start' assigns self.limit, which is an attribute of the flow's class" in doubt.message
    certain = text.replace("if self.go:\n            self.limit", "self.limit")
    with pytest.raises(InvalidFlow, match=r"assigns self\.limit"):
        lint.check(plan.read(flow_class(tmp_path, certain)))
