from __future__ import annotations

import json

from metaflow.serve.reading.encoding import encode
from metaflow.serve.reading.protocol import Failure, RunRow, TaskRow, TaskTable

START = 1_790_000_000_000


def test_a_value_is_an_object_with_the_names_of_its_attributes() -> None:
    row = RunRow("Flow", "1", "failed", "ann", 5, None, ("a",), (), Failure("memory", "too much"))
    found = json.loads(encode(row))
    assert found["failure"]["message"] == "too much"
    assert (found["tags"], found["ended"]) == (["a"], None)


def test_a_table_is_packed_into_columns() -> None:
    rows = (
        TaskRow("b", "2", "failed", START + 5, None, 2, "xs[0] = é"),
        TaskRow("a", "1", "successful", START, START + 9),
    )
    assert json.loads(encode(TaskTable(rows, "v1"))) == {
        "version": "v1",
        "steps": ["b", "a"],
        "states": ["failed", "lost", "running", "caught", "successful"],
        "base": START,
        "id": ["2", "1"],
        "step": [0, 1],
        "state": [0, 4],
        "started": [5, 0],
        "ended": [None, 9],
        "attempts": [2, 1],
        "item": ["xs[0] = é", ""],
    }


def test_ten_thousand_tasks_take_less_than_two_megabytes() -> None:
    rows = tuple(
        TaskRow(
            "train",
            str(index),
            "successful",
            START + index * 997,
            START + index * 1009,
            1,
            f"models[{index}] = {'é' * 30}",
        )
        for index in range(10_000)
    )
    assert len(encode(TaskTable(rows, "v"))) < 2_000_000


def test_half_a_character_is_no_error() -> None:
    assert json.loads(encode(TaskRow("s", "1", "running", None, None, 1, "\ud800")))["item"] == "?"
