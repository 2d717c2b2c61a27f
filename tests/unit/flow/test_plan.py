"""The flow as it will run: from the class, the command line and mutators, to one frozen value."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from metaflow.decorators.batch import batch
from metaflow.decorators.catch import catch
from metaflow.decorators.exit_hook import exit_hook
from metaflow.decorators.kubernetes import kubernetes
from metaflow.decorators.resources import ResourcesDecorator, resources
from metaflow.decorators.retry import retry
from metaflow.decorators.timeout import timeout
from metaflow.exception import CommandException, InvalidDecoratorAttribute, InvalidFlow
from metaflow.flow import lint
from metaflow.flow.parameters import Parameter
from metaflow.flow.plan import FlowPlan, read
from metaflow.flow.spec import FlowSpec
from metaflow.flow.step import step


class Sample(FlowSpec):
    size = Parameter("size", default=3)

    @step
    def start(self) -> None:
        self.next(self.big)

    @resources(cpu=8)
    @step
    def big(self) -> None:
        self.next(self.end)

    @retry
    @step
    def end(self) -> None: ...


def shown(plan: FlowPlan) -> dict[str, list[str]]:
    return {name: [repr(each) for each in step.decorators] for name, step in plan.steps.items()}


def line(error: InvalidFlow) -> str:
    assert error.source_file == __file__
    assert error.line_no is not None
    return Path(error.source_file).read_text().splitlines()[error.line_no - 1].strip()


def test_the_class_as_written() -> None:
    plan = read(Sample)
    assert plan.name == "Sample"
    assert shown(plan) == {"start": [], "big": ["@resources(cpu=8)"], "end": ["@retry()"]}
    assert list(plan.parameters) == ["size"]
    assert plan.steps["big"].function is vars(Sample)["big"]
    assert list(plan.graph) == ["start", "big", "end"]
    (found,) = plan.steps["big"].decorators
    assert found.origin is not None
    assert found.origin[0] == __file__
    lint.check(plan)


def test_two_plans_of_one_class_live_side_by_side() -> None:
    before = dict(vars(Sample))
    plain = read(Sample)
    sent = read(Sample, with_=["kubernetes:cpu=2"], without=["retry"])
    assert shown(plain) == {"start": [], "big": ["@resources(cpu=8)"], "end": ["@retry()"]}
    assert shown(sent) == {
        "start": ["@kubernetes(cpu=2)"],
        "big": ["@resources(cpu=8)", "@kubernetes(cpu=2)"],
        "end": ["@kubernetes(cpu=2)"],
    }
    assert [spec.name for spec in sent.graph["big"].decorators] == ["resources", "kubernetes"]
    assert [spec.name for spec in plain.graph["big"].decorators] == ["resources"]
    assert dict(vars(Sample)) == before
    assert shown(read(Sample)) == shown(plain)


def test_a_plan_is_frozen() -> None:
    plan: Any = read(Sample)
    with pytest.raises(AttributeError, match="frozen"):
        plan.name = "Other"
    with pytest.raises(TypeError):
        plan.steps["start"] = None
    with pytest.raises(AttributeError):
        plan.steps["start"].name = "x"


def test_the_same_inputs_give_the_same_plan() -> None:
    with_, without = ["kubernetes:cpu=2", "catch:var=failure"], ["retry"]
    first, second = (read(Sample, with_=with_, without=without) for _ in range(2))
    assert first.description() == second.description()
    assert shown(first) == shown(second)


def test_the_order_in_which_decorators_are_wrapped() -> None:
    class Wrapped(FlowSpec):
        @timeout(seconds=5)
        @catch
        @retry
        @step
        def start(self) -> None: ...

    step_plan = read(Wrapped, with_=["resources"]).steps["start"]
    assert [each.name for each in step_plan.decorators] == ["timeout", "catch", "retry", "resources"]
    assert [each.name for each in step_plan.outermost_first] == ["catch", "timeout", "retry", "resources"]
    assert [spec.name for spec in step_plan.specs()] == ["retry", "catch", "timeout", "resources"]


def test_flow_decorators_of_base_classes_come_first() -> None:
    def hook() -> None: ...

    @exit_hook(on_success=[hook])
    class FirstFlow(Sample): ...

    @exit_hook(on_error=[hook])
    class SecondFlow(FirstFlow): ...

    assert [each.attributes["on_success"] for each in read(SecondFlow).decorators] == [[hook], ()]
    assert len(read(FirstFlow).decorators) == 1
    assert read(Sample).decorators == ()
    assert read(FirstFlow).description()["decorators"] == [
        {
            "name": "exit_hook",
            "attributes": {"on_success": ["hook"], "on_error": [], "options": {}},
            "statically_defined": True,
            "inserted_by": None,
        }
    ]


def test_a_wrong_flow_decorator_points_to_its_line() -> None:
    @exit_hook(on_succes=[print])
    class Wrong(Sample): ...

    with pytest.raises(InvalidDecoratorAttribute, match="no attribute 'on_succes'") as caught:
        read(Wrong)
    assert caught.value.hint == "did you mean 'on_success'?"
    assert line(caught.value) == "@exit_hook(on_succes=[print])"


def test_a_wrong_attribute_points_to_its_line() -> None:
    class Wrong(FlowSpec):
        @resources(cpus=2)  # type: ignore[call-overload, untyped-decorator]
        @step
        def start(self) -> None: ...

    with pytest.raises(InvalidDecoratorAttribute, match="no attribute 'cpus'") as caught:
        read(Wrong)
    assert line(caught.value).startswith("@resources(cpus=2)")


def test_twice_is_once_too_often() -> None:
    class Twice(FlowSpec):
        @retry(times=2)
        @retry
        @step
        def start(self) -> None: ...

    with pytest.raises(InvalidFlow, match="'start' has @retry twice") as caught:
        read(Twice)
    assert line(caught.value) == "@retry(times=2)"


# --- --with ----------------------------------------------------------------------------------------------------------


def test_with_goes_to_all_steps_that_do_not_have_the_decorator() -> None:
    plan = read(Sample, with_=["resources:cpu=2,memory=100"])
    assert shown(plan) == {
        "start": ["@resources(cpu=2, memory=100)"],
        "big": ["@resources(cpu=8)"],
        "end": ["@retry()", "@resources(cpu=2, memory=100)"],
    }
    (found,) = plan.steps["start"].decorators
    assert type(found) is ResourcesDecorator
    assert found.origin is None


def test_of_two_the_first_counts() -> None:
    assert shown(read(Sample, with_=["resources:cpu=2", "resources:cpu=3"]))["start"] == ["@resources(cpu=2)"]


def test_steps_of_a_base_class_get_it_too() -> None:
    class Child(Sample):
        @step
        def extra(self) -> None: ...

    assert all(step.find("resources") for step in read(Child, with_=["resources"]).steps.values())


@pytest.mark.parametrize(
    ("spec", "error", "words", "hint"),
    [
        ("resourses", CommandException, "'resourses'", "did you mean 'resources'?"),
        ("resources:cpus=2", InvalidDecoratorAttribute, "no attribute 'cpus'", "did you mean 'cpu'?"),
        ("resources:cpu=lots", InvalidDecoratorAttribute, "cpu='lots'", None),
        ("conda", CommandException, "not available in this version", None),
    ],
)
def test_with_that_cannot_be(spec: str, error: type[Exception], words: str, hint: str | None) -> None:
    with pytest.raises(error) as caught:
        read(Sample, with_=[spec])
    assert words in str(caught.value)
    assert getattr(caught.value, "hint") == hint  # noqa: B009


# --- --without -------------------------------------------------------------------------------------------------------


def test_decorators_are_taken_away() -> None:
    plan = read(Sample, without=["@resources, catch"])
    assert plan.removed == {"resources": ("big",), "catch": ()}
    assert shown(plan) == {"start": [], "big": [], "end": ["@retry()"]}


def test_a_decorator_can_be_replaced() -> None:
    assert shown(read(Sample, with_=["resources:cpu=3"], without=["resources"]))["big"] == ["@resources(cpu=3)"]


def test_without_what_is_not() -> None:
    with pytest.raises(CommandException, match="no step decorator 'resource'") as caught:
        read(Sample, without=["resource"])
    assert caught.value.hint == "did you mean 'resources'?"


# --- backends --------------------------------------------------------------------------------------------------------


class Sent(FlowSpec):
    @kubernetes(memory=2000)
    @step
    def start(self) -> None: ...

    @resources
    @step
    def end(self) -> None: ...


def test_where_a_step_is_sent() -> None:
    steps = read(Sent).steps
    sender = steps["start"].sender
    assert sender is not None
    assert sender.backend == "kubernetes"
    assert re.fullmatch(r"@kubernetes \(test_plan\.py:\d+\)", sender.source)
    assert steps["end"].sender is None


def test_two_backends_in_the_source() -> None:
    class Both(FlowSpec):
        @batch(gpu=1)
        @kubernetes
        @step
        def both(self) -> None: ...

    with pytest.raises(InvalidDecoratorAttribute, match=r"'both' is sent .*: by @kube.* and by @batch") as caught:
        read(Both)
    assert caught.value.hint == "keep one of them"
    assert line(caught.value) == "@batch(gpu=1)"


def test_another_backend_from_the_command_line() -> None:
    with pytest.raises(CommandException, match=r"'start' is sent .*: by @kube.* and by --with b") as caught:
        read(Sent, with_=["batch"])
    assert caught.value.hint == "to take @kubernetes away from all steps, add --without kubernetes"
    with pytest.raises(CommandException, match="by --with kubernetes and by --with batch"):
        read(Sample, with_=["kubernetes", "batch"])


def test_the_same_backend_from_the_command_line_does_not_override() -> None:
    assert shown(read(Sent, with_=["kubernetes:memory=9000"])) == {
        "start": ["@kubernetes(memory=2000)"],
        "end": ["@resources()", "@kubernetes(memory=9000)"],
    }
