"""A flow of a notebook becomes a file that stands alone, made of what it uses and of nothing else."""

from __future__ import annotations

import itertools
import linecache
import sys
import textwrap
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from metaflow import FlowSpec
from metaflow.exception import NBRunnerInitializationError
from metaflow.runner.cells import file_of

Notebook = Callable[..., type[FlowSpec]]

FLOW = """
from metaflow import FlowSpec, step


class Noted(FlowSpec):
    @step
    def start(self):
        self.value = {}
        self.next(self.end)

    @step
    def end(self):
        pass
"""


@pytest.fixture
def notebook() -> Iterator[Notebook]:
    """Execute cells as IPython does, and return the class `Noted`."""
    module, numbers = types.ModuleType("a_notebook"), itertools.count()
    module.In = [""]  # type: ignore[attr-defined]
    sys.modules["a_notebook"] = module

    def execute(*cells: str) -> Any:
        for cell in map(textwrap.dedent, cells):
            name = f"<cell {next(numbers)}>"
            linecache.cache[name] = (len(cell), None, cell.splitlines(keepends=True), name)
            module.In.append(cell)
            if not cell.startswith("%"):
                exec(compile(cell, name, "exec"), module.__dict__)
        return module.Noted

    yield execute
    del sys.modules["a_notebook"]


def value_of(source: str, expression: str) -> Any:
    """Return what an expression is worth where the file has been executed."""
    names: dict[str, Any] = {"__name__": "the_file"}
    sys.modules["the_file"] = module = types.ModuleType("the_file")
    try:
        module.__dict__.update(names)
        exec(compile(source, "<file>", "exec"), module.__dict__)
        return eval(expression, module.__dict__)
    finally:
        del sys.modules["the_file"]


@pytest.mark.parametrize(
    ("cells", "expression", "value"),
    [
        (["import math"], "math.floor(2.5)", 2),
        (["import math as m, os"], "m.floor(2.5)", 2),
        (["import xml.dom.minidom"], "xml.dom.minidom.Node.TEXT_NODE", 3),
        (["from math import *"], "floor(2.5)", 2),
        (["from math import pi as circle"], "circle > 3", True),
        (["K = 3", "def f(x):\n    local = x * K\n    return local", "local = object()"], "f(2)", 6),
        (["def even(n): return n == 0 or odd(n - 1)", "def odd(n): return n != 0 and even(n - 1)"], "odd(3)", True),
        (["def f(): return 1\ng = f"], "g()", 1),
        (["f = lambda x: x + 1"], "f(1)", 2),
        (["import functools", "@functools.lru_cache\ndef f(x):\n    return x"], "f(7)", 7),
        (["def twice(f):\n    def g(x): return f(f(x))\n    return g", "@twice\ndef f(x): return x * 3"], "f(1)", 9),
        (["K = 1", "def f(): return K", "K = 2"], "f()", 2),
        (["def f(): return 1", "def f(): return 2"], "f()", 2),
        (["class A:\n    x = 1", "class B(A):\n    def y(self): return self.x"], "B().y()", 1),
        (["from dataclasses import dataclass", "@dataclass\nclass P:\n    x: int", "p = [P(4)]"], "p[0].x", 4),
        (["import re\nword = re.compile('a+')"], "word.findall('aab')", ["aa"]),
        (["%matplotlib inline", "d = {'a': [1, (2, None)]}"], "d['a'][1]", (2, None)),
        (["from __future__ import annotations", "def f(x: Undefined): return x"], "f(3)", 3),
    ],
)
def test_what_the_flow_uses_goes_along(notebook: Notebook, cells: list[str], expression: str, value: object) -> None:
    source = file_of(notebook(*cells, FLOW.format(expression), "unused = open  # no part of it"))
    assert value_of(source, expression) == value
    assert source.endswith('if __name__ == "__main__":\n    Noted()\n')
    assert "unused" not in source


def test_base_classes_and_parameters(notebook: Notebook) -> None:
    flow = notebook(
        "from metaflow import FlowSpec, Parameter, step\nSTART = 5",
        "class Base(FlowSpec):\n    alpha = Parameter('alpha', default=START)\n",
        FLOW.format("self.alpha").replace("(FlowSpec)", "(Base)"),
    )
    assert value_of(file_of(flow), "Noted.alpha.default") == 5


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        (
            "import threading\nlock = threading.Lock()",
            "The flow Noted uses 'lock', a lock of the notebook: it cannot go",
        ),
        ("lock = 'x' * 2_000_000", "'lock', a str of the notebook that is too large"),
        ("def made():\n    def inner(): pass\n    return inner\nlock = made()", "'lock', a function of the notebook"),
    ],
)
def test_what_cannot_go_along_is_named(notebook: Notebook, cell: str, said: str) -> None:
    flow = notebook(cell, FLOW.format("lock"))
    with pytest.raises(NBRunnerInitializationError, match=said):
        file_of(flow)


@pytest.mark.parametrize("flow", [FlowSpec, int, "Noted", None])
def test_what_is_no_flow(flow: object) -> None:
    with pytest.raises(NBRunnerInitializationError, match="NBRunner takes the class of a flow"):
        file_of(flow)
