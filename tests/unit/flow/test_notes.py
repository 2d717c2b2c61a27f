"""What an `@name` leaves behind: a note, and nothing on the user's function or class."""

from __future__ import annotations

import functools
import gc
import weakref
from collections.abc import Callable
from typing import Any, TypeVar, overload

import pytest

from metaflow.decorators.exit_hook import exit_hook
from metaflow.exception import InvalidFlow
from metaflow.flow.decorator import StepDecorator
from metaflow.flow.notes import note_on_step, notes_on
from metaflow.flow.spec import FlowSpec
from metaflow.flow.step import step


class ProbeDecorator(StepDecorator):
    name = "probe"
    defaults = {"depth": 1, "tip": None}


Function = TypeVar("Function")


@overload
def probe(function: Function) -> Function: ...
@overload
def probe(*, depth: int = 1) -> Callable[[Function], Function]: ...
def probe(function: Any = None, **attributes: Any) -> Any:
    return note_on_step(ProbeDecorator, function, attributes)


def shown(target: object) -> list[tuple[str, dict[str, Any]]]:
    return [(note.decorator.name, dict(note.attributes)) for note in notes_on(target)]


def line(origin: tuple[str | None, int | None]) -> str:
    file, number = origin
    assert file == __file__
    assert number is not None
    with open(file) as source:
        return source.readlines()[number - 1].strip()


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

    assert shown(bare) == shown(called) == [("probe", {})]
    assert shown(deep) == [("probe", {"depth": 2})]
    assert [line(notes_on(each)[0].origin) for each in (bare, called, deep)] == [
        "@probe",
        "@probe()",
        "@probe(depth=2)",
    ]


def test_the_first_line_comes_first() -> None:
    @probe(depth=1)
    @probe(depth=2)
    @step
    def work(self: object) -> None: ...

    assert shown(work) == [("probe", {"depth": 1}), ("probe", {"depth": 2})]


def test_the_function_stays_as_it_was() -> None:
    @step
    def plain(self: object) -> None: ...

    @probe(depth=2)
    @step
    def noted(self: object) -> None: ...

    assert vars(noted).keys() == vars(plain).keys()


def test_one_decorator_serves_several_steps() -> None:
    deep = probe(depth=3)

    @deep
    @step
    def one(self: object) -> None: ...

    @deep
    @step
    def two(self: object) -> None: ...

    assert shown(one) == shown(two) == [("probe", {"depth": 3})]


def test_a_wrapper_of_the_user_s_has_the_notes_below_and_above_it() -> None:
    def loud(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(self: object) -> Any:
            return function(self)

        return wrapper

    @probe(depth=1)
    @loud
    @probe(depth=2)
    @step
    def work(self: object) -> None: ...

    assert shown(work) == [("probe", {"depth": 1}), ("probe", {"depth": 2})]
    assert shown(work.__wrapped__) == [("probe", {"depth": 2})]  # type: ignore[attr-defined]


class Proxy:
    """Equal to what it stands for, as those of wrapt are."""

    def __init__(self, wrapped: Callable[..., Any]) -> None:
        self.__wrapped__ = wrapped

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__wrapped__, name)

    def __eq__(self, other: object) -> bool:
        return bool(self.__wrapped__ == other)

    def __hash__(self) -> int:
        return hash(self.__wrapped__)


class Rigid(Proxy):
    """Neither hashable nor weakly referenced."""

    __slots__ = ("__wrapped__",)
    __hash__ = None  # type: ignore[assignment]


class Slotted:
    __slots__ = ("__wrapped__", "is_step")

    def __init__(self, wrapped: Callable[..., Any]) -> None:
        self.__wrapped__ = wrapped
        self.is_step = True


@pytest.mark.parametrize("proxy", [Proxy, Rigid, Slotted])
def test_a_proxy_has_the_notes_below_and_above_it_once(proxy: Callable[[Any], Any]) -> None:
    def work(self: object) -> None: ...

    below = probe(depth=2)(step(work))
    both = probe(depth=1)(proxy(below))
    assert shown(both) == [("probe", {"depth": 1}), ("probe", {"depth": 2})]
    assert shown(below) == [("probe", {"depth": 2})]
    assert shown(proxy(below)) == [("probe", {"depth": 2})]


def test_notes_go_with_their_function() -> None:
    def work(self: object) -> None: ...

    gone = weakref.ref(probe(step(work)))
    del work
    gc.collect()
    assert gone() is None


def test_below_step_is_the_wrong_place() -> None:
    with pytest.raises(InvalidFlow, match="@probe stands on 'work', which is not a step") as caught:

        @step
        @probe
        def work(self: object) -> None: ...

    assert "@step directly above" in str(caught.value.hint)
    assert line((caught.value.source_file, caught.value.line_no)) in ("@probe", "@step")


def test_a_decorator_of_flows() -> None:
    def hook() -> None: ...

    @exit_hook(on_success=[hook])
    class FirstFlow(FlowSpec): ...

    class SecondFlow(FirstFlow): ...

    assert shown(FirstFlow) == [("exit_hook", {"on_success": [hook], "on_error": ()})]
    assert shown(SecondFlow) == []
    assert not {name for name in vars(FirstFlow) if "hook" in name or "decorator" in name}
    with pytest.raises(InvalidFlow, match="not a flow"):
        exit_hook(on_success=[hook])(dict)
