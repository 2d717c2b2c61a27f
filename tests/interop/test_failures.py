"""Attempts, exceptions and what was caught: each side's client reads the other's, attempt by attempt."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from support.comparing import differences
from support.interop import INTEROP, ORIGINAL, Work, new_site, run
from support.interpreter import PYTHON
from support.site import Site

pytestmark = INTEROP

# What both clients can be asked about each attempt; names of exceptions without the module, which each has its own.
ASK = """
import json, sys
from metaflow import Flow, Task, namespace

def name(failure):
    return failure and failure.type.rpartition(".")[2], failure and bool(failure.stacktrace)

def attempt(task):
    artifacts = {artifact.id: artifact.data for artifact in task}
    return {
        "successful": task.successful, "finished": task.finished, "stdout": task.stdout.splitlines()[:1],
        "exception": name(task.exception), "caught": name(artifacts.pop("failure", None)),
        "artifacts": {key: repr(value) for key, value in artifacts.items()},
    }

namespace(None)
run = Flow("FailuresFlow").latest_run
told = {"run": [run.successful, run.finished], "steps": sorted(step.id for step in run)}
for step in run:
    for task in step:
        facts = sorted([fact.name, fact.value] for fact in task.metadata if fact.name == "attempt")
        attempts = [attempt(Task(task.pathspec, attempt=number)) for number in range(task.current_attempt + 1)]
        told[f"{step.id}/{task.index}"] = [facts, attempts, attempt(task)]
print(json.dumps(told))
"""


def ask(site: Site, python: str) -> dict[str, Any]:
    site.write("ask.py", ASK)
    told: dict[str, Any] = json.loads(site.run_flow("ask.py", command=[python]).succeeded().stdout)
    return told


def as_metaflow_has_it(told: dict[str, Any]) -> dict[str, Any]:
    """Return what is told without why a process died, which only ours keep."""
    text = re.sub(r'"exception": \["Task(Killed|Exited)", true\]', '"exception": [null, null]', json.dumps(told))
    without: dict[str, Any] = json.loads(re.sub(r"Task(Killed|Exited)", "FailureHandledByCatch", text))
    assert text != json.dumps(told) != json.dumps(without)
    return without


@pytest.mark.parametrize("ends", ["well", "badly"])
def test_both_clients_read_the_attempts_of_both(tmp_path: Path, ends: str) -> None:
    work = Work("failures.py", ("--ends", ends), fails=ends == "badly")
    told = []
    for name, runner in (("ours", PYTHON), ("theirs", ORIGINAL)):
        site = new_site(tmp_path / name)
        run(site, runner, work)
        by_us, by_them = ask(site, PYTHON), ask(site, ORIGINAL)
        assert not differences(by_us, by_them), f"the run is {name}"
        told.append(by_us)
    ours, theirs = told
    assert not differences(as_metaflow_has_it(ours), theirs)
    assert ours["run"] == [ends == "well"] * 2
    assert [len(ours[f"work/{index}"][1]) for index in range(8)] == [2, 2, 2, 2, 2, 2, 3, 3]
