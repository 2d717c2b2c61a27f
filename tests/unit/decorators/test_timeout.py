"""What `@timeout` does around a step's code, without a task."""

from __future__ import annotations

import signal
import sys
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from metaflow.decorators.timeout import TimeoutDecorator
from metaflow.exception import TimeoutException
from metaflow.flow.decorator import StepContext


def context(attempt: int = 0, last_attempt: int = 0) -> StepContext:
    return StepContext(SimpleNamespace(), "train", attempt, last_attempt, lambda: ("end",))


def fail() -> None:
    raise ValueError("bad")


def wait() -> None:
    threading.Event().wait(60)


def test_timeout_raises_in_the_code() -> None:
    with pytest.raises(TimeoutException, match=r"'train'.* 0\.01 s"):
        TimeoutDecorator({"seconds": 0.01}).around(context(), wait)


def swallow() -> None:
    try:
        signal.raise_signal(signal.SIGALRM)
    except Exception:  # noqa: BLE001 - as much user code does
        pass


def swallow_and_fail() -> None:
    swallow()
    fail()


def swallow_and_leave() -> None:
    swallow()
    sys.exit(0)


@pytest.mark.parametrize("run", [swallow, swallow_and_fail, swallow_and_leave])
def test_timeout_holds_whatever_the_code_catches(run: Any) -> None:
    with pytest.raises(TimeoutException, match=r"'train'.* 3600 s") as caught:
        TimeoutDecorator({"hours": 1}).around(context(), run)
    assert caught.value.seconds == 3600
    assert "has caught the exception" in str(caught.value.hint)


def test_an_interrupt_after_the_alarm_is_still_one() -> None:
    def interrupted() -> None:
        swallow()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        TimeoutDecorator({"hours": 1}).around(context(), interrupted)


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
