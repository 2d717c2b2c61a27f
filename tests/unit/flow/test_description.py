"""The artifact `_graph_info`. The expected values are those that Metaflow 2.19.39 writes for the same flows."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from metaflow.flow.description import describe, fingerprint_in
from metaflow.flow.graph import DecoratorSpec, read
from support.sketch import flow_class, graph_of


def test_the_whole(tmp_path: Path) -> None:
    flow = flow_class(
        tmp_path,
        """from metaflow import FlowSpec, Parameter, step

class Whole(FlowSpec):
    '''
    The flow's doc.

      Indented.
    '''
    b = Parameter('b-b', default=1)
    a = Parameter('a', default=2)
    size = 3
    names = ['x']

    @step
    def start(self):
        '''First.
        Second.
        '''
        self.next(self.work, foreach='items')

    @step
    def work(self):
        self.next(self.join)

    @step
    def join(self, inputs):
        self.next(self.pick)

    @step
    def pick(self):
        self.next({self.cfg.first: self.left, 2: self.right, 'z': self.left}, condition='kind')

    @step
    def left(self):
        self.next(self.end)

    @step
    def right(self):
        self.next(self.end)

    @step
    def end(self):
        pass
""",
    )
    graph = read(flow)
    plain = {"source_file": graph.source_file, "decorators": [], "doc": ""}
    info = describe(graph, [("b", "Parameter"), ("a", "Parameter")])
    fingerprints = [step.pop("node_info")["source_sha1"] for step in info["steps"].values()]
    assert len(set(fingerprints)) == len(fingerprints)
    assert fingerprint_in(describe(graph, []), "work") == fingerprints[1]
    others: list[Any] = [None, {}, {"steps": {"work": {"node_info": {}}}}, "?"]
    assert [fingerprint_in(other, "work") for other in others] == [None] * 4
    assert info == {
        "file": Path(graph.source_file).name,
        "start_step": "start",
        "end_step": "end",
        "parameters": [{"name": "a", "type": "Parameter"}, {"name": "b", "type": "Parameter"}],
        "constants": [{"name": "names", "type": "list"}, {"name": "size", "type": "int"}],
        "steps": {
            "start": plain
            | {
                "name": "start",
                "type": "split-foreach",
                "line": 15,
                "doc": "First.\nSecond.",
                "next": ["work"],
                "foreach_artifact": "items",
                "matching_join": "join",
            },
            "work": plain | {"name": "work", "type": "linear", "line": 22, "next": ["join"]},
            "join": plain | {"name": "join", "type": "join", "line": 26, "next": ["pick"]},
            "pick": plain
            | {
                "name": "pick",
                "type": "split-switch",
                "line": 30,
                "next": ["left", "right", "left"],
                "condition": "kind",
                "switch_cases": {"config:cfg.first": "left", 2: "right", "z": "left"},
            },
            "left": plain | {"name": "left", "type": "linear", "line": 34, "next": ["end"]},
            "right": plain | {"name": "right", "type": "linear", "line": 38, "next": ["end"]},
            "end": plain | {"name": "end", "type": "end", "line": 42, "next": []},
        },
        "graph_structure": ["start", [["work"]], "join", "pick", [["left"], ["right"], ["left"]], "end"],
        "doc": "The flow's doc.\n\n  Indented.",
        "decorators": [],
        "extensions": {"installed": {}},
    }


@pytest.mark.parametrize(
    ("sketch", "structure"),
    [
        ("start > end; end", ["start", "end"]),
        ("alone", ["alone"]),
        ("start > a, b; a > j; b > j; j(inputs) > end; end", ["start", [["a"], ["b"]], "j", "end"]),
        (
            "start > a, b; a > c, d; c > j1; d > j1; j1(inputs) > j2; b > j2; j2(inputs) > end; end",
            ["start", [["a", [["c"], ["d"]], "j1"], ["b"]], "j2", "end"],
        ),
        (
            "start > a * xs; a > b * ys; b > j; j(inputs) > k; k(inputs) > end; end",
            ["start", [["a", [["b"]], "j"]], "k", "end"],
        ),
        ("start > ? v x:a y:b; a > c; b > c; c > end; end", ["start", [["a", "c"], ["b", "c"]], "end"]),
        ("start > ? v x:end y:a; a > end; end", ["start", [[], ["a"]], "end"]),
        ("start > ? v x:a y:a; a > end; end", ["start", [["a"], ["a"]], "end"]),
        ("start > a; a > ? v x:a y:end; end", ["start", "a", [[]], "end"]),
        ("start > a; a > ? v x:a y:b z:end; b > end; end", ["start", "a", [["b"], []], "end"]),
        ("start > a; a > ? v x:a y:b; b > ? v x:b y:end; end", ["start", "a", [["b", [[]]]], "end"]),
        (
            "start > a * xs; a > ? v x:c y:d; c > e; d > e; e > j; j(inputs) > end; end",
            ["start", [["a", [["c", "e"], ["d", "e"]]]], "j", "end"],
        ),
        (
            "start > ? v x:a y:b; a > c * xs; c > j; j(inputs) > m; b > m; m > end; end",
            ["start", [["a", [["c"]], "j", "m"], ["b", "m"]], "end"],
        ),
        (
            "start > ? v x:a y:b; a > c * xs; b > c * ys; c > j; j(inputs) > end; end",
            ["start", [["a", [["c"]], "j"], ["b", [["c"]], "j"]], "end"],
        ),
        (
            "start > ? v x:[a,b] y:[c] z:m; a > j; b > j; c > j; j(inputs) > m; m > end; end",
            ["start", [[[["a"], ["b"]], "j", "m"], [[["c"]], "j", "m"], ["m"]], "end"],
        ),
        (
            "start > ? v x:[a,b] y:[c]; a > end; b > end; c > end; end(inputs)",
            ["start", [[[["a"], ["b"]]], [[["c"]]]], "end"],
        ),
        (
            "start > a, b; a > j; b > j; j(inputs) > c * xs; c > end; end(inputs)",
            ["start", [["a"], ["b"]], "j", [["c"]], "end"],
        ),
    ],
)
def test_structure(tmp_path: Path, sketch: str, structure: list[object]) -> None:
    info = describe(graph_of(tmp_path, sketch))
    assert info["graph_structure"] == structure


def test_a_case_of_several_steps(tmp_path: Path) -> None:
    info = describe(graph_of(tmp_path, "start > ? v x:[a,b] y:[a] z:end; a > j; b > j; j(inputs) > end; end"))
    start = info["steps"]["start"]
    assert (start["type"], start["matching_join"]) == ("split-switch", "j")
    assert start["switch_cases"] == {"x": ["a", "b"], "y": ["a"], "z": "end"}
    assert start["next"] == ["a", "b", "a", "end"]


def test_steps_are_listed_as_the_structure_names_them(tmp_path: Path) -> None:
    sketch = "start > a, b; a > ? v x:c y:d; c > e; d > e; e > j; b > j; j(inputs) > end; end"
    assert list(describe(graph_of(tmp_path, sketch))["steps"]) == ["start", "a", "c", "e", "d", "b", "j", "end"]


def test_types_of_first_and_only_steps(tmp_path: Path) -> None:
    assert describe(graph_of(tmp_path, "start > end; end"))["steps"]["start"]["type"] == "start"
    assert describe(graph_of(tmp_path, "start"))["steps"]["start"]["type"] == "end"
    split = describe(graph_of(tmp_path, "start > a, b; a > j; b > j; j(inputs) > end; end"))
    assert split["steps"]["start"]["type"] == "split-static"


def test_what_a_step_says_of_itself(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, "start > end; end")
    graph.nodes["start"] = graph["start"]._replace(node_info={"owner": "ann", "sizes": (1, None)})
    steps = describe(graph)["steps"]
    assert steps["start"]["node_info"].items() >= {"owner": "ann", "sizes": [1, "None"]}.items()
    assert fingerprint_in(describe(graph), "start") == graph["start"].definition.fingerprint


def test_a_foreach_named_at_run_time(tmp_path: Path) -> None:
    sketch = "start = name = 'xs' / self.next(self.a, foreach=name); a > j; j(inputs) > end; end"
    assert describe(graph_of(tmp_path, sketch))["steps"]["start"]["foreach_artifact"] is None


def test_attributes_of_decorators_are_plain(tmp_path: Path) -> None:
    values = {"n": None, "i": 1, "t": (1, None), "s": {2}, "d": {"k": None, 3: True}, "b": b"x", "f": 1.5, "c": int}
    info = describe(graph_of(tmp_path, "start > end; end"), decorators=[DecoratorSpec("x", values, static=False)])
    assert info["decorators"] == [
        {
            "name": "x",
            "attributes": {
                "n": "None",
                "i": 1,
                "t": [1, "None"],
                "s": [2],
                "d": {"k": "None", 3: True},
                "b": "b'x'",
                "f": 1.5,
                "c": "int",
            },
            "statically_defined": False,
            "inserted_by": None,
        }
    ]


def test_a_row_of_switches_takes_linear_space(tmp_path: Path) -> None:
    steps = "; ".join(f"s{n} > ? v x:a{n} y:b{n}; a{n} > s{n + 1}; b{n} > s{n + 1}" for n in range(40))
    info = describe(graph_of(tmp_path, f"start > s0; {steps}; s40 > end; end"))
    assert len(pickle.dumps(info)) < 100_000
