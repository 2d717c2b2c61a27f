"""The table of `test_bad_input`: flows and command lines that cannot be, and what has to be said about each.

A line that ends in ``# <-- here`` is the one that the message has to point at.
"""

from __future__ import annotations

import textwrap
from typing import NamedTuple


class Case(NamedTuple):
    """One mistake: the flow, the words after ``python flow.py``, and what the message must contain."""

    name: str
    source: str
    says: tuple[str, ...]
    words: tuple[str, ...] = ("run",)
    hint: bool = True


HERE = "# <-- here"


def _steps(body: str, *, imports: str = "") -> str:
    """Wrap steps into a flow file."""
    lines = ["from metaflow import *", *([imports] if imports else []), "", "class BadFlow(FlowSpec):"]
    lines += [
        textwrap.indent(textwrap.dedent(body).strip("\n"), "    "),
        "",
        'if __name__ == "__main__":',
        "    BadFlow()",
    ]
    return "\n".join(lines) + "\n"


def _simple(*, before: str = "", start: str = "", transition: str = "self.next(self.end)") -> str:
    """Return a flow of start and end, with a mistake in the class or in the first step."""
    body = [
        *textwrap.dedent(before).strip("\n").splitlines(),
        "@step",
        "def start(self):",
        *textwrap.indent(textwrap.dedent(start).strip("\n"), "    ").splitlines(),
        f"    {transition}",
        "@step",
        "def end(self):",
        "    pass",
    ]
    return _steps("\n".join(body))


def _foreach(value: str, transition: str = "self.next(self.work, foreach='items')  # <-- here") -> str:
    return _steps(
        f"""
        @step
        def start(self):
            {value}
            {transition}
        @step
        def work(self):
            self.next(self.join)
        @step
        def join(self, inputs):
            self.next(self.end)
        @step
        def end(self):
            pass
        """
    )


def _switch(value: str, transition: str = "self.next({'a': self.a, 'b': self.b}, condition='way')  # <-- here") -> str:
    return _steps(
        f"""
        @step
        def start(self):
            {value}
            {transition}
        @step
        def a(self):
            self.next(self.end)
        @step
        def b(self):
            self.next(self.end)
        @step
        def end(self):
            pass
        """
    )


