"""What is read of one step: place, arguments, doc, and every form of self.next."""

from __future__ import annotations

import ast
import linecache
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest

from metaflow import FlowSpec
from metaflow.exception import InvalidFlow
from metaflow.flow.graph import read
from metaflow.flow.source import Transition, transition, without_indentation
from support.sketch import flow_class, graph_of


def written(arguments: str, me: str = "self") -> Transition:
    call = ast.parse(f"{me}.next({arguments})").body[0]
    assert isinstance(call, ast.Expr)
    assert isinstance(call.value, ast.Call)
    return transition(call.value, me)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("self.a", {"targets": ("a",)}),
        ("self.a, self.b", {"kind": "split", "targets": ("a", "b")}),
        ("self.a, foreach='xs'", {"kind": "foreach", "targets": ("a",), "foreach": "xs"}),
        ("self.a, foreach='x' 's'", {"kind": "foreach", "targets": ("a",), "foreach": "xs"}),
        ("self.a, foreach=name", {"kind": "foreach", "targets": ("a",)}),
        ("self.a, foreach=self.name", {"kind": "foreach", "targets": ("a",)}),
        ("self.a, foreach=f'x{n}'", {"kind": "foreach", "targets": ("a",)}),
        ("self.a, num_parallel=4", {"kind": "foreach", "targets": ("a",), "num_parallel": True}),
        (
            "{'x': self.a, 'y': self.b, 'z': self.a}, condition='v'",
            {
                "kind": "switch",
                "targets": ("a", "b"),
                "condition": "v",
                "cases": (("x", "a"), ("y", "b"), ("z", "a")),
            },
        ),
    ],
)
def test_forms(arguments: str, expected: dict[str, Any]) -> None:
    assert written(arguments) == Transition(1, **expected)


@pytest.mark.parametrize(
    ("key", "read_as"),
    [
        ("1", 1),
        ("True", True),
        ("None", None),
        ("-1", -1),
        ("2.5", 2.5),
        ("b'x'", b"x"),
        ("(1, 'x')", (1, "x")),
        ('"it\'s"', "it's"),
        ("...", ...),
        ("KEY", "KEY"),
        ("colour.RED", "colour.RED"),
        ("self.cfg.first", "config:cfg.first"),
        ("self.cfg['first']", "self.cfg['first']"),
        ("len('abc')", "len('abc')"),
        ("f'x{n}'", "f'x{n}'"),
    ],
)
def test_keys_of_a_switch(key: str, read_as: object) -> None:
    (first, _) = written(f"{{{key}: self.a, 'other': self.b}}, condition='v'").cases
    assert first == (read_as, "a")


def test_a_later_literal_key_wins_and_a_name_never_meets_a_literal() -> None:
    made = written("{'x': self.a, 'x': self.b, x: self.c}, condition='v'")
    assert made.cases == (("x", "b"), ("x", "c"))
    assert made.targets == ("b", "c")


@pytest.mark.parametrize(
    ("arguments", "phrase"),
    [
        ("", "names no step"),
        ("'a'", "'a' is not written as self.<step>"),
        ("a", "a is not written as"),
        ("self.a()", "self.a() is not written as"),
        ("self.a.b", "self.a.b is not written as"),
        ("Flow.a", "Flow.a is not written as"),
        ("*steps", "*steps is not written as"),
        ("getattr(self, 'a')", "getattr(self, 'a') is not written as"),
        ("self.a, self.a", "self.a appears twice"),
        ("self.a, bar='x'", "bar is no argument"),
        ("self.a, **options", "** is no argument"),
        ("self.a, self.b, foreach='xs'", "foreach= leads to one step, not to 2"),
        ("self.a, self.b, num_parallel=2", "num_parallel= leads to one step, not to 2"),
        ("self.a, foreach='xs', num_parallel=2", "foreach and num_parallel exclude each other"),
        ("{'x': self.a, 'y': self.b}, condition='v', foreach='xs'", "condition and foreach exclude each other"),
        ("self.a, foreach=''", "foreach='' is not the name"),
        ("self.a, foreach=3", "foreach=3 is not the name"),
        ("self.a, foreach=None", "foreach=None is not the name"),
        ("self.a, foreach=['xs']", "foreach=['xs'] is not the name"),
        ("{'x': self.a, 'y': self.b}", "a dictionary needs condition="),
        ("{'x': self.a, 'y': self.b}, foreach='xs'", "a dictionary needs condition="),
        ("self.a, condition='v'", "needs one dictionary"),
        ("cases, condition='v'", "needs one dictionary"),
        ("{'x': self.a, 'y': self.b}, self.c, condition='v'", "needs one dictionary"),
        ("{k: self.a for k in 'xy'}, condition='v'", "needs one dictionary"),
        ("{'x': self.a, 'y': self.b}, condition=v", "condition=v is not the name"),
        ("{'x': self.a, 'y': self.b}, condition=''", "condition='' is not the name"),
        ("{'x': 'a', 'y': self.b}, condition='v'", "'a' in the dictionary is not written as"),
        ("{'x': self.a, **more}, condition='v'", "more in the dictionary is not written as"),
        ("{}, condition='v'", "a switch with no case decides nothing"),
        ("{'x': self.a}, condition='v'", "a switch with one case decides nothing"),
    ],
)
def test_faults(arguments: str, phrase: str) -> None:
    assert phrase in written(arguments).fault


