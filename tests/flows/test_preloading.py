"""What tasks see of the libraries that a flow imports: the same whether these were imported once or by each task.

The libraries here are ours, under names of the table, so that they can do what is asked.
"""

from __future__ import annotations

import textwrap
from typing import Any

import pytest

from support.site import Finished, Site

LIBRARIES = {
    "tabulate": "import os\nPID, SEEN = os.getpid(), os.environ.get('SEEN')",
    "tqdm": "import os\nPID, SEEN = os.getpid(), os.environ.get('SEEN')",
    "requests": "print('requests is here')",
    "orjson": "import os\nos._exit(3)",
    "strange/__init__.py": "import os\nPID = os.getpid()",
    "deadly": "import os, sys\nif 'step' not in sys.argv: os._exit(3)",
    "broken": "raise ValueError('no such thing')",
}

FLOW = """
import os, random, sys, time, uuid
os.environ["SEEN"] = "first"
import tabulate
import own
IMPORTED = [name for name in ("tqdm", "strange") if name in sys.modules]
os.environ["SEEN"] = "SECOND"
from metaflow import FlowSpec, step

FILES = [open(os.devnull) for _ in range(3)]

class Proxy:
    __class__ = property(lambda self: "step" in sys.argv and print("who asks?") or object)

PROXY = Proxy()
FRESH = (random.random(), uuid.uuid4(), uuid.uuid1(), os.getpid(), time.time())

class SeesFlow(FlowSpec):
    @step
    def start(self):
        self.numbers = range(4)
        self.next(self.work, foreach="numbers")

    @step
    def work(self):
        import logging
        import multiprocessing
        visible = "tqdm" in sys.modules
        os.environ["SEEN"] = "in the step"
        import tqdm
        if self.input > 10:
            import orjson
        self.here = {"pid": tabulate.PID, "own pid": tabulate.PID == os.getpid(), "seen": tabulate.SEEN}
        self.late = [IMPORTED, visible, tqdm.PID == os.getpid(), tqdm.SEEN]
        self.main = sys.modules.get("__mp_main__") in (None, sys.modules["__main__"])
        self.fresh = [*FRESH, *own.FRESH, multiprocessing.current_process().authkey.hex(), logging._startTime]
        self.next(self.join)

    @step
    def join(self, inputs):
        self.of = {name: [getattr(each, name) for each in inputs] for name in ("here", "late", "main", "fresh")}
        self.next(self.end)

    @step
    def end(self):
        pass

if __name__ == "__main__":
    SeesFlow()
"""

OWN = "import os, random, time, uuid\nFRESH = (random.random(), uuid.uuid4(), os.getpid(), time.time())"

NAMED = """
from metaflow import FlowSpec, step
import requests

class NamedFlow(FlowSpec):
    @step
    def start(self):
        import os, strange
        self.once = strange.PID != os.getpid()
        self.next(self.end)

    @step
    def end(self):
        pass

if __name__ == "__main__":
    NamedFlow()
"""


def run(site: Site, source: str, **environment: str) -> Finished:
    for name, text in LIBRARIES.items():
        site.write(f"env/site-packages/{name if '/' in name else f'{name}.py'}", text)
    variables = {"PYTHONPATH": str(site.directory / "env" / "site-packages"), **environment}
    return site.run_flow(textwrap.dedent(source), "run", env=variables).succeeded()


def sees(site: Site, source: str) -> dict[str, list[Any]]:
    site.write("own.py", OWN)
    finished = run(site, source)
    assert "who asks?" not in finished.stdout, "at the end of a task, when its files are looked for"
    return finished.values("join")["of"]  # type: ignore[no-any-return]


@pytest.mark.ours
def test_tasks_see_libraries_as_processes_of_their_own(site: Site) -> None:
    of = sees(site, FLOW.replace('os.environ["SEEN"] = "SECOND"', ""))
    pids = [each["pid"] for each in of["here"]]
    assert len(set(pids)) == (1 if site.mode == "fork" else 4), "imported once for all, or by each"
    assert [each["seen"] for each in of["here"]] == ["first"] * 4
    assert of["late"] == [[[], False, True, "in the step"]] * 4, "what a step imports it imports itself"
    assert of["main"] == [True] * 4
    for column in zip(*of["fresh"], strict=True):
        assert len(set(column)) == 4


@pytest.mark.ours
def test_a_library_that_is_imported_under_another_environment_is_imported_by_each_task(site: Site) -> None:
    of = sees(site, FLOW)
    assert [each["seen"] for each in of["here"]] == ["first"] * 4, "not what the variable was in the end"
    assert all(each["own pid"] for each in of["here"])


@pytest.mark.ours
def test_what_cannot_be_imported_once_is_named_once_and_left_to_the_tasks(tmp_path: Any) -> None:
    finished = run(Site(tmp_path, "fork"), NAMED, METAFLOW_LOCAL_PRELOAD="broken,deadly,strange")
    assert [line for line in finished.stderr.splitlines() if "is left" in line] == [
        "requests is left for each task to import: imported once for all of them, it prints something.",
        "broken is left for each task to import: imported once for all of them, it failed with ValueError: no such "
        "thing.",
        "deadly is left for each task to import: imported once for all of them, it ended the process or did not come "
        "to an end.",
    ]
    assert finished.values("start")["once"], "the user answers for it"
    assert finished.stdout.count("requests is here") == 3, "from the command and from each task"
