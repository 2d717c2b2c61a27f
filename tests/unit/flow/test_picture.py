"""The pictures of a graph."""

from __future__ import annotations

from pathlib import Path

from metaflow.flow.picture import dot, show
from support.sketch import graph_of, source

SKETCH = (
    "start > a, b; a > c * xs; c > k; k(inputs) > j; b > ? v x:b y:d; d > j;"
    " j(inputs) > loop; loop > ? more yes:loop no:end; end"
)


def test_tree(tmp_path: Path) -> None:
    text = source(SKETCH).replace("def c(self):\n", 'def c(self):\n        """Work.\n\n        More."""\n')
    text = text.replace("class Sketch(FlowSpec):\n", 'class Sketch(FlowSpec):\n    """About it."""\n')
    text = text.replace("    @step\n    def c", "    @resources(cpu=2)\n    @step\n    def c")
    text = text.replace("import FlowSpec", "import FlowSpec, resources")
    graph = graph_of(tmp_path, text)
    assert show(graph).split("\n") == [
        f"Sketch  {graph.source_file}",
        "About it.",
        "",
        "start             split → a, b",
        "├ a               foreach over xs → c",
        "│ ├ c @resources  → k                                               Work.",
        "│ │",
        "│ │                                                                 More.",
        "│ k               joins a → j",
        "├ b               switch on v: 'x' → b (again), 'y' → d",
        "│ d               → j",
        "j                 joins start → loop",
        "loop              switch on more: 'yes' → loop (again), 'no' → end",
        "end               end",
    ]


def test_long_texts_do_not_widen_the_columns(tmp_path: Path) -> None:
    cases = " ".join(f"case{n}:a" for n in range(12))
    lines = show(graph_of(tmp_path, f"start > ? v {cases}; a > end; end")).split("\n")
    assert lines[-2:] == ["a      → end", "end    end"]


def test_dot(tmp_path: Path) -> None:
    lines = dot(graph_of(tmp_path, SKETCH)).split("\n")
    assert lines[0] == 'digraph "Sketch" {'
    assert lines[-1] == "}"
    assert '  "start" [shape=oval];' in lines
    assert '  "k" [shape=house];' in lines
    assert '  "a" -> "c" [label="foreach xs"];' in lines
    assert '  "loop" -> "loop" [label="more = \'yes\'"];' in lines
    assert '  "start" -> "b";' in lines


def test_lists_and_joins_that_split(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, "start > ? v x:[a,b] y:[a]; a > j; b > j; j(inputs) > w * xs; w > end; end(inputs)")
    assert show(graph).split("\n")[2:] == [
        "start  switch on v: 'x' → [a, b], 'y' → [a]",
        "├ a    → j",
        "├ b    → j",
        "j      joins start, foreach over xs → w",
        "├ w    → end",
        "end    joins j, end",
    ]
    assert [line.strip() for line in dot(graph).split("\n") if "v =" in line] == [
        '"start" -> "a" [label="v = \'x\'"];',
        '"start" -> "b" [label="v = \'x\'"];',
        '"start" -> "a" [label="v = \'y\'"];',
    ]


def test_dot_escapes(tmp_path: Path) -> None:
    sketch = "start = self.next({'a\"b\\\\': self.a, 'c': self.a}, condition='v'); a > end; end"
    assert '[label="v = \'a\\"b\\\\\\\\\'"];' in dot(graph_of(tmp_path, sketch))


def test_faulty_flows_have_pictures(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, "start > nope; a > b; b > a; j(inputs) > a")
    assert "→ nope" in show(graph)
    assert '"start" -> "nope";' in dot(graph)
