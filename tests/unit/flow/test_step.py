"""`@step`, and the steps of a class."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from metaflow.exception import InvalidFlow
from metaflow.flow.step import as_written, limits, step, steps_of


def test_a_step_stays_the_function_that_it_is() -> None:
    def work(self: object) -> str:
        """What it does."""
        return "done"

    marked: Any = step(work)
    same: object = marked
    assert same is work
    assert marked(None) == "done"
    assert (marked.is_step, marked.name) == (True, "work")
    assert marked.__doc__ == "What it does."


@pytest.mark.parametrize("thing", [1, "work", print, type("Work", (), {}), property(lambda self: 1)])
def test_what_is_no_method(thing: Any) -> None:
    with pytest.raises(InvalidFlow, match="not a method") as caught:
        step(thing)
    assert "@step directly above `def`" in str(caught.value.hint)


def test_a_step_that_begins_or_ends_the_flow() -> None:
    @step(start=True)
    def first(self: object) -> None: ...

    @step(end=True)
    def last(self: object) -> None: ...

    @step
    def middle(self: object) -> None: ...

    found: list[Any] = [first, middle, last]
    assert [(each.is_start, each.is_end) for each in found] == [(True, False), (False, False), (False, True)]
    assert all(each.is_step for each in found)
    assert limits({each.name: each for each in found}) == (("first",), ("last",))
    assert limits({"middle": middle}) == (("middle",), ("middle",))
    assert limits({"start": middle, "last": last, "end": middle}) == (("start",), ("last", "end"))


def test_what_is_said_of_a_step_is_a_dictionary() -> None:
    written: Any = {"owner": "ann"}

    @step(node_info=written)
    def work(self: object) -> None: ...

    marked: Any = work
    assert marked.node_info == written
    assert marked.node_info is not written
    wrong: Any = "ann"
    with pytest.raises(InvalidFlow, match="'work' is a str, not a dictionary") as caught:
        step(node_info=wrong)(work)
    assert "node_info=" in str(caught.value.hint)


class Base:
    @step
    def start(self) -> None: ...

    @step
    def middle(self) -> None: ...

    helper: Any = print


class Mixin:
    @step
    def extra(self) -> None: ...

    helper: Any = 3


class Child(Mixin, Base):
    @step
    def end(self) -> None: ...

    @step
    def start(self) -> None: ...

    middle: Any = None


def test_what_others_have_wrapped_is_found_again() -> None:
    def written(self: object, inputs: object) -> None: ...

    @functools.wraps(written)
    def once(*arguments: object) -> None: ...

    @functools.wraps(once)
    def twice(*arguments: object) -> None: ...

    assert as_written(twice) is as_written(written) is written


def test_steps_of_all_classes_in_order_of_definition() -> None:
    assert list(steps_of(Base)) == ["start", "middle"]
    steps = steps_of(Child)
    assert list(steps) == ["start", "extra", "end"]
    assert steps["start"] is vars(Child)["start"]
    assert steps_of(object) == {}
