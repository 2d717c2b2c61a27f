"""The inputs of a task: their names on a command line, and the sequence that a join sees."""

from __future__ import annotations

import weakref
from collections import UserDict
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaflow.exception import CommandException
from metaflow.flow.binding import Binding
from metaflow.flow.spec import FlowSpec, attributes_of
from metaflow.runtime.events import TaskRef
from metaflow.runtime.inputs import Inputs, decode_input_paths, encode_input_paths, missing_input

# --- names -----------------------------------------------------------------------------------------------------------

REFS = st.builds(TaskRef, st.sampled_from(["a", "b", "_parameters", "step2"]), st.integers(0, 50))
RUNS = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 99), st.integers(1, 9)), min_size=1).map(
    lambda stretches: [TaskRef(step, first + n) for step, first, length in stretches for n in range(length)]
)


@given(st.lists(REFS, min_size=1) | RUNS, st.integers(1).map(str) | st.just("argo-flow-x7k2p"))
def test_what_was_encoded_is_decoded(inputs: list[TaskRef], run: str) -> None:
    text = encode_input_paths(run, inputs)
    assert decode_input_paths(text) == [f"{run}/{step}/{id}" for step, id in inputs]
    assert not set(text) & set(" =\"'")


@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        ([("_parameters", 0)], "7/_parameters/0"),
        ([("a", 2), ("a", 3), ("b", 4)], "7/a/2-3,7/b/4"),
        ([("a", 3), ("a", 2)], "7/a/3,7/a/2"),
        ([("a", 2), ("a", 2)], "7/a/2,7/a/2"),
        ([("a", 2), ("b", 3), ("a", 4)], "7/a/2,7/b/3,7/a/4"),
    ],
)
def test_stretches_keep_the_order(inputs: list[tuple[str, int]], text: str) -> None:
    assert encode_input_paths("7", [TaskRef(*each) for each in inputs]) == text


def test_a_wide_join_has_a_short_name() -> None:
    assert encode_input_paths("7", [TaskRef("work", n) for n in range(2, 10_002)]) == "7/work/2-10001"


def test_task_ids_that_are_no_numbers_are_taken_as_they_are() -> None:
    assert decode_input_paths("r-1/start/t-0a1b,r-1/a/a-b-c") == ["r-1/start/t-0a1b", "r-1/a/a-b-c"]


@pytest.mark.parametrize(
    "text", ["", "7", "7/a", "7/a/", "/a/1", "7//1", "7/a/1/2", "7/a/1,", ",7/a/1", "7/a/3-1", "7/a/1,7/b"]
)
def test_malformed_names_are_refused(text: str) -> None:
    with pytest.raises(CommandException, match="--input-paths"):
        decode_input_paths(text)


# --- the sequence ----------------------------------------------------------------------------------------------------


class Opening:
    """Opens inputs, and remembers which."""

    def __init__(self) -> None:
        self.opened: list[str] = []

    def __call__(self, paths: Sequence[str]) -> list[FlowSpec]:
        self.opened += paths
        return [self._flow(path) for path in paths]

    def _flow(self, path: str) -> FlowSpec:
        flow = FlowSpec.__new__(FlowSpec)
        flow.__dict__["_binding"] = Binding(path.split("/")[1], {"path": path}, {}, [])
        return flow


def inputs_of(*paths: str, together: int = 1) -> tuple[Inputs, Opening]:
    opening = Opening()
    return Inputs(paths, opening, together), opening


def test_only_what_is_touched_is_opened() -> None:
    inputs, opening = inputs_of(*(f"7/a/{n}" for n in range(10_000)))
    assert len(inputs) == 10_000
    assert repr(inputs) == "<10000 inputs>"
    assert opening.opened == []
    first: Any = inputs[0]
    last: Any = inputs[-1]
    assert (first.path, last.path) == ("7/a/0", "7/a/9999")
    assert opening.opened == ["7/a/0", "7/a/9999"]


def test_an_input_is_one_object_while_somebody_holds_it() -> None:
    inputs, opening = inputs_of("7/a/1", "7/b/2")
    held = inputs[0]
    assert inputs[0] is held
    assert inputs[-2] is held
    assert inputs.a is held
    assert inputs_of("7/a/1", "7/a/2", "7/b/3")[0].a.path == "7/a/2", "the last one, as in Metaflow"
    assert next(iter(inputs)) is held
    assert inputs[:1][0] is held
    assert opening.opened == ["7/a/1"]


