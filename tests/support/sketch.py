"""Flows drawn in a line of text, for tests of graphs.

Steps are parted by ``;``: ``start > a, b`` splits, ``a > w * xs`` is a foreach over ``self.xs``, ``a > ? v x:b y:c`` a
switch on ``self.v``, ``x:[b,c]`` a case of several steps, ``j(inputs) > end`` a join, and ``a`` alone goes nowhere.
After ``=`` stands the body itself, its statements parted by ``/``.
"""

from __future__ import annotations

import importlib.util
import itertools
import re
import sys
from pathlib import Path

from metaflow import FlowSpec
from metaflow.flow import plan
from metaflow.flow.graph import Graph

_number = itertools.count()


def source(sketch: str) -> str:
    """Return the flow file; in it `start`'s decorator stands in line 4."""
    steps = []
    for part in sketch.split(";"):
        match = re.match(r"(\w+)\s*(?:\(([^)]*)\))?\s*([>=]|$)\s*(.*)$", part.strip(), re.DOTALL)
        assert match, part
        name, arguments, sign, rest = match.groups()
        signature = ", ".join(["self", *filter(None, [arguments])])
        lines = [line for statement in _body(sign, rest) for line in statement.split("\n")]
        steps.append(f"    @step\n    def {name}({signature}):\n" + "".join(f"        {line}\n" for line in lines))
    return "from metaflow import FlowSpec, step\n\nclass Sketch(FlowSpec):\n" + "\n".join(steps)


def _body(sign: str, text: str) -> list[str]:
    if sign == ">":
        return [_transition(text)]
    return text.split(" / ") if sign == "=" else ["pass"]


def _transition(text: str) -> str:
    if text.startswith("?"):
        condition, *cases = text[1:].split()
        parted = (case.split(":") for case in cases)
        pairs = ", ".join(f"{key!r}: " + re.sub(r"\w+", r"self.\g<0>", steps) for key, steps in parted)
        return f"self.next({{{pairs}}}, condition={condition!r})"
    if "*" in text:
        target, artifact = (word.strip() for word in text.split("*"))
        return f"self.next(self.{target}, foreach={artifact!r})"
    return f"self.next({', '.join('self.' + target.strip() for target in text.split(','))})"


def flow_class(directory: Path, text: str) -> type[FlowSpec]:
    """Write a flow file, import it and return the last flow class that it defines."""
    name = f"sketch_{next(_number)}"
    path = directory / f"{name}.py"
    path.write_text(text)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    found: type[FlowSpec] = [
        member
        for member in vars(module).values()
        if isinstance(member, type) and issubclass(member, FlowSpec) and member.__module__ == name
    ][-1]
    return found


def graph_of(directory: Path, sketch: str) -> Graph:
    """Return the graph of a sketch, or of a whole flow file if it has several lines that begin one."""
    text = sketch if sketch.startswith("from ") else source(sketch)
    return plan.read(flow_class(directory, text)).graph


def traced(sketch: str) -> str:
    """Return a flow file whose steps keep `trail`, the names of the steps on the way; a join begins with its inputs'.

    A step takes what it switches on, and the widths of its foreaches, from the variable CHOICES: a JSON object, by
    artifact; a list has the values for the step's first task, its second, …, as a recursion makes them. The step named
    by FAIL raises.
    """
    text = re.sub(
        r"    def (\w+)\(self(, inputs)?\):\n",
        lambda found: f"{found[0]}        self.arrive({found[1]!r}{found[2] or ''})\n",
        source(sketch),
    )
    return f"import json, os\n{text}{_ARRIVE}"


_ARRIVE = """
    def arrive(self, name, inputs=None):
        before = getattr(self, "trail", []) if inputs is None else [[one.trail for one in inputs]]
        self.trail = [*before, name]
        for artifact, value in json.loads(os.environ.get("CHOICES", "{}")).items():
            if isinstance(value, list):
                value = value[min(self.trail.count(name), len(value)) - 1]
            setattr(self, artifact, range(value) if artifact.endswith("s") else value)
        if name == os.environ.get("FAIL"):
            raise ValueError(f"{name} fails")


if __name__ == "__main__":
    Sketch()
"""
