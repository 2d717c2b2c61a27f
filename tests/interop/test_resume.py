"""Each side goes on from a run of the other that failed."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from support.interop import INTEROP, ORIGINAL, InteropSite
from support.interpreter import PYTHON
from support.site import Finished, Site

pytestmark = INTEROP

SHAPES = [
    ("Line", "middle"),
    ("Branches", "deep"),
    ("Foreach", "work[1]"),
    ("Foreach", "join"),
    ("Nested", "leaf[1,0]"),
    ("BranchesInForeach", "left[1]"),
    ("Switch", "longer"),
    ("Recursion", "loop#3"),
    ("Climb", "climb[1]#3"),
]
BEYOND_THE_ORIGINAL = [
    ('{"x": 1, "yy": 2}.keys()', '["x", "yy"]'),  # a foreach over a view
    ('        self.items = "spoiled"\n', ""),  # self.input after the list's name was given away
    ("self.own = self.input", "self.own = self.index"),  # self.input in a join; branches in order, when it resumes
    ("self.words = (self.input, [one.word for one in inputs])", "self.words = sorted(one.word for one in inputs)"),
]
DIRECTIONS = {"ours resumes": (ORIGINAL, PYTHON), "the original resumes": (PYTHON, ORIGINAL)}
TELL = """
    import json, sys
    from metaflow import Run, Task, namespace

    namespace(None)
    run = Run(sys.argv[1])
    tasks = {task["label"].data: task.origin_pathspec for step in run for task in step if task.successful}
    print(json.dumps({"result": run.data.result if run.data else None, "tasks": tasks, "origin": run.origin_pathspec}))
"""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = InteropSite(tmp_path, "fork")
    site.place("ledger.py")
    text = site.place("resumable.py").read_text()
    for ours, plain in BEYOND_THE_ORIGINAL:
        assert ours in text
        text = text.replace(ours, plain)
    site.write("resumable.py", text)
    site.write("tell.py", TELL)
    return site


def command(site: Site, python: str, flow: str, *words: str, file: str = "resumable.py") -> tuple[Finished, str]:
    """Run a command that makes a run; return how it ended, and the run."""
    finished = site.run_flow(file, *words, command=[python], env={"SHAPE": flow})
    return finished, f"{flow}/{max(path.name for path in (site.root / flow).iterdir() if path.name.isdigit())}"


def tell(site: Site, python: str, run: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(site.run_flow("tell.py", run, command=[python]).succeeded().stdout)
    return told


def ran(site: Site) -> Counter[str]:
    """Return what ran since this was asked last."""
    path = site.directory / "ran"
    labels = Counter(path.read_text().split())
    path.unlink()
    return labels


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize(("shape", "fails"), SHAPES)
def test_a_failed_run_of_the_other(site: Site, direction: str, shape: str, fails: str) -> None:
    runner, resumer = DIRECTIONS[direction]
    whole, undisturbed = command(site, PYTHON, shape, "run")
    whole.succeeded()
    everything, result = ran(site), tell(site, PYTHON, undisturbed)["result"]
    (site.directory / "fails").write_text(fails)
    failed, origin = command(site, runner, shape, "run")
    failed.failed()
    before = tell(site, PYTHON, origin)["tasks"]
    (site.directory / "fails").unlink()
    ran(site)
    resumed, run = command(site, resumer, shape, "resume")
    resumed.succeeded()
    assert ran(site) == everything - Counter(before.keys())
    told = tell(site, PYTHON, run)
    assert told == tell(site, ORIGINAL, run)
    assert (told["result"], told["origin"]) == (result, origin)
    assert {label: told["tasks"][label] is not None for label in everything} == {
        label: label in before for label in everything
    }


def test_a_recursion_that_the_original_resumed(site: Site) -> None:
    """It gives the tasks it takes over ids in any order; ours still finds the turns."""
    _, undisturbed = command(site, PYTHON, "Recursion", "run")
    (site.directory / "fails").write_text("end")
    command(site, ORIGINAL, "Recursion", "run")[0].failed()
    again, second = command(site, ORIGINAL, "Recursion", "resume")
    again.failed()
    (site.directory / "fails").unlink()
    ran(site)
    resumed, third = command(site, PYTHON, "Recursion", "resume", "--origin-run-id", second.partition("/")[2])
    resumed.succeeded()
    assert ran(site) == Counter(["end"])
    assert tell(site, PYTHON, third)["result"] == tell(site, PYTHON, undisturbed)["result"]


PARAMETERS = """
    import pathlib
    from metaflow import FlowSpec, IncludeFile, JSONType, Parameter, step

    class Given(FlowSpec):
        number = Parameter("number", default=1)
        document = Parameter("document", type=JSONType, default="{}")
        text = IncludeFile("text")

        @step
        def start(self):
            self.label = "start"
            self.next(self.end)

        @step
        def end(self):
            self.label = "end"
            if pathlib.Path("fails").exists():
                raise ValueError
            self.result = [self.number, self.document, self.text]

    if __name__ == "__main__":
        Given()
"""


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_parameters_of_the_other(site: Site, direction: str) -> None:
    runner, resumer = DIRECTIONS[direction]
    site.write("given.py", PARAMETERS)
    site.write("included.txt", "included ☃\n")
    (site.directory / "fails").touch()
    words = ("--number", "-4", "--document", '{"a": [1, null]}', "--text", "included.txt")
    command(site, runner, "Given", "run", *words, file="given.py")[0].failed()
    (site.directory / "fails").unlink()
    (site.directory / "included.txt").unlink()
    resumed, run = command(site, resumer, "Given", "resume", file="given.py")
    resumed.succeeded()
    assert tell(site, PYTHON, run)["result"] == [-4, {"a": [1, None]}, "included ☃\n"]