def test_what_nobody_holds_is_let_go() -> None:
    inputs, opening = inputs_of(*(f"7/a/{n}" for n in range(100)))
    opened = [weakref.ref(source) for source in inputs]
    assert [source for source in opened if source() is not None] == []
    assert [source.path for source in inputs] == [f"7/a/{n}" for n in range(100)]
    assert len(opening.opened) == 200


class Lists(Opening):
    """Opens inputs with an artifact that is a new object each time it is loaded, as from a storage."""

    def _flow(self, path: str) -> FlowSpec:
        flow = super()._flow(path)
        flow._binding.artifacts = Loading({"lst": lambda: [1], "pair": lambda: (1.5, "x"), "mixed": lambda: ([1], 2)})
        return flow


class Loading(UserDict[str, Any]):
    def __getitem__(self, name: str) -> Any:
        return super().__getitem__(name)()


@pytest.mark.parametrize("together", [1, 4])
def test_what_was_changed_of_an_input_stays(together: int) -> None:
    inputs: Any = Inputs([f"7/a/{n}" for n in range(10)], Lists(), together)
    for source in inputs:
        source.lst.append(7)
        source.mixed[0].append(8)
        source.new = [source.path] if hasattr(source, "path") else []
    inputs[3].pair = "set"
    del inputs[4].lst
    assert inputs[0].lst is inputs[0].lst
    assert [source.lst for source in inputs[:4]] == [[1, 7]] * 4
    assert [source.mixed for source in inputs] == [([1, 8], 2)] * 10
    assert [source.new for source in inputs] == [[]] * 10
    assert [source.pair for source in inputs[2:5]] == [(1.5, "x"), "set", (1.5, "x")]
    assert not hasattr(inputs[4], "lst")


def test_what_was_only_read_and_cannot_change_is_not_kept() -> None:
    inputs: Any = Inputs([f"7/a/{n}" for n in range(100)], Lists())
    assert [source.pair for source in inputs] == [(1.5, "x")] * 100
    assert inputs._changes == {}
    assert inputs._opened == {}


def test_neighbours_are_opened_together() -> None:
    inputs, opening = inputs_of(*(f"7/a/{n}" for n in range(10)), together=4)
    held: Any = inputs[5]
    assert opening.opened == ["7/a/4", "7/a/5", "7/a/6", "7/a/7"]
    assert [source.path for source in inputs] == [f"7/a/{n}" for n in range(10)]
    assert opening.opened[4:] == [f"7/a/{n}" for n in (0, 1, 2, 3, 4, 5, 6, 7, 8, 9)]
    assert inputs[5] is held
    last: Any = inputs[9]
    assert last.path == "7/a/9"
    assert len(opening.opened) == 14


def test_iterating_again_and_backwards() -> None:
    inputs, _ = inputs_of("7/a/1", "7/b/2", "7/c/3")
    steps = ["a", "b", "c"]
    assert [source._binding.step for source in inputs] == steps
    assert [source._binding.step for source in inputs] == steps
    assert [source._binding.step for source in reversed(inputs)] == steps[::-1]
    assert [source._binding.step for source in inputs[1:]] == steps[1:]
    assert [source._binding.step for source in inputs[::-2]] == ["c", "a"]
    first, *_ = inputs
    assert first in inputs


@pytest.mark.parametrize("index", [3, -4])
def test_beyond_the_end(index: int) -> None:
    inputs, _ = inputs_of("7/a/1", "7/b/2", "7/c/3")
    with pytest.raises(IndexError):
        inputs[index]


@pytest.mark.parametrize("step", ["left", "count", "index", "opened"])
def test_by_the_name_of_a_step(step: str) -> None:
    """Whatever a step is called: `inputs` has no names of its own."""
    inputs, opening = inputs_of(f"7/{step}/1", "7/right/2")
    assert getattr(inputs, step).path == f"7/{step}/1"
    assert opening.opened == [f"7/{step}/1"]
    assert {step, "right"} <= set(dir(inputs))


def test_a_name_that_no_input_has_is_explained() -> None:
    inputs, opening = inputs_of("7/left/1", "7/right/2")
    with pytest.raises(AttributeError, match="left, right") as caught:
        inputs.accuracy
    assert "[i.accuracy for i in inputs]" in str(caught.value)
    assert not hasattr(inputs, "__array__")
    assert opening.opened == []


def test_what_a_step_has_assigned() -> None:
    _, opening = inputs_of()
    (flow,) = opening(["7/a/1"])
    flow.x = 1
    flow._y = 2
    assert attributes_of(flow) == {"x": 1, "_y": 2}


def test_a_missing_input_is_named() -> None:
    assert "7/a/1" in missing_input("7/a/1").message
