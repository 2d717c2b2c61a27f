"""What `@catch` does around a step's code, without a task."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from metaflow.decorators.catch import CatchDecorator
from metaflow.flow.decorator import StepContext


def context(attempt: int = 0, last_attempt: int = 0) -> StepContext:
    return StepContext(SimpleNamespace(), "train", attempt, last_attempt, lambda: ("end",))


def fail() -> None:
    raise ValueError("bad")


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
