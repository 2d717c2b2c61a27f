"""Filters of runs: what they may be, and which runs pass."""

from __future__ import annotations

from typing import Any

import pytest

from metaflow.client.run_filters import checked, wanted
from metaflow.exception import CommandException

RUN = {"ts_epoch": 1000, "tags": ["a", "b"], "system_tags": ["user:ann", "runtime:dev"]}


@pytest.mark.parametrize(
    ("filters", "status", "passes"),
    [
        ({}, "running", True),
        ({"status:eq": "failed"}, "lost", True),
        ({"status:eq": ["failed", "running"]}, "interrupted", True),
        ({"status:eq": "completed"}, "successful", True),
        ({"status:eq": "completed"}, "failed", False),
        ({"status:eq": "running,completed,failed"}, "unknown", False),
        ({"user:eq": "ann"}, "running", True),
        ({"user:eq": ["bob", "ann"]}, "running", True),
        ({"user:eq": "bob"}, "running", False),
        ({"ts_epoch:ge": 1000, "ts_epoch:lt": 1001}, "running", True),
        ({"ts_epoch:gt": "1000"}, "running", False),
        ({"ts_epoch:le": 999}, "running", False),
        ({"ts_epoch:eq": 1000}, "running", True),
        ({"_tags:any": "x,b"}, "running", True),
        ({"_tags:all": ["a", "b", "runtime:dev"]}, "running", True),
        ({"_tags:all": "a,x"}, "running", False),
        ({"user:eq": "ann", "status:eq": "failed"}, "running", False),
    ],
)
def test_which_runs_pass(filters: dict[str, Any], status: str, passes: bool) -> None:
    assert wanted(checked(filters), RUN, lambda: status) is passes


def test_a_status_that_the_document_tells_is_not_asked_for() -> None:
    assert wanted({"status:eq": "failed"}, {**RUN, "status": "failed"}, lambda: pytest.fail("asked"))


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        ({"status": "failed"}, "There is no filter 'status' of runs"),
        ({"_limit": 5}, "There is no filter '_limit'"),
        ({"status:eq": "successful"}, "'successful' is no status of a run"),
        ({"ts_epoch:ge": "yesterday"}, "'yesterday' is no time"),
    ],
)
def test_what_is_no_filter(filters: dict[str, Any], words: str) -> None:
    with pytest.raises(CommandException, match=words):
        checked(filters)
