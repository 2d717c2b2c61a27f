"""What `@timeout` does around a step's code, without a task."""

from __future__ import annotations

import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
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


@pytest.mark.parametrize("ends", [lambda: None, fail])
def test_timeout_holds_where_the_code_takes_the_alarm_away(ends: Any) -> None:
    def run() -> None:
        signal.alarm(0)
        deadline = time.monotonic() + 0.02
        while time.monotonic() < deadline:
            pass
        ends()

    with pytest.raises(TimeoutException, match=r"'train'.* 0\.01 s") as caught:
        TimeoutDecorator({"seconds": 0.01}).around(context(), run)
    assert "has taken the alarm away" in str(caught.value.hint)


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


# --- in a process that does other things too --------------------------------------------------------------------------


def shared_context() -> StepContext:
    return StepContext(SimpleNamespace(), "train", 0, 0, lambda: ("end",), has_own_process=False)


def test_an_alarm_of_somebody_else_stays_set() -> None:
    def mine(number: int, frame: object) -> None: ...

    before = signal.signal(signal.SIGALRM, mine)
    try:
        signal.setitimer(signal.ITIMER_REAL, 3600)
        TimeoutDecorator({"seconds": 100}).around(shared_context(), lambda: None)
        assert signal.getsignal(signal.SIGALRM) is mine
        assert 3500 < signal.getitimer(signal.ITIMER_REAL)[0] <= 3600
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_nothing_is_ended_by_force_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("faulthandler.dump_traceback_later", lambda *_, **__: pytest.fail("would end the process"))
    with pytest.raises(TimeoutException):
        TimeoutDecorator({"seconds": 0.01}).around(shared_context(), wait)


def test_outside_of_the_main_thread_the_end_tells_that_it_took_too_long() -> None:
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(TimeoutDecorator({"seconds": 1e-9}).around, shared_context(), lambda: None)
        with pytest.raises(TimeoutException, match="'train'"):
            run.result()
