"""The table of internal artifacts."""

from __future__ import annotations

from metaflow.flow.binding import foreach_values_name
from metaflow.store import internals

NAMES = dict.fromkeys(("x", "name1", "_mine", foreach_values_name(12), *(row.name for row in internals.TABLE)), "")


def test_clients_ask_for_these() -> None:
    asked = [name for name in NAMES if internals.has_document(name)]
    assert asked == [
        "x", "name1", "_exception", "_foreach_stack", "_graph_info", "_success", "_task_ok", "_transition", "name",
    ]  # fmt: skip


def test_these_reach_the_next_task() -> None:
    passed = internals.inherited(NAMES)
    assert list(passed) == [
        "x", "name1", "_mine", "_foreach_values_12", "_catch_exception", "_configs_processed", "_foreach_values_",
        "_graph_info", "name",
    ]  # fmt: skip


def test_a_join_merges_these() -> None:
    assert list(internals.mergeable(NAMES)) == ["x", "name1", "_mine", "_catch_exception"]


def test_names_are_unique() -> None:
    assert len({row.name for row in internals.TABLE}) == len(internals.TABLE)