GRAPH = [
    Case(
        "no start",
        _steps("@step\ndef begin(self):\n    self.next(self.end)\n@step\ndef end(self):\n    pass").replace(
            "(FlowSpec):", f"(FlowSpec):  {HERE}"
        ),
        ("start",),
    ),
    Case(
        "no end",
        _steps("@step\ndef start(self):\n    self.next(self.last)\n@step\ndef last(self):\n    self.next(self.start)"),
        ("end",),
    ),
    Case(
        "step that nothing leads to",
        _simple(before=f"@step\ndef island(self):  {HERE}\n    self.next(self.end)"),
        ("island",),
    ),
    Case(
        "transition to a method that is no step",
        _simple(before="def helper(self):\n    pass", transition=f"self.next(self.helper)  {HERE}"),
        ("start", "helper", "@step"),
    ),
    Case("transition to a misspelt step", _simple(transition=f"self.next(self.ende)  {HERE}"), ("ende", "self.end")),
    Case(
        "step without transition",
        _steps(f"@step\ndef start(self):  {HERE}\n    self.x = 1\n@step\ndef end(self):\n    pass"),
        ("start", "self.next"),
    ),
    Case(
        "transition called twice",
        _simple(start=f"self.next(self.end)  {HERE}"),
        ("start", "self.next"),
    ),
    Case(
        "transition under a condition only",
        _steps(
            f"""
            @step
            def start(self):
                if True:
                    self.next(self.end)  {HERE}
            @step
            def end(self):
                pass
            """
        ),
        ("start", "self.next"),
    ),
    Case("transition of no known form", _simple(transition=f"self.next('end')  {HERE}"), ("start", "self.next")),
    Case(
        "switch without a condition",
        _switch("self.way = 'a'", f"self.next({{'a': self.a, 'b': self.b}})  {HERE}"),
        ("start", "condition"),
    ),
    Case(
        "branches that meet without inputs",
        _steps(
            f"""
            @step
            def start(self):
                self.next(self.a, self.b)
            @step
            def a(self):
                self.next(self.meet)
            @step
            def b(self):
                self.next(self.meet)
            @step
            def meet(self):  {HERE}
                self.next(self.end)
            @step
            def end(self):
                pass
            """
        ),
        ("meet", "inputs"),
    ),
    Case(
        "split that is never joined",
        _steps(
            f"""
            @step
            def start(self):
                self.items = [1, 2]
                self.next(self.work, foreach="items")  {HERE}
            @step
            def work(self):
                self.next(self.end)
            @step
            def end(self):
                pass
            """
        ),
        ("start", "join"),
    ),
    Case(
        "join of branches of different splits",
        _steps(
            f"""
            @step
            def start(self):
                self.next(self.a, self.b)
            @step
            def a(self):
                self.next(self.a1, self.a2)
            @step
            def b(self):
                self.next(self.b1, self.b2)
            @step
            def a1(self):
                self.next(self.join1)
            @step
            def a2(self):
                self.next(self.join2)
            @step
            def b1(self):
                self.next(self.join1)
            @step
            def b2(self):
                self.next(self.join2)
            @step
            def join1(self, inputs):  {HERE}
                self.next(self.last)
            @step
            def join2(self, inputs):
                self.next(self.last)
            @step
            def last(self, inputs):
                self.next(self.end)
            @step
            def end(self):
                pass
            """
        ),
        ("join1",),
    ),
    Case(
        "join without a split",
        _steps(
            f"""
            @step
            def start(self):
                self.next(self.join)
            @step
            def join(self, inputs):  {HERE}
                self.next(self.end)
            @step
            def end(self):
                pass
            """
        ),
        ("join", "inputs"),
    ),
    Case(
        "steps in a circle",
        _steps(
            f"""
            @step
            def start(self):
                self.next(self.a)
            @step
            def a(self):
                self.next(self.b)
            @step
            def b(self):
                self.way = "x"
                self.next({{"x": self.a, "y": self.end}}, condition="way")  {HERE}
            @step
            def end(self):
                pass
            """
        ),
        ("circle",),
    ),
    Case(
        "end that goes on",
        _steps(
            f"""
            @step
            def start(self):
                self.next(self.end)
            @step
            def end(self):
                self.next(self.start)  {HERE}
            """
        ),
        ("end",),
    ),
    Case(
        "step with the name of an attribute of every flow",
        _steps(
            f"""
            @step
            def start(self):
                self.next(self.input)
            @step
            def input(self):  {HERE}
                self.next(self.end)
            @step
            def end(self):
                pass
            """
        ),
        ("input",),
    ),
    Case("assignment to a step", _simple(start=f"self.end = 5  {HERE}"), ("start", "self.end", "step")),
    Case(
        "assignment to a parameter in the source",
        _simple(before="limit = Parameter('limit', default=1)", start=f"self.limit = 2  {HERE}"),
        ("start", "self.limit", "parameter"),
    ),
    Case(
        "assignment to an attribute of the class",
        _simple(before="limit = 1", start=f"self.limit += 2  {HERE}"),
        ("start", "self.limit", "attribute of the flow's class"),
    ),
]

PARAMETERS = [
    Case("parameter missing", _simple(before="must = Parameter('must', required=True)"), ("--must",)),
    Case(
        "parameter of another type",
        _simple(before="count = Parameter('count', default=1)"),
        ("--count", "many"),
        ("run", "--count", "many"),
    ),
    Case(
        "truth of another kind",
        _simple(before="yes = Parameter('yes', default=True)"),
        ("--yes", "perhaps"),
        ("run", "--yes", "perhaps"),
    ),
    Case(
        "parameter without its value",
        _simple(before="count = Parameter('count', default=1)"),
        ("--count",),
        ("run", "--count"),
    ),
    Case(
        "misspelt parameter",
        _simple(before="alpha = Parameter('alpha', default=1)"),
        ("--alhpa", "--alpha"),
        ("run", "--alhpa", "2"),
    ),
    Case(
        "reserved parameter", _simple(before=f"workers = Parameter('max-workers', default=1)  {HERE}"), ("max-workers",)
    ),
    Case(
        "two parameters of one name",
        _simple(before=f"one = Parameter('same', default=1)\ntwo = Parameter('same', default=2)  {HERE}"),
        ("same",),
    ),
    Case("default of another type", _simple(before=f"n = Parameter('n', type=int, default='x')  {HERE}"), ("n", "int")),
    Case(
        "parameter with an unknown argument",
        _simple(before=f"n = Parameter('n', defualt='x')  {HERE}"),
        ("defualt", "default"),
    ),
    Case(
        "default that cannot be computed",
        _simple(before="n = Parameter('n', default=lambda context: 1 / 0)"),
        ("n", "division by zero"),
        hint=False,
    ),
    Case(
        "computed default of another type",
        _simple(before="n = Parameter('n', type=int, default=lambda context: 'x')"),
        ("n", "int"),
        hint=False,
    ),
    Case(
        "JSON that does not parse",
        _simple(before="data = Parameter('data', type=JSONType)"),
        ("--data", "{1}"),
        ("run", "--data", "{1}"),
    ),
    Case(
        "included file that does not exist",
        _simple(before="text = IncludeFile('text')"),
        ("--text", "nowhere.txt"),
        ("run", "--text", "nowhere.txt"),
    ),
    Case(
        "included file that is a directory",
        _simple(before="text = IncludeFile('text')"),
        ("--text", "tmp"),
        ("run", "--text", "tmp"),
    ),
    Case(
        "included file that is not text",
        _simple(before="text = IncludeFile('text')"),
        ("--text", "binary.dat"),
        ("run", "--text", "binary.dat"),
    ),
    Case(
        "default file that does not exist",
        _simple(before="text = IncludeFile('text', default='gone.txt')"),
        ("text", "gone.txt"),
    ),
]

