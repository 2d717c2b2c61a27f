"""Wrappers that users write: what they are given, and what they may do to a step."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from metaflow import USER_SKIP_STEP, FlowSpec, StepMutator, UserStepDecorator, step, user_step_decorator
from metaflow.exception import CommandException, InvalidDecoratorAttribute, InvalidFlow
from metaflow.flow.decorator import StepContext
from metaflow.flow.plan import read
from metaflow.flow.user_decorators import step_decorator

log: list[Any] = []


@user_step_decorator
def around(step_name: str, flow: Any, inputs: Any = None, attr: Any = None) -> Any:
    log.append(("before", step_name, inputs, attr))
    try:
        yield
    except ValueError as error:
        log.append(error.args[0])
        raise KeyError("other") from error
    log.append("after")


@user_step_decorator
def swallowing(step_name: str, flow: Any, inputs: Any = None, attributes: Any = None) -> Any:
    try:
        yield
    except ValueError:
        return


def called(decorator: Any, code: Any = lambda: log.append("code"), **given: Any) -> tuple[list[Any], list[Any]]:
    """Run code with a decorator around it; return what was logged, and how it went on."""

    class Flow(FlowSpec):
        @(decorator(**given) if given else decorator)  # type: ignore[untyped-decorator]
        @step
        def start(self) -> None: ...

    went_on: list[Any] = []
    binding = SimpleNamespace(transition=None)

    def run() -> None:
        code()
        binding.transition = "as the step says"

    flow = SimpleNamespace(_binding=binding)
    context = StepContext(
        flow,
        "start",
        0,
        0,
        lambda: ("end",),
        inputs=lambda: "inputs",
        go_on=lambda **arguments: went_on.append(arguments),
    )
    (wrapper,) = read(Flow).steps["start"].decorators
    log.clear()
    wrapper.around(context, run)
    return list(log), went_on


def boom() -> None:
    raise ValueError("boom")


def test_a_generator_runs_around_the_code() -> None:
    assert called(around, k=1, z="s") == ([("before", "start", "inputs", {"k": 1, "z": "s"}), "code", "after"], [])


def test_what_the_code_raises_is_raised_by_yield() -> None:
    with pytest.raises(KeyError, match="other"):
        called(around, boom)
    assert log[1:] == ["boom"]
    assert called(swallowing, boom) == ([], [{}]), "the step goes where its source says"


@pytest.mark.parametrize(
    ("yielded", "logged", "went_on"),
    [
        (None, ["code"], []),
        ({}, [], [{}]),
        (USER_SKIP_STEP, [], [{}]),
        ({"foreach": "items"}, [], [{"foreach": "items"}]),
        (lambda flow: log.append("instead"), ["instead"], [{}]),
    ],
)
def test_what_is_yielded(yielded: Any, logged: list[Any], went_on: list[Any]) -> None:
    @user_step_decorator
    def skipping(step_name: str, flow: Any, inputs: Any, attributes: Any) -> Any:
        yield yielded

    assert called(skipping) == (logged, went_on)


def test_a_generator_may_leave_out_the_attributes() -> None:
    @user_step_decorator
    def three(step_name: str, flow: Any, inputs: Any) -> Any:
        log.append((step_name, inputs))
        yield

    assert called(three) == ([("start", "inputs"), "code"], [])

    def two(step_name: str, flow: Any) -> Any:
        yield

    with pytest.raises(InvalidFlow, match="two does not take three or four arguments") as caught:
        user_step_decorator(two)
    assert caught.value.source_file == __file__


class Recording(UserStepDecorator):
    def init(self, *args: Any, skip: Any = False, result: Any = None) -> None:
        self.skip, self.result = skip, result

    def pre_step(self, step_name: str, flow: Any, inputs: Any = None) -> None:
        log.append(("pre", step_name, inputs))
        self.skip_step = self.skip

    def post_step(self, step_name: str, flow: Any, exception: BaseException | None = None) -> Any:
        log.append(("post", exception and exception.args))
        return self.result


def test_a_class_runs_around_the_code() -> None:
    assert called(Recording) == ([("pre", "start", "inputs"), "code", ("post", None)], [])
    assert called(Recording, boom) == ([("pre", "start", "inputs"), ("post", ("boom",))], [{}]), "as in the original"
    assert called(Recording, skip=True) == ([("pre", "start", "inputs"), ("post", None)], [{}])
    assert called(Recording, skip={"foreach": "x"})[1] == [{"foreach": "x"}]
    assert called(Recording, boom, result=(None, {"foreach": "y"}))[1] == [{"foreach": "y"}]
    with pytest.raises(RuntimeError, match="mine"):
        called(Recording, result=RuntimeError("mine"))


def test_a_class_without_post_step_hides_nothing() -> None:
    class Silent(UserStepDecorator):
        pass

    with pytest.raises(ValueError, match="boom"):
        called(Silent, boom)


def no_yield(step_name: str, flow: Any, inputs: Any, attributes: Any) -> Any:
    return
    yield


def two_yields(step_name: str, flow: Any, inputs: Any, attributes: Any) -> Any:
    yield
    yield


def odd_yield(step_name: str, flow: Any, inputs: Any, attributes: Any) -> Any:
    yield 5


def odd_return(step_name: str, flow: Any, inputs: Any, attributes: Any) -> Any:
    yield
    return 5


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (no_yield, "has ended without `yield`"),
        (two_yields, "yields twice"),
        (odd_yield, "yields 5"),
        (odd_return, "returns 5"),
    ],
)
def test_a_generator_that_breaks_the_rules_is_named(function: Any, message: str) -> None:
    with pytest.raises(InvalidFlow, match=f"The decorator @{function.__name__} {message}") as caught:
        called(user_step_decorator(function))
    assert caught.value.source_file == __file__
    assert caught.value.hint


def test_what_is_no_generator_is_refused() -> None:
    with pytest.raises(InvalidFlow, match="'boom', which is not a generator function") as caught:
        user_step_decorator(boom)  # type: ignore[arg-type]
    assert caught.value.source_file == __file__


def test_arguments_that_init_does_not_take() -> None:
    with pytest.raises(InvalidDecoratorAttribute, match="@Recording does not accept what it is given") as caught:
        called(Recording, other=1)
    assert caught.value.source_file == __file__


def test_the_last_one_attached_is_the_outermost_and_inside_of_built_in_ones() -> None:
    class Flow(FlowSpec):
        @around
        @swallowing
        @step
        def start(self) -> None: ...

    steps = read(Flow, with_=[f"{__name__}.Recording:skip=1", "retry", f"{__name__}.around"]).steps
    names = [each.name.rpartition(".")[2] for each in steps["start"].outermost_first]
    assert names == ["retry", "Recording", "around", "swallowing"]
    specs = [(spec.name, spec.static) for spec in steps["start"].specs()]
    assert specs == [
        ("retry", False),
        (f"{__name__}.swallowing", True),
        (f"{__name__}.around", True),
        (f"{__name__}.Recording", False),
    ]


def test_decorators_by_name() -> None:
    assert step_decorator(f"{__name__}.around").name == f"{__name__}.around"
    assert step_decorator("swallowing").name == f"{__name__}.swallowing"
    assert step_decorator("retry").name == "retry"
    for name, message in (
        ("swalowing", "no step decorator 'swalowing'"),
        (f"{__name__}.nothing", "AttributeError"),
        (f"{__name__}.boom", "is not a decorator of steps"),
    ):
        with pytest.raises(CommandException, match=message):
            step_decorator(name)


def test_two_of_one_short_name_need_their_module() -> None:
    for _ in range(2):

        class Ambiguous(StepMutator):
            pass

    with pytest.raises(CommandException, match="Several decorators are called 'Ambiguous'"):
        step_decorator("Ambiguous")
