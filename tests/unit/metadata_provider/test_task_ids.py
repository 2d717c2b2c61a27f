"""Numbers of tasks, and what they are called."""

from __future__ import annotations

import json

import pytest

from metaflow.metadata_provider.task_ids import NUMBERS, TaskId, TaskNumbering, in_order, parse
from metaflow.runtime.events import TaskRef
from metaflow.runtime.inputs import decode_input_paths, encode_input_paths

NAMED = TaskNumbering(prefix="t", parameters=TaskId(0, "p"))


@pytest.mark.parametrize(("numbering", "name", "parameters"), [(NUMBERS, "5", "0"), (NAMED, "t5", "p0")])
def test_an_id_is_a_number_with_a_name(numbering: TaskNumbering, name: str, parameters: str) -> None:
    id = numbering.id(5)
    assert (str(id), f"{id}", f"{id:>3}") == (name, name, f"{name:>3}")
    assert (id, hash(id), id + 1) == (5, hash(5), 6)
    assert json.loads(json.dumps(id)) == 5
    assert str(numbering.parameters) == parameters
    read = parse(name)
    assert (read, str(read)) == (5, name)


@pytest.mark.parametrize("name", ["", "t", "t-5", "x5", "t5a", "5t", "-5", "t-8f2e"])
def test_names_of_others_are_no_ids(name: str) -> None:
    assert parse(name) is None


def test_names_are_sorted_by_number() -> None:
    assert sorted(["t10", "t9", "t1"], key=in_order) == ["t1", "t9", "t10"]
    assert sorted(["10", "9", "b", "a"], key=in_order) == ["a", "b", "9", "10"]


@pytest.mark.parametrize("numbering", [NUMBERS, NAMED])
def test_neighbours_are_one_part_of_a_path(numbering: TaskNumbering) -> None:
    refs = tuple(TaskRef("a", numbering.id(number)) for number in (2, 3, 4, 7))
    text = encode_input_paths("1", refs)
    assert text.count(",") == 1
    assert decode_input_paths(text) == [f"1/a/{numbering.prefix}{number}" for number in (2, 3, 4, 7)]
