"""The original beside ours: sites that both run flows in, and reports of both clients compared."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from support.comparing import differences
from support.site import Finished, Site

ORIGINAL = os.environ.get("MILLRACE_ORIGINAL_PYTHON", "")
HERE = Path(__file__).parents[1] / "interop"

INTEROP = [
    pytest.mark.interop,
    pytest.mark.skipif(not ORIGINAL, reason="MILLRACE_ORIGINAL_PYTHON names no interpreter with the original"),
]


class Work(NamedTuple):
    """A flow file, and the words after `run`."""

    flow: str
    words: tuple[str, ...] = ()
    fails: bool = False
    unlike: tuple[str, ...] = ()
    """What is not compared: where each has words of its own, or the original is wrong."""

    def __str__(self) -> str:
        return " ".join((self.flow, *self.words))


PARAMETERS = (
    *("--text", "ü ☃", "--number=-4", "--fraction", "1e3", "--truth", "false", "--typed", "7", "--flag"),
    *("--document", "[1, {}]", "--command-line-name", "given", "--nothing", "a=b c", "--latin", "included.txt"),
)


class InteropSite(Site):
    patience = 600.0  # the original starts an interpreter for each task, and for each request to an object store


def new_site(directory: Path) -> Site:
    directory.mkdir()
    site = InteropSite(directory, "fork")
    site.write("included.txt", "first line\nlast line ☃\n")
    for flow in (HERE / "flows").glob("*.py"):
        site.write(flow.name, flow.read_text())
    return site


def run(site: Site, python: str, work: Work) -> Finished:
    finished = site.run_flow(work.flow, "run", *work.words, command=[python])
    return finished.failed() if work.fails else finished.succeeded()


def report(site: Site, python: str) -> dict[str, Any]:
    words = (str(HERE / "report.py"), str(site.directory))
    told = site.run_flow(*words, command=[python], cwd=site.directory).succeeded()
    found: dict[str, Any] = json.loads(told.stdout)
    return found


def same(one: Any, other: Any, what: str) -> None:
    found = differences(one, other)
    assert not found, "\n".join([f"{len(found)} differences: {what}", *found[:20]])