def test_self_may_have_another_name() -> None:
    assert written("this.a", me="this") == Transition(1, targets=("a",))


def test_last_and_other_transitions(tmp_path: Path) -> None:
    graph = graph_of(
        tmp_path,
        "start = if self.x:\n    self.next(self.a)\n    return"
        " / def later():\n    self.next(self.b) / self.next(self.end); end",
    )
    definition = graph["start"].definition
    assert definition.last == Transition(11, targets=("end",))
    assert definition.others == (Transition(7, targets=("a",), alone=False),)


@pytest.mark.parametrize(
    "body",
    [
        "return self.next(self.end)",
        "try:\n    self.next(self.end)\nexcept ValueError:\n    pass",
        "match self.x:\n    case 1:\n        self.next(self.end)",
        "for x in self.xs:\n    self.next(self.end)",
        "self.next(self.end) / pass",
        "self.next(self.end) / 'text'",
    ],
)
def test_only_the_last_statement_counts(tmp_path: Path, body: str) -> None:
    definition = graph_of(tmp_path, f"start = {body}; end")["start"].definition
    assert definition.last is None
    assert [other.targets for other in definition.others] == [("end",)]


def test_assignments_to_self_and_whether_they_are_certain(tmp_path: Path) -> None:
    body = """
    self.a = self.b = 1
    self.c, (self.d, *self.e), other.f = values
    self.g: int = 2
    self.h: int
    self.i += 1
    self.j[0] = self.k.l = 3
    with thing as self.m:
        self.n = 1
    for self.o in values:
        self.p = 1
    def inner():
        self.q = 1
    if self.a:
        self.r = 1
        return
    self.s = 1
    try:
        self.t = 1
    except AttributeError:
        pass
    self.u = 1
    """
    graph = graph_of(tmp_path, "start > end; end = pass" + body.replace("\n    ", "\n"))
    found = graph["end"].definition.assignments
    assert [each.name for each in found if each.certain] == [*"abcdegimn", "o"]
    assert [each.name for each in found if not each.certain] == [*"prsu"]
    assert found[0].line + 1 == found[2].line


def test_lines_of_decorated_steps(tmp_path: Path) -> None:
    text = """from metaflow import FlowSpec, step
import functools

def twice(function):
    @functools.wraps(function)
    def both(*args, **kwargs):
        function(*args, **kwargs)
    return both

class Flow(FlowSpec):
    @(
        twice
    )
    @step
    def start(
        self,
    ):
        '''First.

            Second.
        '''
        text = '''
not a dedent
'''
        self.next(
            self.end
        )

    @step
    @twice
    def end(self): pass
"""
    graph = graph_of(tmp_path, text)
    start, end = graph["start"], graph["end"]
    assert (start.line, start.next_line, start.doc) == (15, 25, "First.\n\nSecond.")
    assert (end.line, end.next_line, end.doc) == (31, 0, "")
    assert (start.definition.arguments, start.definition.class_line, graph.line) == (1, 10, 10)
    assert start.source_file == graph.source_file == str(tmp_path / Path(graph.source_file).name)