COMMANDS = [
    Case("unknown command", _simple(), ("rnu", "run"), ("rnu",)),
    Case("unknown option", _simple(), ("--max-wrokers", "--max-workers"), ("run", "--max-wrokers", "3")),
    Case("unknown option before the command", _simple(), ("--metadta", "--metadata"), ("--metadta", "local", "run")),
    Case("no workers", _simple(), ("--max-workers", "0"), ("run", "--max-workers", "0"), hint=False),
    Case("workers that are no number", _simple(), ("--max-workers", "x"), ("run", "--max-workers", "x"), hint=False),
    Case("superfluous word", _simple(), ("surplus",), ("run", "surplus"), hint=False),
    Case("unknown decorator", _simple(), ("resorces", "resources"), ("run", "--with", "resorces")),
    Case(
        "unknown attribute of a decorator",
        _simple(),
        ("resources", "cpus", "cpu"),
        ("run", "--with", "resources:cpus=2"),
    ),
    Case("decorator attribute without value", _simple(), ("resources", "cpu"), ("run", "--with", "resources:cpu")),
    Case(
        "unknown metadata provider",
        _simple(),
        ("--metadata", "lokal", "local"),
        ("--metadata", "lokal", "run"),
        hint=False,
    ),
    Case(
        "unknown storage", _simple(), ("--datastore", "floppy", "local"), ("--datastore", "floppy", "run"), hint=False
    ),
    Case("path of no step", _simple(), ("abc",), ("dump", "abc")),
    Case("logs of a run that is not there", _simple(), ("42/start",), ("logs", "42/start"), hint=False),
    Case("tag without a run", _simple(), ("--run-id",), ("tag", "add", "x"), hint=False),
]

TASKS = [
    Case("foreach over what is not there", _foreach("pass"), ("items", "start")),
    Case("foreach over what is not iterable", _foreach("self.items = 5"), ("items", "start", "int")),
    Case("foreach over nothing", _foreach("self.items = []"), ("items", "start")),
    Case(
        "foreach that is too wide",
        _foreach("self.items = range(101)"),
        ("items", "start", "101", "100", "--max-num-splits"),
    ),
    Case(
        "foreach that is no name",
        _foreach("self.items = [1]", f"self.next(self.work, foreach=self.items)  {HERE}"),
        ("start", "foreach"),
    ),
    Case("switch over what is not there", _switch("pass"), ("way", "start")),
    Case("switch without a case", _switch("self.way = 'c'"), ("way", "start", "'c'")),
    Case("switch over what can be no key", _switch("self.way = ['a']"), ("way", "start")),
    Case(
        "artifact that cannot be pickled",
        _simple(start="self.model = {'layers': [1, lambda: 0]}"),
        ("model", "self.model['layers'][1]", "function"),
    ),
    Case(
        "member of an object that cannot be pickled",
        _simple(
            start="""
            from threading import Lock
            from types import SimpleNamespace
            self.thing = SimpleNamespace(inner=SimpleNamespace(lock=Lock()))
            """
        ),
        ("thing", "self.thing.inner.lock", "lock"),
    ),
    Case("artifact with the name of a step", _simple(start=f"setattr(self, 'end', 5)  {HERE}"), ("end", "step")),
    Case(
        "artifact with the name of the step itself",
        _simple(start=f"setattr(self, 'start', 5)  {HERE}"),
        ("start", "step"),
    ),
    Case(
        "assignment to a parameter",
        _simple(before="limit = Parameter('limit', default=1)", start=f"setattr(self, 'limit', 2)  {HERE}"),
        ("limit",),
        hint=False,
    ),
    Case("read of what is not there", _simple(start=f"print(self.nowhere)  {HERE}"), ("nowhere",), hint=False),
]
