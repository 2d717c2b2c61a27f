"""Decorators as objects: attributes, their checks, and how they are shown."""

from __future__ import annotations

from typing import Any

import pytest

from metaflow.decorators.resources import ResourcesDecorator
from metaflow.exception import InvalidDecoratorAttribute
from metaflow.flow.decorator import StepDecorator


class ProbeDecorator(StepDecorator):
    name = "probe"
    defaults = {"depth": 1, "tip": None}

    def check(self) -> None:
        if self.attributes["depth"] == 13:
            raise self.error("@probe does not go to 13.")


def test_attributes_over_defaults() -> None:
    made = ProbeDecorator({"depth": 2}, ("/flows/flow.py", 7))
    assert made.attributes == {"depth": 2, "tip": None}
    assert made.given == {"depth"}
    assert made.source == "@probe (flow.py:7)"
    assert ProbeDecorator({}).source == "--with probe"
    assert ProbeDecorator.defaults == {"depth": 1, "tip": None}


def test_an_unknown_attribute_names_the_nearest() -> None:
    with pytest.raises(InvalidDecoratorAttribute, match="@probe has no attribute 'dept'") as caught:
        ProbeDecorator({"dept": 2}, ("/flows/flow.py", 7))
    assert caught.value.hint == "did you mean 'depth'?"
    assert (caught.value.source_file, caught.value.line_no) == ("/flows/flow.py", 7)


def test_an_attribute_that_is_near_to_nothing() -> None:
    with pytest.raises(InvalidDecoratorAttribute) as caught:
        ProbeDecorator({"colour": 1})
    assert caught.value.hint == "its attributes: depth, tip"
    assert caught.value.where is None


def test_values_are_checked() -> None:
    with pytest.raises(InvalidDecoratorAttribute, match="13"):
        ProbeDecorator({"depth": 13})


def test_as_text() -> None:
    assert repr(ProbeDecorator({})) == "@probe()"
    assert repr(ProbeDecorator({"tip": "x", "depth": 2})) == "@probe(depth=2, tip='x')"


# --- @resources ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0, 1, 0.5, "2", "0.5", None])
@pytest.mark.parametrize("key", sorted(set(ResourcesDecorator.defaults) - {"gpu", "memory_limit"}))
def test_resources_are_numbers(key: str, value: Any) -> None:
    assert ResourcesDecorator({key: value}).attributes[key] == value


@pytest.mark.parametrize("value", [0.5, "0.5"])
def test_a_part_of_a_gpu(value: Any) -> None:
    with pytest.raises(InvalidDecoratorAttribute, match="a whole number of GPUs, 0 or more"):
        ResourcesDecorator({"gpu": value})


@pytest.mark.parametrize("value", [-1, "-1", "many", "", True, [1], "nan", float("inf"), "4G"])
@pytest.mark.parametrize(("key", "unit"), [("cpu", "cores"), ("gpu", "GPUs"), ("memory", "MB"), ("disk", "MB")])
def test_resources_that_are_none(key: str, unit: str, value: Any) -> None:
    with pytest.raises(InvalidDecoratorAttribute) as caught:
        ResourcesDecorator({key: value})
    assert f"@resources({key}={value!r})" in caught.value.message
    assert unit in caught.value.message


def test_what_resources_are_by_default() -> None:
    assert ResourcesDecorator({}).attributes == {
        "cpu": 1, "gpu": None, "disk": None, "memory": "4096", "memory_limit": None, "shared_memory": None,
    }  # fmt: skip
