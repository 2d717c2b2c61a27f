"""Both sides with our metadata service, nothing changed: runs, resumed runs, tags, Runner; each client reads all.

What the two clients say of a run is compared; which of them has carried it out makes no difference.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.interop import INTEROP, ORIGINAL
from support.interpreter import PYTHON
from support.serving import Running
from support.site import Site

pytestmark = INTEROP

OF_RUNS = ("tags", "successful", "finished", "ys")
"""What is compared of a run; of its tasks the clients only have to read all."""

FLOW = """
import os

from metaflow import FlowSpec, Parameter, card, current, retry, step


class Shared(FlowSpec):
    alpha = Parameter("alpha", default=3)

    @step
    def start(self):
        self.items = ["a", "b"]
        self.next(self.each, foreach="items")

    @card(type="blank")
    @retry(times=1, minutes_between_retries=0)
    @step
    def each(self):
        if self.input == "b" and current.retry_count == 0:
            raise ValueError("once")
        self.y = self.input * self.alpha
        self.next(self.join)

    @step
    def join(self, inputs):
        self.ys = [each.y for each in inputs]
        if os.path.exists("broken"):
            raise ValueError("on purpose")
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Shared()
"""

CLIENT = """
import json, sys
from metaflow import Flow, Metaflow, Run, Task, namespace
from metaflow.cards import get_cards

namespace(None)
told = {"flows": [flow.id for flow in Metaflow()], "runs": sorted(run.id for run in Flow("Shared").runs())}
told["tagged"] = sorted(run.id for run in Flow("Shared").runs("wanted"))
for run in Flow("Shared"):
    told[run.id] = found = {"tags": sorted(run.tags), "successful": run.successful, "finished": run.finished}
    for each in run:
        for task in each:
            attempts = [sorted(artifact.id for artifact in Task(task.pathspec, attempt=n))
                        for n in range(task.current_attempt + 1)]
            facts = {name: value for name, value in task.metadata_dict.items()}
            found[task.pathspec] = [
                task.successful, task.finished, task.exception is not None, sorted(task.tags) == found["tags"],
                attempts, facts.get("foreach-stack"), facts.get("attempt_ok"), facts.get("attempt"),
                [parent.pathspec for parent in task.parent_tasks],
                sorted(child.pathspec for child in task.child_tasks),
                len(get_cards(task)) if each.id == "each" else None,
            ]
    found["ys"] = run.data.ys if run.successful else None
print(json.dumps(told))
"""

TAGS = """
import sys
from metaflow import Flow, Run, namespace
namespace("user:ann")
run = Run("Shared/" + sys.argv[1])
run.add_tags(["wanted", "odd \\u2603"])
run.remove_tag("odd \\u2603")
run.replace_tag("first", "second")
namespace("user:somebody")
try:
    Run("Shared/" + sys.argv[1])
except Exception as error:
    print(type(error).__name__)
"""

RUNNER = """
from metaflow import Runner
with Runner("shared.py", show_output=False).run(alpha=2) as running:
    print(running.run.id, running.status, running.run.data.ys)
"""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    (tmp_path / "site").mkdir()
    site = Site(tmp_path / "site", "fork")
    for name, text in {"shared.py": FLOW, "client.py": CLIENT, "tags.py": TAGS, "runner.py": RUNNER}.items():
        site.write(name, text)
    return site


def test_both_sides_use_our_service_and_say_the_same(site: Site, tmp_path: Path) -> None:
    with Running(str(tmp_path / "facts.db"), str(tmp_path)) as server:
        environment = {
            "METAFLOW_SERVICE_URL": server.url,
            "METAFLOW_DEFAULT_METADATA": "service",
            "METAFLOW_USER": "ann",
        }

        def ask(python: str, *words: str, status: int = 0) -> str:
            done = site.run_flow(*words, command=[python], env=environment, cwd=site.directory, within=600)
            assert done.returncode == status, done.output
            return done.stdout

        runs: list[str] = []
        for python in (ORIGINAL, PYTHON):
            ask(python, "shared.py", "run", "--tag", "first")
            broken = site.write("broken", "")
            ask(python, "shared.py", "run", status=1)
            broken.unlink()
            runs = json.loads(ask(PYTHON, "client.py"))["runs"]
            ask(python, "shared.py", "resume", "--origin-run-id", max(runs, key=int))
        first = min(runs, key=int)
        for python in (ORIGINAL, PYTHON):
            assert "MetaflowNamespaceMismatch" in ask(python, "tags.py", first)
            assert "successful" in ask(python, "runner.py")
        told = [json.loads(ask(python, "client.py")) for python in (ORIGINAL, PYTHON)]
        ours, theirs = (
            {
                name: each if isinstance(each, list) else {key: each[key] for key in OF_RUNS}
                for name, each in all.items()
            }
            for all in told
        )
        assert ours == theirs
        assert len(told[0]["runs"]) == 8
        assert told[0]["tagged"] == [first]
        assert {"second", "wanted"} <= set(told[0][first]["tags"])
