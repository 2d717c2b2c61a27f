"""Runs over a metadata service: one that calls tasks by numbers, as ours does, and one that does not, as Metaflow's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.fault_proxy import FaultProxy
from support.metadata_service import ListeningService, keeps_numbers_for_itself
from support.site import Finished, Site

FLOW = """
    from metaflow import FlowSpec, Parameter, current, retry, step

    class Sums(FlowSpec):
        last = Parameter("last", default=0)

        @step
        def start(self):
            self.items = list(range(4))
            self.next(self.work, foreach="items")

        @retry(times=1, minutes_between_retries=0)
        @step
        def work(self):
            if self.input == 2 and current.retry_count == 0:
                raise RuntimeError("once")
            self.x = self.input * 2
            self.next(self.join)

        @step
        def join(self, inputs):
            if {fails}:
                raise RuntimeError("not yet")
            self.total = sum(each.x for each in inputs)
            self.next(self.end)

        @step
        def end(self):
            pass

    if __name__ == "__main__":
        Sums()
"""
NAMES = {"numbers": "", "names": "t"}

TELL = """
    import json
    from metaflow import Flow, namespace

    namespace(None)
    runs = {run.id: run for run in Flow("Sums")}
    run = runs["2"]
    print(json.dumps({
        "runs": sorted(runs), "state": run.status,
        "total": run.data.total, "last": run["_parameters"].task["last"].data,
        "tasks": {step.id: sorted(task.id for task in step) for step in run},
        "parents": sorted(task.id for task in run["join"].task.parent_tasks),
        "attempts": sorted(task.current_attempt for task in run["work"]),
    }))
"""


@pytest.fixture(params=NAMES)
def prefix(request: pytest.FixtureRequest) -> str:
    return NAMES[request.param]


@pytest.fixture
def url(prefix: str, tmp_path: Path) -> Iterator[str]:
    service = ListeningService(str(tmp_path))
    proxy = FaultProxy(service.url)
    if prefix:
        proxy.refuse = keeps_numbers_for_itself
    yield proxy.url
    proxy.go()
    service.close()


def test_a_run_and_its_continuation(one_site: Site, url: str, prefix: str) -> None:
    there = {"METAFLOW_SERVICE_URL": url, "METAFLOW_DEFAULT_METADATA": "service"}

    def run(*words: str, fails: bool) -> Finished:
        one_site.write("sums.py", FLOW.format(fails=fails))
        return one_site.run_flow("sums.py", *words, env=there)

    failed = run("run", "--last", "7", fails=True)
    assert failed.returncode == 1
    assert f"Step join (task-id {prefix}6) failed" in failed.output
    run("resume", fails=False).succeeded()
    told = one_site.python(TELL, env=there).succeeded()
    tasks = [f"{prefix}{number}" for number in range(1, 8)]
    assert json.loads(told.stdout) == {
        "runs": ["1", "2"],
        "state": "successful",
        "total": 12,
        "last": 7,
        "tasks": {"start": tasks[:1], "work": tasks[1:5], "join": tasks[5:6], "end": tasks[6:]},
        "parents": tasks[1:5],
        "attempts": [0, 0, 0, 0],
    }
    spun = one_site.run_flow("sums.py", "spin", "join", env=there).succeeded()
    assert f"Sums/2/join/{prefix}6" in spun.output
