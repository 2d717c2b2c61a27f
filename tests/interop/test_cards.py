"""Each side's client finds and reads the other's cards, and what they showed while their step ran."""

from __future__ import annotations

import json
from pathlib import Path

from support.interop import INTEROP, ORIGINAL, Work, new_site, run
from support.interpreter import PYTHON

pytestmark = INTEROP

FLOW = """
from metaflow import FlowSpec, card, current, step
from metaflow.cards import Markdown, Table


class Shown(FlowSpec):
    @card
    @card(type="blank", id="notes", refresh_interval=0)
    @step
    def start(self):
        notes = current.card["notes"]
        notes.append(Markdown("# Notes"), id="head")
        notes.append(Table([[1, "two"]], headers=["a", "b"]))
        notes.refresh(force=True)
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Shown()
"""
READER = """
import hashlib, json
from metaflow import Flow, namespace
from metaflow.cards import get_cards

namespace(None)
told = []
for run in Flow("Shown"):
    task = run["start"].task
    for card in get_cards(task):
        (same,) = get_cards(task.pathspec, type=card.type)
        data = card.get_data()
        told.append([run.id, card.type, card.id, card.hash, hashlib.sha1(same.get().encode()).hexdigest(), data])
print(json.dumps(sorted(told, key=str)))
"""


def test_cards_of_both_are_read_by_both(tmp_path: Path) -> None:
    site = new_site(tmp_path / "shared")
    site.write("shown.py", FLOW)
    site.write("reader.py", READER)
    runs = [run(site, python, Work("shown.py")).run_id for python in (ORIGINAL, PYTHON)]
    told = [
        json.loads(site.run_flow("reader.py", command=[python]).succeeded().stdout) for python in (ORIGINAL, PYTHON)
    ]
    assert told[0] == told[1]
    assert {(each[0], each[1], each[2]) for each in told[0]} == {
        (run_id, *card) for run_id in runs for card in (("blank", "notes"), ("default", None))
    }
    for run_id in runs:
        listed = [
            json.loads(
                site.run_flow("shown.py", "card", "list", f"{run_id}/start", "--as-json", command=[python])
                .succeeded()
                .stdout
            )
            for python in (ORIGINAL, PYTHON)
        ]
        for document in listed:
            document["cards"].sort(key=lambda card: card["hash"])
        assert listed[0] == listed[1]
