"""What the decorators do around a step's code, without a task."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from metaflow.decorators.catch import CatchDecorator
from metaflow.decorators.exit_hook import ExitHookDecorator
from metaflow.decorators.timeout import TimeoutDecorator
from metaflow.exception import TimeoutException
from metaflow.flow.decorator import StepContext


def context(attempt: int = 0, last_attempt: int = 0) -> StepContext:
    return StepContext(SimpleNamespace(), "train", attempt, last_attempt, lambda: ("end",))


def fail() -> None:
    raise ValueError("bad")


# --- @catch ----------------------------------------------------------------------------------------------------------


def test_catch_takes_the_failure_of_the_last_attempt(capsys: pytest.CaptureFixture[str]) -> None:
    last = context(2, 2)
    CatchDecorator({"var": "failure"}).around(last, fail)
    assert last.caught is not None
    assert last.caught is last.flow.failure
    assert (last.caught.type, last.caught.exception) == ("builtins.ValueError", "bad")
    assert "ValueError: bad" in capsys.readouterr().err


def test_catch_leaves_the_attempts_before_to_retry() -> None:
    first = context(0, 2)
    with pytest.raises(ValueError, match="bad"):
        CatchDecorator({"var": "failure"}).around(first, fail)
    assert first.caught is None
    assert not hasattr(first.flow, "failure")


def test_catch_without_a_failure_sets_none() -> None:
    fine = context()
    CatchDecorator({"var": "failure"}).around(fine, lambda: None)
    assert fine.caught is None
    assert fine.flow.failure is None


def test_catch_does_not_take_an_interrupt() -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        CatchDecorator({}).around(context(), interrupt)


def test_a_quiet_catch(capsys: pytest.CaptureFixture[str]) -> None:
    CatchDecorator({"print_exception": False}).around(context(), fail)
    assert capsys.readouterr() == ("", "")


# --- @timeout --------------------------------------------------------------------------------------------------------


def wait() -> None:
    threading.Event().wait(60)


def test_timeout_raises_in_the_code() -> None:
    with pytest.raises(TimeoutException, match=r"'train'.* 0\.01 s"):
        TimeoutDecorator({"seconds": 0.01}).around(context(), wait)


@pytest.mark.parametrize("run", [fail, lambda: None])
def test_timeout_leaves_the_alarm_as_it_was(run: Any) -> None:
    def mine(*_: object) -> None: ...

    before = signal.signal(signal.SIGALRM, mine)
    try:
        try:
            TimeoutDecorator({"hours": 1}).around(context(), run)
        except ValueError:
            pass
        assert signal.getsignal(signal.SIGALRM) is mine
        assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    finally:
        signal.signal(signal.SIGALRM, before)


# --- @exit_hook ------------------------------------------------------------------------------------------------------


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
