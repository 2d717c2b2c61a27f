"""A flow instance bound by hand to a mapping: what it sees, what it notes, where it goes, what it merges."""

from __future__ import annotations

import collections
import copy
import hashlib
import pickle
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaflow.exception import (
    InvalidNextException,
    MergeArtifactsException,
    MetaflowException,
    MissingInMergeArtifactsException,
    UnhandledInMergeArtifactsException,
)
from metaflow.flow.binding import Binding, Transition, foreach_values_name
from metaflow.flow.frames import ForeachFrame
from metaflow.flow.parameters import Parameter
from metaflow.flow.spec import FlowSpec, constants_of, hint_for_missing, initial_of
from metaflow.flow.step import step
from metaflow.store.internals import mergeable
from support.present import present


class Stored(Mapping[str, Any]):
    """Artifacts that are made anew at each loading, as unpickling does; remembers what was loaded."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values_ = dict(values)
        self.loaded: list[str] = []

    def __getitem__(self, name: str) -> Any:
        self.loaded.append(name)
        return copy.deepcopy(self.values_[name])

    def __contains__(self, name: object) -> bool:
        return name in self.values_

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_)

    def __len__(self) -> int:
        return len(self.values_)


class Sample(FlowSpec):
    alpha = Parameter("alpha", default=0.5)
    colours = ("red", "green")
    limit = 3

    @step
    def start(self) -> None: ...

    @step
    def left(self) -> None: ...

    @step
    def right(self) -> None: ...

    @step
    def join(self, inputs: Sequence[FlowSpec]) -> None: ...

    @step
    def end(self) -> None: ...

    def helper(self) -> str:
        return "helped"

    @property
    def doubled(self) -> Any:
        return 2 * self.x


def bound(
    flow_class: type[FlowSpec] = Sample,
    step: str = "start",
    *,
    frames: Sequence[ForeachFrame] = (),
    is_join: bool = False,
    **artifacts: Any,
) -> Any:
    """Return an instance in a task; the key of an artifact is a hash of its text."""
    keys = mergeable({name: hashlib.sha1(repr(value).encode()).hexdigest() for name, value in artifacts.items()})
    flow = flow_class.__new__(flow_class)
    flow.__dict__["_binding"] = Binding(step, Stored(artifacts), keys, list(frames), is_join)
    return flow


def binding(flow: FlowSpec) -> Binding:
    return flow._binding


def loaded(flow: FlowSpec) -> list[str]:
    artifacts = flow._binding.artifacts
    assert isinstance(artifacts, Stored)
    return artifacts.loaded


def assigned(flow: FlowSpec) -> dict[str, Any]:
    """Return what will be saved."""
    return {name: value for name, value in flow.__dict__.items() if name != "_binding"}


# --- artifacts that come in ------------------------------------------------------------------------------------------


def test_an_artifact_is_loaded_when_it_is_touched_and_once() -> None:
    flow = bound(x=[1, 2], y=3)
    assert loaded(flow) == []
    assert hasattr(flow, "x")
    assert flow.x == [1, 2]
    assert flow.x is flow.x
    assert flow.y == flow.y == 3
    assert loaded(flow) == ["x", "y"]


@pytest.mark.parametrize("value", [1, 1.5, 1j, True, None, "text", b"bytes", (1, ("x", None)), frozenset({1})])
def test_what_cannot_be_changed_in_place_is_not_saved_again(value: Any) -> None:
    flow = bound(x=value)
    assert flow.x == value
    assert assigned(flow) == {}
    assert binding(flow).unchanging == {"x": value}


@pytest.mark.parametrize("value", [[1], {}, (1, []), {1}, bytearray(b"x"), type("Count", (int,), {})(1)])
def test_what_can_be_changed_in_place_is_saved_again(value: Any) -> None:
    flow = bound(x=value)
    assert flow.x == value
    assert assigned(flow) == {"x": value}
    assert flow.x is flow.__dict__["x"]


def test_a_change_in_place_is_seen() -> None:
    flow = bound(x=[1])
    flow.x.append(2)
    assert flow.x == [1, 2]
    assert assigned(flow) == {"x": [1, 2]}


def test_what_is_not_touched_is_neither_loaded_nor_saved() -> None:
    flow = bound(x=[1])
    flow.y = 1
    assert loaded(flow) == []
    assert assigned(flow) == {"y": 1}


def test_assigning_hides_what_came_in() -> None:
    flow = bound(x=[1])
    flow.x = 5
    assert flow.x == 5
    assert loaded(flow) == []
    flow.y = None
    assert flow.y is None
    assert assigned(flow) == {"x": 5, "y": None}


def test_internal_artifacts_can_be_read() -> None:
    assert bound(_graph_info={"steps": {}})._graph_info == {"steps": {}}


def test_helpers_and_properties_see_artifacts() -> None:
    flow = bound(x=4)
    assert flow.helper() == "helped"
    assert flow.doubled == 8


def test_getattr_with_a_default() -> None:
    flow = bound(x=1)
    assert getattr(flow, "x", 0) == 1
    assert getattr(flow, "missing", "default") == "default"
    assert not hasattr(flow, "missing")


@pytest.mark.parametrize(
    ("is_join", "name", "hint"),
    [
        (False, "missing", None),
        (False, "colour", "did you mean self.colours_seen?"),
        (True, "missing", "a join starts without artifacts"),
        (False, "_secre", None),
    ],
)
def test_what_is_not_there_is_explained(is_join: bool, name: str, hint: str | None) -> None:
    flow = bound(is_join=is_join, colours_seen=1, _secret=2)
    with pytest.raises(AttributeError, match=f"no artifact '{name}' in the step 'start'") as caught:
        getattr(flow, name)
    assert (caught.value.name, caught.value.obj) == (name, flow)
    assert (hint_for_missing(flow, name) or "").startswith(hint or "")
    assert (hint_for_missing(flow, name) is None) == (hint is None)


def test_a_property_names_what_it_lacks_itself() -> None:
    with pytest.raises(AttributeError, match="no artifact 'x'"):
        bound().doubled


# --- deletion --------------------------------------------------------------------------------------------------------


def test_what_was_deleted_is_gone() -> None:
    for touch in (False, True):
        flow = bound(x=[1], y=1)
        if touch:
            assert flow.x
            assert flow.y
        del flow.x
        del flow.y
        assert not hasattr(flow, "x")
        assert not hasattr(flow, "y")
        assert binding(flow).deleted == {"x", "y"}
        assert assigned(flow) == {}
        with pytest.raises(AttributeError, match="deleted"):
            flow.x
        with pytest.raises(AttributeError):
            del flow.x


def test_what_was_deleted_can_be_assigned_again() -> None:
    flow = bound(x=[1])
    del flow.x
    flow.x = 2
    assert flow.x == 2
    assert assigned(flow) == {"x": 2}
    del flow.x
    assert not hasattr(flow, "x")


def test_deleting_an_own_attribute() -> None:
    flow = bound()
    flow.tool = object()
    del flow.tool
    assert assigned(flow) == {}
    assert binding(flow).deleted == set()
    with pytest.raises(AttributeError):
        del flow.never


# --- what cannot be assigned -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["alpha", "colours", "limit", "start", "join", "input", "index", "doubled"])
def test_steps_constants_parameters_and_properties_stay(name: str) -> None:
    flow = bound(alpha=0.5, colours=("red",), limit=3, x=1)
    with pytest.raises(AttributeError, match=name):
        setattr(flow, name, 1)
    with pytest.raises(AttributeError):
        delattr(flow, name)
    assert assigned(flow) == {}
    assert binding(flow).deleted == set()


def test_a_parameter_is_read_once() -> None:
    flow = bound(alpha=0.25)
    assert flow.alpha == flow.alpha == 0.25
    assert loaded(flow) == ["alpha"]
    assert assigned(flow) == {}


def test_constants_are_those_of_the_class() -> None:
    flow = bound(limit=99)
    assert flow.limit == 3
    assert flow.colours == ("red", "green")
    assert loaded(flow) == []
    assert constants_of(Sample) == {"colours": ("red", "green"), "limit": 3}


def test_what_is_no_constant() -> None:
    class Odd(FlowSpec):
        _private = 1
        plain = None
        function = len

        class Inner: ...

        @staticmethod
        def static() -> None: ...

        @classmethod
        def of_class(cls) -> None: ...

        @step
        def start(self) -> None: ...

    assert constants_of(Odd) == {"function": len, "plain": None}
    flow = bound(Odd)
    flow._private = 2
    assert assigned(flow) == {"_private": 2}


# --- without a task --------------------------------------------------------------------------------------------------


def test_an_unbound_flow_is_inert() -> None:
    flow = Sample(use_cli=False)
    assert str(flow) == "<flow Sample>"
    assert isinstance(flow.alpha, Parameter)
    flow.x = 1
    assert flow.x == 1
    with pytest.raises(AttributeError, match="'Sample' object has no attribute 'missing'"):
        flow.missing


@pytest.mark.parametrize(
    "touch",
    [
        lambda flow: flow.index,
        lambda flow: flow.input,
        lambda flow: flow.foreach_stack(),
        lambda flow: flow.next(flow.end),
        lambda flow: flow.merge_artifacts([]),
    ],
    ids=["index", "input", "foreach_stack", "next", "merge_artifacts"],
)
def test_what_needs_a_task_says_so(touch: Any) -> None:
    with pytest.raises(AttributeError, match="only while a step runs"):
        touch(Sample(use_cli=False))


def test_a_flow_shows_its_steps() -> None:
    flow = bound(frames=[ForeachFrame("a", "items", 3, 1), ForeachFrame("b", "more", 5, 4)], step="left")
    assert str(flow) == "<flow Sample step left[1][4]>"
    assert [function.__name__ for function in flow] == ["start", "left", "right", "join", "end"]
    assert flow["left"] == flow.left
    with pytest.raises(KeyError, match="no step 'helper'"):
        flow["helper"]


@pytest.mark.parametrize("flow", [Sample(use_cli=False), bound(x=1)], ids=["unbound", "bound"])
def test_a_flow_cannot_be_pickled(flow: FlowSpec) -> None:
    for copying in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="a flow cannot be pickled"):
            copying(flow)


# --- foreach: where the task stands ----------------------------------------------------------------------------------


def test_outside_of_a_foreach() -> None:
    flow = bound()
    assert (flow.index, flow.input, flow.foreach_stack()) == (None, None, [])


def test_inside_of_two() -> None:
    frames = [ForeachFrame("a", "letters", 2, 1), ForeachFrame("b", "numbers", 3, 2)]
    values: dict[str, Any] = {foreach_values_name(0): "xy", foreach_values_name(1): [10, 20, 30]}
    flow = bound(frames=frames, **values)
    assert flow.index == 2
    assert loaded(flow) == []
    assert flow.input == flow.input == 30
    assert loaded(flow) == [foreach_values_name(1)]
    assert flow.foreach_stack() == [(1, 2, "y"), (2, 3, 30)]
    assert flow.foreach_stack()[-1] == (flow.index, 3, flow.input)
    assert assigned(flow) == {}


def test_an_element_is_one_object() -> None:
    values: dict[str, Any] = {foreach_values_name(0): [{"n": 1}]}
    flow = bound(frames=[ForeachFrame("a", "items", 1, 0)], **values)
    flow.input["n"] = 2
    assert flow.input == {"n": 2}


# --- next ------------------------------------------------------------------------------------------------------------


def transition(flow: FlowSpec) -> Transition:
    found = flow._binding.transition
    assert found is not None
    return found


def test_to_one_step_and_to_several() -> None:
    flow = bound()
    flow.next(flow.end)
    assert (transition(flow).steps, transition(flow).foreach, transition(flow).values) == (("end",), None, None)
    flow = bound()
    flow.next(flow.right, flow.left)
    assert transition(flow).steps == ("right", "left")


def test_to_a_step_of_a_base_class() -> None:
    class Child(Sample):
        @step
        def left(self) -> None: ...

    flow = bound(Child)
    flow.next(flow.left, flow.right)
    assert transition(flow).steps == ("left", "right")


@pytest.mark.parametrize(
    "items",
    [
        [1, 2, 3],
        (1, 2),
        range(3),
        "abc",
        b"abc",
        {"a": 1, "b": 2},
        {1, 2},
        frozenset([1]),
        collections.deque([1, 2]),
        collections.OrderedDict(a=1),
        collections.Counter("aab"),
        bytearray(b"xy"),
        memoryview(b"xy"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_foreach_over_anything_that_a_for_loop_takes(items: Any) -> None:
    flow = bound()
    flow.items = items
    flow.next(flow.left, foreach="items")
    found = transition(flow)
    assert (found.steps, found.foreach) == (("left",), "items")
    assert found.values is not None
    assert [found.values[number] for number in range(len(found.values))] == list(items)
    assert flow.items is items


def test_a_foreach_over_an_array() -> None:
    numpy = pytest.importorskip("numpy")
    flow = bound(items=numpy.arange(3))
    flow.next(flow.left, foreach="items")
    assert list(present(transition(flow).values)) == [0, 1, 2]
    assert transition(flow).values is flow.items
    flow = bound(items=numpy.array(3))
    with pytest.raises(InvalidNextException, match="ndarray"):
        flow.next(flow.left, foreach="items")


def test_a_foreach_over_a_value_that_came_in() -> None:
    flow = bound(items=["a", "b"])
    flow.next(flow.left, foreach="items")
    assert transition(flow).values is flow.items


@pytest.mark.parametrize(
    "make",
    [
        lambda: (letter for letter in "abc"),
        lambda: iter("abc"),
        lambda: zip("abc", strict=False),
        lambda: map(str, "abc"),
        lambda: {"a": 1, "b": 2}.keys(),
        lambda: {"a": 1, "b": 2}.items(),
    ],
    ids=["generator", "iterator", "zip", "map", "keys", "items"],
)
def test_what_can_be_iterated_once_becomes_a_list(make: Any) -> None:
    flow = bound()
    flow.items = make()
    flow.next(flow.left, foreach="items")
    assert flow.items == list(make())
    assert transition(flow).values is flow.items


class Lines:
    """Iterates, and nothing else."""

    def __iter__(self) -> Iterator[str]:
        return iter(["one", "two"])


class Failing:
    def __iter__(self) -> Iterator[int]:
        yield 1
        raise TypeError("of the user's code")


def test_an_object_that_iterates() -> None:
    flow = bound()
    flow.items = lines = Lines()
    flow.next(flow.left, foreach="items")
    assert transition(flow).values == ["one", "two"]
    assert flow.items is lines


def test_an_error_while_iterating_is_the_users() -> None:
    flow = bound()
    flow.items = Failing()
    with pytest.raises(TypeError, match="of the user's code"):
        flow.next(flow.left, foreach="items")


class Choice:
    pass


CHOICE = Choice()


@pytest.mark.parametrize(
    ("key", "other"),
    [("a", "b"), (1, 2), (True, False), (None, 0), (1.5, 2), ((1, "x"), (1, "y")), (CHOICE, Choice()), (Choice, Lines)],
)
def test_a_switch_takes_any_key(key: Any, other: Any) -> None:
    for value, target in ((key, "left"), (other, "right")):
        flow = bound()
        flow.choice = value
        flow.next({key: flow.left, other: flow.right}, condition="choice")
        assert transition(flow).steps == (target,)
        assert transition(flow).foreach is None


@pytest.mark.parametrize("value", ["c", 0, None, ["unhashable"], {"a": 1}, Ellipsis])
def test_a_value_that_is_no_key_of_the_switch(value: Any) -> None:
    flow = bound()
    flow.choice = value
    with pytest.raises(RuntimeError, match="choice") as caught:
        flow.next({"a": flow.left, "b": flow.right}, condition="choice")
    assert repr(value) in str(caught.value)
    assert "'a', 'b'" in str(caught.value)
    assert binding(flow).transition is None


def test_a_switch_on_a_parameter() -> None:
    flow = bound(alpha=0.5)
    flow.next({0.5: flow.left, 1.0: flow.right}, condition="alpha")
    assert transition(flow).steps == ("left",)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda flow: flow.next(), "names no step"),
        (lambda flow: flow.next(foreach="items"), "names no step"),
        (lambda flow: flow.next("end"), "'end'"),
        (lambda flow: flow.next(None), "None"),
        (lambda flow: flow.next(flow.helper), "self.helper"),
        (lambda flow: flow.next(Sample.end), "self.end"),
        (lambda flow: flow.next(bound().end), "self.end"),
        (lambda flow: flow.next(len), "len"),
        (lambda flow: flow.next([flow.left, flow.right]), "not a step"),
        (lambda flow: flow.next({"a": flow.left}), "not a step"),
        (lambda flow: flow.next(flow.left, flow.left), "twice"),
        (lambda flow: flow.next(flow.left, flow.right, foreach="items"), "2 steps"),
        (lambda flow: flow.next(flow.left, foreach="missing"), "self.missing"),
        (lambda flow: flow.next(flow.left, foreach=flow.items), "list"),
        (lambda flow: flow.next(flow.left, foreach=3), "int"),
        (lambda flow: flow.next(flow.left, foreach="number"), "cannot be iterated over"),
        (lambda flow: flow.next(flow.left, foreach="nothing"), "empty"),
        (lambda flow: flow.next(flow.left, foreach="none"), "NoneType"),
        (lambda flow: flow.next(flow.left, condition="choice"), "dictionary"),
        (lambda flow: flow.next(condition="choice"), "dictionary"),
        (lambda flow: flow.next({}, condition="choice"), "dictionary"),
        (lambda flow: flow.next({"a": flow.left}, flow.right, condition="choice"), "dictionary"),
        (lambda flow: flow.next({"a": flow.left}, condition="choice", foreach="items"), "dictionary"),
        (lambda flow: flow.next({"a": "left"}, condition="choice"), "'left'"),
        (lambda flow: flow.next({"a": flow.left}, condition="missing"), "self.missing"),
        (lambda flow: flow.next({"a": flow.left}, condition=3), "condition="),
        (lambda flow: flow.next(flow.left, num_parallel=2), "num_parallel"),
    ],
)
def test_arguments_of_no_shape(call: Any, words: str) -> None:
    flow = bound(choice="a", items=[1], nothing=[], number=3, none=None)
    with pytest.raises(InvalidNextException) as caught:
        call(flow)
    assert words in caught.value.message
    assert "'start'" in caught.value.message or words == "num_parallel"
    assert binding(flow).transition is None


def test_the_nearest_step_is_the_hint() -> None:
    flow = bound()
    with pytest.raises(InvalidNextException) as caught:
        flow.next("lefd")
    assert caught.value.hint == "did you mean self.left?"


def test_next_is_called_once() -> None:
    flow = bound(step="left")
    flow.next(flow.end)
    with pytest.raises(InvalidNextException, match=r"'left' calls self\.next\(\) twice"):
        flow.next(flow.end)
    assert transition(flow).steps == ("end",)


# --- merge_artifacts -------------------------------------------------------------------------------------------------


def join(*inputs: Mapping[str, Any], **artifacts: Any) -> tuple[Any, list[Any]]:
    """Return a bound join and its inputs."""
    return bound(step="join", is_join=True, **artifacts), [bound(step="left", **values) for values in inputs]


def merged(flow: FlowSpec) -> list[str]:
    return sorted(flow._binding.merged)


def test_what_the_inputs_agree_on_is_taken_over_unread() -> None:
    flow, inputs = join({"x": [1], "one": "L", "name": "Sample"}, {"x": [1], "two": "R", "_foreach_stack": []})
    flow.merge_artifacts(inputs)
    assert merged(flow) == ["one", "two", "x"]
    assert [loaded(source) for source in inputs] == [[], []]
    assert assigned(flow) == {}
    assert (flow.x, flow.one, flow.two) == ([1], "L", "R")
    assert assigned(flow) == {"x": [1]}
    assert loaded(inputs[0]) == ["x", "one"]
    assert loaded(inputs[1]) == ["two"]


def test_agreement_is_about_stored_content() -> None:
    """Equal values that are stored differently differ; unequal objects that are stored alike do not."""
    flow, inputs = join({"x": 1}, {"x": True})
    with pytest.raises(UnhandledInMergeArtifactsException):
        flow.merge_artifacts(inputs)
    flow, inputs = join({"x": 1}, {"x": 2})
    for source in inputs:
        source._binding.keys = {"x": "the same"}
    flow.merge_artifacts(inputs)
    assert flow.x == 1


def test_conflicts_are_named_and_nothing_is_taken_over() -> None:
    flow, inputs = join({"b": 1, "a": 1, "same": 0}, {"b": 2, "a": 2, "same": 0}, {"b": 1, "a": 1, "same": 0})
    with pytest.raises(UnhandledInMergeArtifactsException, match="a, b") as caught:
        flow.merge_artifacts(inputs)
    assert caught.value.artifact_names == ["a", "b"]
    assert "exclude" in str(caught.value.hint)
    assert merged(flow) == []
    assert not hasattr(flow, "same")


def test_what_is_set_before_stays() -> None:
    flow, inputs = join({"x": 1, "y": 1}, {"x": 2, "y": 1})
    flow.x = "decided"
    flow.merge_artifacts(inputs)
    assert flow.x == "decided"
    assert merged(flow) == ["y"]
    flow, inputs = join({"x": 1}, {"x": 2})
    flow.x = None
    flow.merge_artifacts(inputs, include=["x"])
    assert flow.x is None


def test_what_was_merged_before_stays() -> None:
    """A merged artifact is set on self, so a further merge leaves it alone."""
    flow, inputs = join({"x": 1, "y": 1}, {"x": 2, "z": 2})
    flow.merge_artifacts(inputs[:1])
    flow.merge_artifacts(inputs)
    assert (flow.x, flow.y, flow.z) == (1, 1, 2)
    flow.merge_artifacts(inputs, include=["x"])
    assert flow.x == 1


def test_assigning_and_deleting_after_a_merge() -> None:
    flow, inputs = join({"x": 1, "y": [1]}, {"x": 1, "y": [1]})
    flow.merge_artifacts(inputs)
    flow.x = 5
    assert flow.y == [1]
    del flow.y
    assert flow.x == 5
    assert not hasattr(flow, "y")
    assert merged(flow) == ["x"]
    assert assigned(flow) == {"x": 5}
    flow.merge_artifacts(inputs)
    assert flow.y == [1]
    assert flow.x == 5


def test_exclude() -> None:
    flow, inputs = join({"x": 1, "y": 1}, {"x": 2, "y": 1})
    flow.merge_artifacts(inputs, exclude=["x", "never"])
    assert merged(flow) == ["y"]
    assert not hasattr(flow, "x")


def test_include() -> None:
    flow, inputs = join({"x": 1, "y": 1, "one": "L"}, {"x": 2, "y": 1})
    flow.merge_artifacts(inputs, include=["y", "one"])
    assert merged(flow) == ["one", "y"]
    with pytest.raises(UnhandledInMergeArtifactsException) as caught:
        flow.merge_artifacts(inputs, include=["x"])
    assert caught.value.artifact_names == ["x"]


def test_what_is_included_must_be_there() -> None:
    flow, inputs = join({"x": 1}, {"x": 1})
    with pytest.raises(MissingInMergeArtifactsException, match="nowhere, other") as caught:
        flow.merge_artifacts(inputs, include=["x", "other", "nowhere"])
    assert caught.value.artifact_names == ["nowhere", "other"]
    assert merged(flow) == []


def test_not_both_include_and_exclude() -> None:
    flow, inputs = join({"x": 1}, {"x": 1})
    with pytest.raises(MergeArtifactsException, match="not both"):
        flow.merge_artifacts(inputs, include=["x"], exclude=["y"])
    flow.merge_artifacts(inputs, include=[], exclude=[])
    assert merged(flow) == ["x"]


def test_only_a_join_merges() -> None:
    flow = bound(step="left")
    with pytest.raises(MetaflowException, match="'left', which is no join"):
        flow.merge_artifacts([bound(x=1)])


def test_parameters_constants_and_our_own_are_no_matter_of_merging() -> None:
    both = [
        {"alpha": 0.5, "limit": 1, "_transition": number, "_foreach_values_0": number, "_graph_info": number}
        for number in range(2)
    ]
    flow, inputs = join(*both, alpha=0.5)
    flow.merge_artifacts(inputs)
    assert merged(flow) == []
    assert (flow.alpha, flow.limit) == (0.5, 3)


def test_underscored_artifacts_of_the_user_are_merged() -> None:
    flow, inputs = join({"_own": 1, "_mine": 1}, {"_own": 1, "_mine": 2})
    with pytest.raises(UnhandledInMergeArtifactsException) as caught:
        flow.merge_artifacts(inputs)
    assert caught.value.artifact_names == ["_mine"]
    flow.merge_artifacts(inputs, exclude=["_mine"])
    assert flow._own == 1


def test_any_iterable_of_inputs() -> None:
    flow, inputs = join({"x": 1}, {"x": 1})
    flow.merge_artifacts(source for source in inputs)
    assert flow.x == 1


NAMES = st.sampled_from("abcd")


@given(
    st.lists(st.dictionaries(NAMES, st.integers(0, 1)), min_size=1, max_size=4),
    st.dictionaries(NAMES, st.just("own")),
    st.sets(NAMES),
)
def test_merging_is_taking_what_all_that_have_it_agree_on(
    branches: list[dict[str, int]], own: dict[str, str], exclude: set[str]
) -> None:
    flow, inputs = join(*branches)
    for name, value in own.items():
        setattr(flow, name, value)
    values = {name: {branch[name] for branch in branches if name in branch} for name in "abcd"}
    open_names = {name for name in values if values[name] and name not in own and name not in exclude}
    conflicts = sorted(name for name in open_names if len(values[name]) > 1)
    if conflicts:
        with pytest.raises(UnhandledInMergeArtifactsException) as caught:
            flow.merge_artifacts(inputs, exclude=exclude)
        assert caught.value.artifact_names == conflicts
        assert merged(flow) == []
    else:
        flow.merge_artifacts(inputs, exclude=exclude)
        assert merged(flow) == sorted(open_names)
        for name in open_names:
            assert {getattr(flow, name)} == values[name]
    for name in own:
        assert getattr(flow, name) == "own"


# --- inheritance -----------------------------------------------------------------------------------------------------


class Basis(FlowSpec):
    size = 1
    shade = "dark"
    beta = Parameter("beta", default=1)

    @step
    def start(self) -> None: ...

    @step
    def middle(self) -> None: ...

    @step
    def end(self) -> None: ...


class Mixin:
    grade = "A"


class Derived(Mixin, Basis):
    size = 2
    shade = Parameter("shade", default="light")
    beta = 7

    @step
    def extra(self) -> None: ...

    def middle(self) -> None:  # no step any more
        ...


def test_steps_constants_and_parameters_are_inherited_and_overridden() -> None:
    assert list(Basis._steps) == ["start", "middle", "end"]
    assert list(Derived._steps) == ["start", "end", "extra"]
    assert constants_of(Derived) == {"size": 2, "grade": "A", "beta": 7}
    assert Derived._parameter_names() == ["shade"]
    flow = bound(Derived, shade="light")
    assert (flow.size, flow.shade, flow.beta, flow.grade) == (2, "light", 7, "A")
    for name in ("size", "shade", "beta", "grade"):
        with pytest.raises(AttributeError):
            setattr(flow, name, 0)
    flow.middle = "an artifact now"
    assert assigned(flow) == {"middle": "an artifact now"}


# --- a flow's own __init__ -------------------------------------------------------------------------------------------


def test_what_an_own_init_assigns_is_known_without_the_command_line() -> None:
    class WithInit(FlowSpec):
        limit = 3

        def __init__(self, use_cli: bool = True) -> None:
            self.greeting = "hello"
            self.limit = 4
            super().__init__(use_cli)
            raise AssertionError("the command line does not come back")

        @step
        def start(self) -> None: ...

    assert initial_of(WithInit) == {"greeting": "hello"}
    assert initial_of(Sample) == {}