def test_steps_from_another_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ground.py").write_text(
        "# coding: latin-1\nfrom metaflow import FlowSpec, step\n\nclass Ground(FlowSpec):\n"
        "    '''Of the base.'''\n    @step\n    def start(self):\n        'caf\xe9'\n        self.next(self.middle)\n"
        "    @step\n    def middle(self):\n        self.next(self.end)\n",
        encoding="latin-1",
    )
    monkeypatch.syspath_prepend(tmp_path)
    graph = graph_of(
        tmp_path,
        "from metaflow import step\nfrom ground import Ground\n\nclass Top(Ground):\n"
        "    @step\n    def middle(self):\n        'mine'\n        self.next(self.end)\n\n"
        "    @step\n    def end(self):\n        pass\n",
    )
    assert list(graph) == ["start", "middle", "end"]
    assert graph["start"].source_file == str(tmp_path / "ground.py")
    assert graph["start"].doc == "caf\xe9"
    assert (graph["middle"].doc, graph["middle"].source_file) == ("mine", graph.source_file)
    assert (graph.name, graph.doc, graph.line) == ("Top", "", 4)


def test_source_from_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        "class Cell(FlowSpec):\n    @step\n    def start(self):\n        self.next(self.end)\n\n"
        "    @step\n    def end(self):\n        pass\n"
    )
    name = "<cell 1>"
    monkeypatch.setitem(linecache.cache, name, (len(text), None, text.splitlines(keepends=True), name))
    from metaflow import step

    namespace: dict[str, Any] = {"FlowSpec": FlowSpec, "step": step}
    exec(compile(text, name, "exec"), namespace)
    graph = read(namespace["Cell"])
    assert graph["start"].next == ("end",)
    assert graph["start"].source_file == name


def test_no_source() -> None:
    from metaflow import step

    namespace: dict[str, Any] = {"FlowSpec": FlowSpec, "step": step}
    exec("class Ghost(FlowSpec):\n    @step\n    def start(self):\n        pass\n", namespace)
    with pytest.raises(InvalidFlow, match="source of the step 'start' cannot be read from <string>"):
        read(namespace["Ghost"])


def test_file_changed_under_the_flow(tmp_path: Path) -> None:
    flow = flow_class(
        tmp_path,
        "from metaflow import FlowSpec, step\n\nclass Flow(FlowSpec):\n    @step\n    def start(self):\n        pass\n",
    )
    path = Path(flow.start.__code__.co_filename)  # type: ignore[attr-defined]
    path.write_text("# a line more\n" + path.read_text())
    with pytest.raises(InvalidFlow, match="'start' is not the `def`") as caught:
        read(flow)
    assert caught.value.where == f"{path}:4"
    path.write_text("class Flow(:\n")
    with pytest.raises(InvalidFlow, match="cannot be read") as caught:
        read(flow)
    assert caught.value.where == f"{path}:1"


def test_a_lambda_is_no_step(tmp_path: Path) -> None:
    flow = flow_class(
        tmp_path,
        "from metaflow import FlowSpec, step\n\nclass Flow(FlowSpec):\n    start = step(lambda self: None)\n",
    )
    with pytest.raises(InvalidFlow, match="'start' is not the `def`"):
        read(flow)


@pytest.mark.parametrize(
    ("doc", "expected"),
    [
        (None, ""),
        ("One.", "One."),
        ("  One.\n\n    Two.\n      Three.\n    ", "One.\n\nTwo.\n  Three."),
        ("\n    One.\n    ", "One."),
        ("\n\tOne.\n\t\tTwo.", "One.\n        Two."),
    ],
)
def test_docstrings_lose_their_indentation(doc: str | None, expected: str) -> None:
    assert without_indentation(doc) == expected


STEP = """
@step
def start(self):
    \"\"\"Begin.\"\"\"
    self.x = 1  # one
    self.next(self.end)
"""


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("Begin.", "Another doc.", True),
        ("    self.x", "\n    # why\n\n    self.x", True),
        ("@step", "@retry(times=1)\n@step", True),
        ("self.end)\n", "self.end)   \n\n\n", True),
        ("= 1", "= 2", False),
        ("self.x", "if True:\n        self.x", False),
        ("(self):", "(self, *, y=2):", False),
        ("self.next(self.end)", "self.next(self.other)", False),
    ],
)
def test_a_fingerprint_changes_with_the_code_and_not_with_what_is_around_it(
    tmp_path: Path, old: str, new: str, same: bool
) -> None:
    head = "from metaflow import FlowSpec, retry, step\n\nclass Sketch(FlowSpec):\n"
    ends = "@step\ndef end(self):\n    pass\n@step\ndef other(self):\n    self.next(self.end)\n"
    assert old in STEP
    before, after = (
        graph_of(tmp_path, head + indent(text + ends, "    "))["start"].definition.fingerprint
        for text in (STEP, STEP.replace(old, new))
    )
    assert (before == after) == same
