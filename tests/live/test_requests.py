"""The requests that one small task makes, listed and counted: a change that adds a round trip is seen here."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.fault_proxy import FaultProxy, Request
from support.object_stores import Bucket, s3
from support.site import Finished, Site

pytestmark = pytest.mark.live

FLOW = """
from metaflow import FlowSpec, step

class Counted(FlowSpec):
    @step
    def start(self):
        self.one = 1
        self.next(self.many)

    @step
    def many(self):
        for number in range(20):
            setattr(self, f"artifact_{number}", f"value {number}")
        self.items = list(range(20))
        self.next(self.work, foreach="items")

    @step
    def work(self):
        self.square = self.input ** 2
        self.next(self.join)

    @step
    def join(self, inputs):
        self.total = sum(i.square for i in inputs)
        self.next(self.end)

    @step
    def end(self):
        assert self.total == 2470

if __name__ == "__main__":
    Counted()
"""


class Counting(Site):
    def __init__(self, directory: Path, bucket: Bucket, proxy: FaultProxy) -> None:
        super().__init__(directory, "exec")
        self.bucket, self.proxy = bucket.behind(proxy), proxy

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, **self.bucket.environment, "METAFLOW_DEFAULT_DATASTORE": "s3"}

    def requests_of(self, run: Finished, step: str, inputs: str, *words: str) -> list[Request]:
        """Run a step of a run once more, as a task of its own; return its requests."""
        self.proxy.forget()
        options = (f"--run-id={run.run_id}", "--task-id=900", f"--input-paths={inputs}", *words)
        self.run_flow("flow.py", "--quiet", "step", step, *options).succeeded()
        return self.proxy.seen()


@pytest.fixture(scope="module")
def counting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Counting, Finished]]:
    with s3() as bucket:
        proxy = FaultProxy(bucket.endpoint)
        site = Counting(tmp_path_factory.mktemp("counted"), bucket, proxy)
        finished = site.run_flow(FLOW, "run").succeeded()
        proxy.latency = 0.25
        yield site, finished
        proxy.go()


def sorts(requests: list[Request]) -> Counter[str]:
    """Count requests by what they are for."""
    found: Counter[str] = Counter()
    for each in requests:
        path, _, query = each.path.partition("?")
        name = "list" if "list-type" in query else "blob" if "/data/" in path else path.rpartition("/")[2]
        found[f"{each.method} {re.sub('^[0-9]+[.]', '', name)}"] += 1
    return found


def test_the_first_step(counting: tuple[Counting, Finished]) -> None:
    site, run = counting
    requests = site.requests_of(run, "start", f"{run.run_id}/_parameters/0")
    assert sorts(requests) == {
        "PUT attempt.json": 1,  # beside the next two
        "GET list": 1,
        "GET data.json": 1,
        "PUT blob": 3,  # of its own: `one`, `_transition`, `_current_step`; what its input names is there
        "PUT data.json": 1,
        "PUT DONE.lock": 1,
    }
    assert site.proxy.rounds() == 4


def test_a_step_with_twenty_artifacts(counting: tuple[Counting, Finished]) -> None:
    site, run = counting
    requests = site.requests_of(run, "many", f"{run.run_id}/start/1")
    found = sorts(requests)
    assert found["PUT blob"] <= 26
    assert found["GET blob"] == 0
    assert site.proxy.rounds() == 4


def test_a_task_of_a_foreach(counting: tuple[Counting, Finished]) -> None:
    site, run = counting
    requests = site.requests_of(run, "work", f"{run.run_id}/many/2", "--split-index=3")
    found = sorts(requests)
    assert found["GET blob"] <= 3  # the element, and the names around it
    assert site.proxy.rounds() == 5


def test_a_join_of_twenty(counting: tuple[Counting, Finished]) -> None:
    site, run = counting
    requests = site.requests_of(run, "join", f"{run.run_id}/work/3-22")
    found = sorts(requests)
    assert found["GET list"] == found["GET data.json"] == 22  # the first input twice, and the parameters
    assert found["GET blob"] <= 42  # `square` and the foreach of each
    assert site.proxy.rounds() == 8
