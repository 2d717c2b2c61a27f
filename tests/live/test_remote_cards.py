"""Cards of steps in containers: the same pages as here, readable from here, and seen while the step runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from metaflow import Run
from metaflow.cards import Card, get_cards
from metaflow.exception import MetaflowNotFound
from support import processes
from support.remote_site import PATIENCE, RemoteSite, assert_no_jobs

PLACES = {
    "kubernetes": ("KUBECONFIG", "kubernetes:cpu=0.1,memory=256"),
    "batch": ("METAFLOW_BATCH_JOB_QUEUE", "batch:cpu=1,memory=256"),
}
FLOW = """
import time

from metaflow import FlowSpec, card, current, step
from metaflow.cards import Markdown, MetaflowCard, Table


class Own(MetaflowCard):
    type = "own"

    def render(self, task):
        return f"<html><body>own {task.pathspec} {task['x'].data}</body></html>"


CARDS = [Own]


class CardsAway(FlowSpec):
    @card(refresh_interval=0)
    @card(type="own")
    @step
    def start(self):
        self.x = [1, 2]
        shown = Markdown("# Away")
        current.card.append(shown, id="head")
        current.card.append(Table([[1, "two"]], headers=["a", "b"]))
        for turn in range(22):
            shown.update(f"# Away, turn {turn}")
            current.card.refresh(force=True)
            time.sleep(0.5)
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    CardsAway()
"""

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif("METAFLOW_DATASTORE_SYSROOT_S3" not in os.environ, reason="the environment names no S3 store"),
]


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[RemoteSite]:
    site = RemoteSite(tmp_path, "fork")
    yield site
    processes.assert_gone(site.mark)


@pytest.mark.parametrize("backend", sorted(PLACES))
def test_cards_of_a_step_in_a_container(remote: RemoteSite, backend: str) -> None:
    variable, attached = PLACES[backend]
    if variable not in os.environ:
        pytest.skip(f"the environment names no {backend} to test with")
    running = remote.start_flow(FLOW, "--datastore", "s3", "run", "--with", attached)
    processes.eventually(lambda: running.run_id, "the run begins", within=60)
    remote.look()

    def cards() -> dict[str, Card]:
        try:
            task = Run(f"CardsAway/{running.run_id}")["start"].task
            return {card.type: card for card in get_cards(task)} if task is not None else {}
        except MetaflowNotFound:
            return {}

    def live() -> object:
        data = cards()["default"].get_data() if "default" in cards() else None
        return data and data["reload_token"] != "final" and "Away, turn" in data["data"]["head"]["html"]

    processes.eventually(live, "a refresh is seen", within=PATIENCE)
    assert '<span class="status running">' in cards()["default"].get()
    running.wait(within=PATIENCE).succeeded()
    found = cards()
    page = found["default"].get()
    for part in ("successful", "turn 21</h1>", "two", "[1, 2]", f"{backend} python:3.11"):
        assert part in page, part
    assert f"own CardsAway/{running.run_id}/start/" in found["own"].get()
    assert_no_jobs(backend, "CardsAway", running.run_id)
