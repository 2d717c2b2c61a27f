"""What is called when a run has ended, and with what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from metaflow.decorators.exit_hook import ExitHookDecorator


def fail() -> None:
    raise ValueError("bad")


def hooked(on_success: list[Any], on_error: list[Any]) -> ExitHookDecorator:
    return ExitHookDecorator({"on_success": on_success, "on_error": on_error})


def test_a_hook_gets_the_run_if_it_takes_one() -> None:
    got: list[object] = []

    def keyword(*, run: object) -> None:
        got.append(run)

    def optional(run: object = None) -> None:
        got.append(run)

    def other_default(name: str = "default") -> None:
        got.append(name)

    def any_name(result: object) -> None:
        got.append(result)

    hooks: list[Callable[..., Any]] = [keyword, optional, other_default, any_name, lambda: got.append("none")]
    assert hooked(hooks, []).after_run(True, lambda: "the run") == []
    assert got == ["the run", "the run", "default", "the run", "none"]


def test_the_run_is_opened_only_for_hooks_that_take_it() -> None:
    def open_run() -> object:
        raise AssertionError("nobody asked")

    assert hooked([lambda: None], []).after_run(True, open_run) == []


def test_hooks_that_raise_are_told_and_the_others_run() -> None:
    got: list[str] = []

    def leave() -> None:
        raise SystemExit(0)

    failures = hooked([], [fail, leave, lambda: got.append("last")]).after_run(False, lambda: None)
    assert [(name, type(error)) for name, error in failures] == [("fail", ValueError), ("leave", SystemExit)]
    assert got == ["last"]


def test_a_run_that_cannot_be_opened_is_a_failure_of_the_hook() -> None:
    def hook(run: object) -> None: ...

    def open_run() -> object:
        raise ValueError("gone")

    assert [name for name, _ in hooked([hook], []).after_run(True, open_run)] == ["hook"]
