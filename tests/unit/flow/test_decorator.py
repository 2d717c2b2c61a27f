"""Step decorators: from source and from the command line the same objects, and the texts that make them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaflow.decorators.batch import batch
from metaflow.decorators.kubernetes import kubernetes
from metaflow.decorators.resources import ResourcesDecorator, resources
from metaflow.exception import CommandException, InvalidDecoratorAttribute, InvalidFlow
from metaflow.flow.decorator import StepDecorator, attach, attach_specs, backend_of, detach, parse_spec
from metaflow.flow.spec import FlowSpec
from metaflow.flow.step import step


class ProbeDecorator(StepDecorator):
    name = "probe"
    defaults = {"depth": 1, "tip": None}

    def check(self) -> None:
        if self.attributes["depth"] == 13:
            raise self.error("@probe does not go to 13.")


def probe(function: Any = None, **attributes: Any) -> Any:
    return attach(ProbeDecorator, function, attributes)


def decorators(function: Any) -> list[StepDecorator]:
    found = function.decorators
    assert isinstance(found, list)
    return found


def line(error: InvalidFlow) -> str:
    assert error.source_file == __file__
    assert error.line_no is not None
    return Path(error.source_file).read_text().splitlines()[error.line_no - 1].strip()


# --- on a step -------------------------------------------------------------------------------------------------------


def test_bare_called_and_with_attributes() -> None:
    @probe
    @step
    def bare(self: object) -> None: ...

    @probe()
    @step
    def called(self: object) -> None: ...

    @probe(depth=2)
    @step
    def deep(self: object) -> None: ...

    for function, names, attributes in (
        (bare, set(), {"depth": 1, "tip": None}),
        (called, set(), {"depth": 1, "tip": None}),
        (deep, {"depth"}, {"depth": 2, "tip": None}),
    ):
        (found,) = decorators(function)
        assert type(found) is ProbeDecorator
        assert found.given == names
        assert found.attributes == attributes
        assert found.origin is not None
        assert found.origin[0] == __file__
    assert ProbeDecorator.defaults == {"depth": 1, "tip": None}


def test_the_first_line_comes_first() -> None:
    @resources(cpu=2)
    @probe
    @step
    def work(self: object) -> None: ...

    assert [found.name for found in decorators(work)] == ["resources", "probe"]


def test_one_decorator_serves_several_steps() -> None:
    deep = probe(depth=3)

    @deep
    @step
    def one(self: object) -> None: ...

    @deep
    @step
    def two(self: object) -> None: ...

    assert decorators(one)[0].attributes == decorators(two)[0].attributes
    assert decorators(one)[0] is not decorators(two)[0]


def test_an_unknown_attribute_names_the_nearest() -> None:
    with pytest.raises(InvalidDecoratorAttribute, match="@probe has no attribute 'dept'") as caught:

        @probe(dept=2)
        @step
        def work(self: object) -> None: ...

    assert caught.value.hint == "did you mean 'depth'?"
    assert line(caught.value) == "@probe(dept=2)"


def test_an_attribute_that_is_near_to_nothing() -> None:
    with pytest.raises(InvalidDecoratorAttribute) as caught:
        ProbeDecorator({"colour": 1})
    assert caught.value.hint == "its attributes: depth, tip"
    assert caught.value.where is None


def test_values_are_checked() -> None:
    with pytest.raises(InvalidDecoratorAttribute, match="13") as caught:

        @probe(depth=13)
        @step
        def work(self: object) -> None: ...

    assert line(caught.value) == "@probe(depth=13)"


def test_below_step_is_the_wrong_place() -> None:
    with pytest.raises(InvalidFlow, match="@probe stands on 'work', which is not a step") as caught:

        @step
        @probe
        def work(self: object) -> None: ...

    assert "@step directly above" in str(caught.value.hint)
    assert line(caught.value) in ("@probe", "@step")


def test_twice_is_once_too_often() -> None:
    with pytest.raises(InvalidFlow, match="'work' has @probe twice") as caught:

        @probe(depth=2)
        @probe
        @step
        def work(self: object) -> None: ...

    assert line(caught.value) == "@probe(depth=2)"


def test_as_text() -> None:
    assert repr(ProbeDecorator({})) == "@probe()"
    assert repr(ProbeDecorator({"tip": "x", "depth": 2})) == "@probe(depth=2, tip='x')"
    assert ProbeDecorator({}).spec() == "probe"
    assert ProbeDecorator({"tip": "x", "depth": 2}).spec() == 'probe:depth=2,tip="x"'


# --- from the command line -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "attributes"),
    [
        ("d", {}),
        ("d:", {}),
        ("d:a=1", {"a": 1}),
        ("d:a=1,b=2.5,c=true,d=null", {"a": 1, "b": 2.5, "c": True, "d": None}),
        ("d:a=text", {"a": "text"}),
        ("d:a=True", {"a": "True"}),
        ("d:a=4G,b=1", {"a": "4G", "b": 1}),
        ("d:a=", {"a": ""}),
        ("d: a = 1 , b = x ", {"a": 1, "b": "x"}),
        ("d:a=1,,b=2,", {"a": 1, "b": 2}),
        ("d:a=x=y", {"a": "x=y"}),
        ("d:a=s3://bucket/key", {"a": "s3://bucket/key"}),
        ("d:a=image:latest", {"a": "image:latest"}),
        ('d:sources=["a","b"],b=1', {"sources": ["a", "b"], "b": 1}),
        ('d:a={"x": {"y": [1, 2]}, "z": "1,2"},b=1', {"a": {"x": {"y": [1, 2]}, "z": "1,2"}, "b": 1}),
        ('d:a="x,y",b=1', {"a": "x,y", "b": 1}),
        (r'd:a="x\",y",b=1', {"a": 'x",y', "b": 1}),
        (r'd:a="x\\",b=1', {"a": "x\\", "b": 1}),
        ('d:a="[",b=1', {"a": "[", "b": 1}),
        ('d:a="5"', {"a": "5"}),
        ("d:a=f(1,2),b=1", {"a": "f(1,2)", "b": 1}),
        ("d:a=x),b=1", {"a": "x)", "b": 1}),
        ("d:a=1,a=2", {"a": 2}),
    ],
)
def test_specs(spec: str, attributes: dict[str, Any]) -> None:
    assert parse_spec(spec) == ("d", attributes)


@pytest.mark.parametrize(
    ("spec", "words"),
    [("", "names no decorator"), (":a=1", "names no decorator"), ("d:a", "'a'"), ("d:a=1,b", "'b'"), ("d:=1", "'=1'")],
)
def test_malformed_specs(spec: str, words: str) -> None:
    with pytest.raises(CommandException) as caught:
        parse_spec(spec)
    assert words in caught.value.message
    assert f"--with '{spec}'" in caught.value.message
    assert caught.value.hint


TEXTS = st.text() | st.text("\"'\\,=:[]{}() a1")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(st.fixed_dictionaries({}, optional={"depth": VALUES.filter(lambda value: value != 13), "tip": VALUES}))
def test_a_decorator_is_made_again_from_its_text(attributes: dict[str, Any]) -> None:
    decorator = ProbeDecorator(attributes)
    name, again = parse_spec(decorator.spec())
    assert name == "probe"
    assert json.dumps(again, sort_keys=True) == json.dumps(attributes, sort_keys=True)
    assert ProbeDecorator(again).spec() == decorator.spec()


def flow() -> type[FlowSpec]:
    class Sample(FlowSpec):
        @step
        def start(self) -> None: ...

        @resources(cpu=8)
        @step
        def big(self) -> None: ...

        @probe
        @step
        def end(self) -> None: ...

    return Sample


def attached(flow_class: type[FlowSpec]) -> dict[str, list[str]]:
    return {name: [found.spec() for found in decorators(function)] for name, function in flow_class._steps.items()}


def test_specs_go_to_all_steps_that_do_not_have_the_decorator() -> None:
    flow_class = flow()
    attach_specs(flow_class, ["resources:cpu=2,memory=100"])
    assert attached(flow_class) == {
        "start": ["resources:cpu=2,memory=100"],
        "big": ["resources:cpu=8"],
        "end": ["probe", "resources:cpu=2,memory=100"],
    }
    (found,) = decorators(flow_class._steps["start"])
    assert type(found) is ResourcesDecorator
    assert found.origin is None


def test_of_two_specs_the_first_counts() -> None:
    flow_class = flow()
    attach_specs(flow_class, iter(["resources:cpu=2", "resources:cpu=3"]))
    assert attached(flow_class)["start"] == ["resources:cpu=2"]
    attach_specs(flow_class, [])
    assert attached(flow_class)["start"] == ["resources:cpu=2"]


def test_steps_of_a_base_class_get_it_too() -> None:
    class Child(flow()):  # type: ignore[misc]
        @step
        def extra(self) -> None: ...

    attach_specs(Child, ["resources"])
    assert all(any(spec.startswith("resources") for spec in specs) for specs in attached(Child).values())


@pytest.mark.parametrize(
    ("spec", "error", "words", "hint"),
    [
        ("resourses", CommandException, "'resourses'", "did you mean 'resources'?"),
        ("resources:cpus=2", InvalidDecoratorAttribute, "no attribute 'cpus'", "did you mean 'cpu'?"),
        ("resources:cpu=lots", InvalidDecoratorAttribute, "cpu='lots'", None),
        ("card", CommandException, "not available in this version", None),
    ],
)
def test_specs_that_cannot_be(spec: str, error: type[Exception], words: str, hint: str | None) -> None:
    with pytest.raises(error) as caught:
        attach_specs(flow(), [spec])
    assert words in str(caught.value)
    assert getattr(caught.value, "hint") == hint  # noqa: B009


# --- --without -------------------------------------------------------------------------------------------------------


def test_decorators_are_taken_away() -> None:
    flow_class = flow()
    assert detach(flow_class, ["@resources", "retry"]) == {"resources": ["big"], "retry": []}
    assert attached(flow_class) == {"start": [], "big": [], "end": ["probe"]}


def test_several_names_in_one_text() -> None:
    assert detach(flow(), ["retry, resources", "catch"]) == {"retry": [], "resources": ["big"], "catch": []}


def test_a_decorator_can_be_replaced() -> None:
    flow_class = flow()
    detach(flow_class, ["resources"])
    attach_specs(flow_class, ["resources:cpu=3"])
    assert attached(flow_class)["big"] == ["resources:cpu=3"]


def test_without_what_is_not() -> None:
    with pytest.raises(CommandException, match="no step decorator 'resource'") as caught:
        detach(flow(), ["resource"])
    assert caught.value.hint == "did you mean 'resources'?"


# --- backends --------------------------------------------------------------------------------------------------------


def sent() -> type[FlowSpec]:
    class Sent(FlowSpec):
        @kubernetes(memory=2000)
        @step
        def start(self) -> None: ...

        @resources
        @step
        def end(self) -> None: ...

    return Sent


def test_where_a_step_is_sent() -> None:
    steps = sent()._steps
    sender = backend_of(decorators(steps["start"]))
    assert sender is not None
    assert sender.backend == "kubernetes"
    assert re.fullmatch(r"@kubernetes \(test_decorator\.py:\d+\)", sender.source)
    assert backend_of(decorators(steps["end"])) is None


def test_two_backends_in_the_source() -> None:
    with pytest.raises(InvalidDecoratorAttribute, match=r"'both' is sent .*: by @kube.* and by @batch") as caught:

        @batch(gpu=1)
        @kubernetes
        @step
        def both(self: object) -> None: ...

    assert caught.value.hint == "keep one of them"
    assert line(caught.value) == "@batch(gpu=1)"


def test_another_backend_from_the_command_line() -> None:
    with pytest.raises(CommandException, match=r"'start' is sent .*: by @kube.* and by --with b") as caught:
        attach_specs(sent(), ["batch"])
    assert caught.value.hint == "to take @kubernetes away from all steps, add --without kubernetes"
    with pytest.raises(CommandException, match="by --with kubernetes and by --with batch"):
        attach_specs(flow(), ["kubernetes", "batch"])


def test_the_same_backend_from_the_command_line_does_not_override() -> None:
    flow_class = sent()
    attach_specs(flow_class, ["kubernetes:memory=9000"])
    assert attached(flow_class) == {
        "start": ["kubernetes:memory=2000"],
        "end": ["resources", "kubernetes:memory=9000"],
    }


# --- @resources ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0, 1, 0.5, "2", "0.5", None])
@pytest.mark.parametrize("key", sorted(set(ResourcesDecorator.defaults) - {"gpu"}))
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
        "cpu": 1, "gpu": None, "disk": None, "memory": "4096", "shared_memory": None,
    }  # fmt: skip
