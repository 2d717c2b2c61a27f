"""What mutators see and change, and what is said of those that cannot."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from metaflow import (
    Config,
    ConfigValue,
    FlowMutator,
    FlowSpec,
    Parameter,
    StepMutator,
    environment,
    kubernetes,
    resources,
    retry,
    step,
    user_step_decorator,
)
from metaflow.exception import MetaflowException
from metaflow.flow.config_expression import Configs
from metaflow.flow.mutable import MutableFlow, MutableStep
from metaflow.flow.plan import FlowPlan, read

CONFIGS = Configs({"config": ConfigValue({"times": 4})}, {"con-fig": "config"})
Early = Callable[[MutableFlow], Any]
seen: list[Any] = []


@user_step_decorator
def wrapped(step_name: str, flow: Any, inputs: Any = None, attributes: Any = None) -> Any:
    yield


def plan_with(
    mutate: Callable[[MutableFlow], Any] | None = None, pre_mutate: Early | None = None, with_: tuple[str, ...] = ()
) -> FlowPlan:
    class Changed(FlowMutator):
        def pre_mutate(self, mutable_flow: MutableFlow) -> None:
            if pre_mutate is not None:
                pre_mutate(mutable_flow)

        def mutate(self, mutable_flow: MutableFlow) -> None:
            if mutate is not None:
                mutate(mutable_flow)

    @Changed
    class Flow(FlowSpec):
        config: Any = Config("con-fig")
        size = Parameter("size", default=1)

        @wrapped(k=1)
        @resources(cpu=2)
        @step
        def start(self) -> None: ...

        @step
        def end(self) -> None: ...

    return read(Flow, configs=CONFIGS, with_=with_)


def step_of(name: str, change: Callable[[MutableStep], Any]) -> Callable[[MutableFlow], None]:
    return lambda flow: change(dict(flow.steps)[name])


def shown(plan: FlowPlan, name: str) -> list[str]:
    return [repr(decorator).replace(f"{__name__}.", "") for decorator in plan.steps[name].decorators]


def test_a_flow_seen_by_its_mutator() -> None:
    def look(flow: MutableFlow) -> None:
        seen.append([name for name, _ in flow.steps])
        seen.append(dict(flow.configs))
        seen.append([name for name, _ in flow.parameters])
        seen.append((flow.config.times, flow.has_decorator("Changed"), hasattr(flow, "nothing")))
        seen.append((flow.start.name, flow.size.default))
        added = flow.end.add_decorator("retry")
        seen.append((added.name, flow.end.add_decorator("retry")))

    seen.clear()
    plan_with(look)
    assert seen[:3] == [["end", "start"], {"con-fig": {"times": 4}}, ["size"]]
    assert seen[3:] == [(4, True, False), ("start", 1), ("retry", None)]


def test_a_step_seen_by_a_mutator() -> None:
    def look(step: MutableStep) -> None:
        seen.append([(name, args, kwargs.get("cpu")) for name, _, args, kwargs in step.decorator_specs])
        seen.append(
            [step.has_decorator(name) for name in ("retry", "resources", "wrapped", f"{__name__}.wrapped", "x")]
        )
        seen.append(step.get_decorator_specs("wrapped"))

    seen.clear()
    plan_with(step_of("start", look), with_=("retry:times=9",))
    assert seen == [
        [("resources", [], 2), ("retry", [], None), ("wrapped", [], None)],
        [True, True, True, True, False],
        [("wrapped", f"{__name__}.wrapped", [], {"k": 1})],
    ]


def retries(*each: int, policy: int = MutableStep.IGNORE, removed: dict[str, int] | None = None) -> Any:
    def change(step: MutableStep) -> None:
        for times in each:
            step.add_decorator("retry", None, {"times": times}, policy)
        if removed is not None:
            step.remove_decorator("retry", None, removed or None)

    return change


ADDED: dict[str, tuple[Callable[[MutableStep], Any], list[str]]] = {
    "by name": (lambda step: step.add_decorator("retry", deco_kwargs={"times": 7}), ["@retry(times=7)"]),
    "by specification": (lambda step: step.add_decorator("retry:times=7"), ["@retry(times=7)"]),
    "by function": (lambda step: step.add_decorator(retry, deco_kwargs={"times": 7}), ["@retry(times=7)"]),
    "with a config": (
        lambda step: step.add_decorator("retry", None, {"times": step.flow.config.times}),
        ["@retry(times=4)"],
    ),
    "a user's": (lambda step: step.add_decorator(wrapped, deco_kwargs={"a": 1}), ["@wrapped(a=1)"]),
    "a user's by name": (lambda step: step.add_decorator(f"{__name__}.wrapped"), ["@wrapped()"]),
    "twice": (retries(1, 2), ["@retry(times=1)"]),
    "replaced": (retries(1, 2, policy=MutableStep.OVERRIDE), ["@retry(times=2)"]),
    "removed": (retries(1, removed={}), []),
    "removed as given": (retries(1, removed={"times": 1}), []),
    "not removed": (retries(1, removed={"times": 8}), ["@retry(times=1)"]),
}  # fmt: skip


@pytest.mark.parametrize("name", ADDED)
def test_decorators_that_are_added(name: str) -> None:
    change, after = ADDED[name]
    plan = plan_with(step_of("end", change))
    assert shown(plan, "end") == after
    for decorator in plan.steps["end"].decorators:
        assert decorator.inserted_by == (f"{__name__}.Changed",)
        assert decorator.is_static
    assert shown(plan_with(), "end") == [], "the class is as it was"


def test_late_decorators_are_seen_and_replaced() -> None:
    change = step_of("start", lambda step: step.add_decorator("kubernetes", None, {"cpu": 5}, step.OVERRIDE))
    plan = plan_with(change, with_=("kubernetes:cpu=1",))
    assert shown(plan, "start") == ["@wrapped(k=1)", "@resources(cpu=2)", "@kubernetes(cpu=5)"]
    assert shown(plan, "end") == ["@kubernetes(cpu=1)"]


def test_parameters_are_added_and_removed_before_anything_depends_on_them() -> None:
    def change(flow: MutableFlow) -> None:
        flow.add_parameter("added", Parameter("add-ed", default=Flow.other))
        seen.append((flow.remove_parameter("size"), flow.remove_parameter("nothing")))

    class Flow(FlowSpec):
        other: Any = Config("other")

    Flow.other._declared = Flow.other._declared._replace(attribute="config")
    seen.clear()
    parameters = plan_with(pre_mutate=lambda flow: change(flow), mutate=None).parameters
    assert seen == [(True, False)]
    assert list(parameters) == ["added"]
    assert parameters["added"].default == {"times": 4}


def add(name: Any, *arguments: Any, to: str = "end") -> Callable[[MutableFlow], None]:
    return step_of(to, lambda step: step.add_decorator(name, *arguments))


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "unknown decorator": ({"mutate": add("retri")}, "no step decorator 'retri'"),
    "unknown module": ({"mutate": add("nowhere.x")}, "'nowhere.x' cannot be imported"),
    "no decorator": ({"mutate": add("json.loads")}, "not a decorator of steps"),
    "no name": ({"mutate": add(42)}, "TypeError: add_decorator takes"),
    "attribute": ({"mutate": add("retry", None, {"tims": 1})}, "no attribute 'tims'"),
    "value": ({"mutate": add("retry:times=-1")}, r"@retry\(times=-1\)"),
    "arguments": ({"mutate": add("retry", [1])}, "takes no arguments without a name"),
    "duplicate": ({"mutate": add("resources", None, {}, MutableStep.ERROR, to="start")}, "'resources' already"),
    "two backends": ({"mutate": add("batch"), "with_": ("kubernetes",)}, "two backends"),
    "late parameter": ({"mutate": lambda flow: flow.add_parameter("p", Parameter("p"))}, "too late in mutate"),
    "late removal": ({"mutate": lambda flow: flow.remove_parameter("size")}, "too late in mutate"),
    "late flow decorator": ({"mutate": lambda flow: flow.add_decorator("exit_hook")}, "too late in mutate"),
    "late removal of one": ({"mutate": lambda flow: flow.remove_decorator("exit_hook")}, "too late in mutate"),
    "no parameter": ({"pre_mutate": lambda flow: flow.add_parameter("p", 3)}, "which is not a Parameter"),
    "twice": ({"pre_mutate": lambda flow: flow.add_parameter("size", Parameter("s"))}, "a parameter 'size' already"),
    "a step": ({"pre_mutate": lambda flow: flow.add_parameter("start", Parameter("s"))}, "an attribute 'start'"),
    "unknown flow decorator": ({"pre_mutate": lambda flow: flow.add_decorator("exit_hok")}, "no flow decorator"),
    "no config": (
        {"mutate": lambda flow: flow.other},
        "no config, parameter or step 'other'",
    ),
    "a called decorator": ({"mutate": add(retry(times=2))}, "what it is given goes into deco_kwargs"),
    "attributes without deco_kwargs": (
        {"mutate": step_of("end", lambda step: step.add_decorator("retry", times=2))},  # type: ignore[call-arg]
        "unexpected keyword argument 'times'",
    ),
    "no such duplicates": ({"mutate": add("resources", None, {}, "error", to="start")}, "'error' is none of IGNORE"),
    "of flows": ({"mutate": add("project", None, {"name": "x"})}, "is a decorator of flows, not of steps"),
    "of steps": ({"pre_mutate": lambda flow: flow.add_decorator("retry")}, "is a decorator of steps, not of flows"),
    "a name with a dash": (
        {"pre_mutate": lambda flow: flow.add_parameter("a-b", Parameter("a-b"))},
        "'a-b', which cannot be an attribute",
    ),
    "a name that is none": (
        {"pre_mutate": lambda flow: flow.add_parameter(3, Parameter("p"))},
        "3, which cannot be an attribute",
    ),
    "assigned": (
        {"pre_mutate": lambda flow: setattr(flow, "size", Parameter("size"))},
        "'size' cannot be set on a MutableFlow",
    ),
    "assigned to a step": (
        {"mutate": step_of("end", lambda step: setattr(step, "decorators", []))},
        "'decorators' cannot be set on a MutableStep",
    ),
    "pairs": ({"mutate": lambda flow: next(flow.steps).add_decorator("retry")}, "'tuple' object has no attribute"),
    "exit": ({"mutate": lambda flow: sys.exit(3)}, "SystemExit: 3"),
    "an error": ({"mutate": lambda flow: int("x")}, r"The mutator \S+Changed has failed in mutate: ValueError"),
    "an error of a step": ({"mutate": step_of("end", lambda step: int("x"))}, "ValueError"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_mutator_that_fails_is_one_error_at_its_line(name: str) -> None:
    changes, message = BAD[name]
    with pytest.raises(MetaflowException, match=message) as caught:
        plan_with(**changes)
    assert caught.value.source_file == __file__


def _nothing(self: Any, mutable_flow: Any) -> None: ...


def _generator(self: Any, mutable_flow: Any) -> Any:
    yield


async def _coroutine(self: Any, mutable_flow: Any) -> None: ...


BAD_CLASSES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "misspelt": ({"mutat": _nothing}, {}, "defines mutat, which is not called"),
    "misspelt too": ({"premutate": _nothing}, {}, "defines premutate, which is not called"),
    "a generator": ({"mutate": _generator}, {}, "mutate of Bad has a yield"),
    "a coroutine": ({"pre_mutate": _coroutine}, {}, "pre_mutate of Bad is async"),
    "__init__": ({"__init__": _nothing, "mutate": _nothing}, {"x": 1}, "defines __init__, which is not called"),
    "no init": ({"mutate": _nothing}, {"x": 1}, "has no init that takes them"),
    "another init": ({"mutate": _nothing, "init": _nothing}, {"x": 1}, "does not accept what it is given"),
    "no argument": ({"mutate": lambda self: None}, {}, "takes 1 positional argument but 2 were given"),
}


@pytest.mark.parametrize("name", BAD_CLASSES)
@pytest.mark.parametrize("base", [FlowMutator, StepMutator])
def test_a_class_that_cannot_do_what_it_should(base: Any, name: str) -> None:
    members, given, message = BAD_CLASSES[name]
    bad: Any = type("Bad", (base,), members)
    attach = bad(**given) if given else bad

    class Flow(FlowSpec):
        @step
        def start(self) -> None: ...

        @step
        def end(self) -> None: ...

    if base is FlowMutator:
        attach(Flow)
    else:
        attach(Flow.start)
    with pytest.raises(MetaflowException, match=message) as caught:
        read(Flow)
    assert caught.value.source_file == __file__


def test_a_helper_of_a_mutator_may_be_called_alike() -> None:
    class Good(FlowMutator):
        def mutate(self, mutable_flow: MutableFlow) -> None:
            self.mutated(mutable_flow)

        def mutated(self, mutable_flow: MutableFlow) -> None:
            dict(mutable_flow.steps)["end"].add_decorator("retry")

    @Good
    class Flow(FlowSpec):
        @step
        def start(self) -> None: ...

        @step
        def end(self) -> None: ...

    assert [each.name for each in read(Flow).steps["end"].decorators] == ["retry"]


def test_mutators_in_the_wrong_place() -> None:
    class OfStep(StepMutator):
        pass

    class OfFlow(FlowMutator):
        pass

    @step
    def start(self: Any) -> None: ...

    with pytest.raises(MetaflowException, match="stands on 'FlowSpec', which is not a step"):
        OfStep(FlowSpec)
    with pytest.raises(MetaflowException, match="which is not a flow"):
        OfFlow(start)


def test_mutators_of_base_classes_come_first_and_of_steps_last() -> None:
    order: list[str] = []

    class Noting(FlowMutator):
        def init(self, name: str) -> None:
            self.name = name

        def pre_mutate(self, mutable_flow: MutableFlow) -> None:
            order.append(f"pre {self.name}")

        def mutate(self, mutable_flow: MutableFlow) -> None:
            order.append(self.name)

    class OfStep(StepMutator):
        def mutate(self, mutable_step: MutableStep) -> None:
            order.append(f"step {mutable_step.name}")

    @Noting("base")
    class Base(FlowSpec):
        pass

    @Noting("outer")
    @Noting("inner")
    class Derived(Base):
        @OfStep
        @environment(vars={})
        @kubernetes
        @step
        def start(self) -> None: ...

    read(Derived)
    assert order == ["pre base", "pre inner", "pre outer", "base", "inner", "outer", "step start"]
