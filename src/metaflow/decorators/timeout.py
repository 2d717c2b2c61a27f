"""`@timeout`: end a step that takes too long.

An alarm raises in the step's code when the time is over. Code that does not notice, because it is in a long call of a
library or catches everything, is ended by force a little later; if it ends by itself before that, in whatever way, it
took too long all the same.

In a process that others use as well, nothing is ended by force, and an alarm that somebody else has set stays set. Only
the main thread can have an alarm; in another one, a step that takes too long is told so when it has ended.
"""

from __future__ import annotations

import faulthandler
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from types import FrameType, TracebackType
from typing import Any, TypeVar, overload

from metaflow.exception import TimeoutException
from metaflow.flow.decorator import StepContext, StepDecorator
from metaflow.flow.notes import note_on_step
from metaflow.settings.kinds import amount, shown

Function = TypeVar("Function")
_Handler = Callable[[int, FrameType | None], Any]

GRACE_SECONDS = 5.0
"""Between the alarm and the end by force."""

MOST_SECONDS = 100 * 365 * 86_400
"""Above which the number is taken for a mistake; timers of the system have their limits too."""

_SECONDS = {"seconds": 1, "minutes": 60, "hours": 3600}


_CAUGHT = "the step, or a library, has caught the exception that tells it so"
_SILENCED = "the step, or a library, has taken the alarm away that tells it so: signal.alarm, signal.setitimer"


class TimeoutDecorator(StepDecorator):
    name = "timeout"
    defaults = {"seconds": 0, "minutes": 0, "hours": 0}

    def check(self) -> None:
        for unit, value in self.attributes.items():
            if not amount(value) >= 0:
                raise self.error(f"@timeout({unit}={shown(value)}): expected a number of {unit}, 0 or more.")
        if self.seconds <= 0:
            raise self.error("@timeout has no time.", hint="write @timeout(minutes=10); the units add up")
        if self.seconds > MOST_SECONDS:
            raise self.error(
                f"@timeout: {self.seconds:g} s are more than a hundred years.",
                hint="without @timeout there is no limit",
            )

    @property
    def seconds(self) -> float:
        """The limit."""
        return sum(amount(self.attributes[unit]) * factor for unit, factor in _SECONDS.items())

    def time_limit(self) -> float:
        return self.seconds + GRACE_SECONDS

    def around(self, context: StepContext, run: Callable[[], None]) -> None:
        message = f"The step '{context.step}' took longer than its @timeout of {self.seconds:g} s."
        way: TracebackType | None = None

        def over(number: int, frame: FrameType | None) -> None:
            nonlocal way
            way = _way_to(frame)
            raise TimeoutException(message, seconds=self.seconds)

        began = time.monotonic()
        alarm = self._own_alarm(over) if context.has_own_process else self._shared_alarm(over)
        raised: BaseException | None = None
        try:
            with alarm:
                run()
        except BaseException as error:
            raised = error
            raise
        finally:
            is_late = time.monotonic() - began > self.seconds
            if (way or is_late) and not isinstance(raised, (TimeoutException, KeyboardInterrupt)):
                hint = _CAUGHT if way else _SILENCED if context.has_own_process else None
                late = TimeoutException(message, seconds=self.seconds, hint=hint)
                raise late.with_traceback(way) from raised

    @contextmanager
    def _own_alarm(self, over: _Handler) -> Iterator[None]:
        before = signal.signal(signal.SIGALRM, over)
        signal.setitimer(signal.ITIMER_REAL, self.seconds)
        # A thread of C code: it needs neither the main thread nor the GIL, and shows where the step hangs.
        faulthandler.dump_traceback_later(self.seconds + GRACE_SECONDS, exit=True, file=2)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    @contextmanager
    def _shared_alarm(self, over: _Handler) -> Iterator[None]:
        if current_thread() is not main_thread():
            yield
            return
        began = time.monotonic()
        before = signal.signal(signal.SIGALRM, over)
        due, interval = signal.setitimer(signal.ITIMER_REAL, self.seconds)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
            if due:  # somebody else's, such as that of a test; it may be due by now
                signal.setitimer(signal.ITIMER_REAL, max(due - (time.monotonic() - began), 1e-6), interval)


def _way_to(frame: FrameType | None) -> TracebackType | None:
    """Return where the code was, as the traceback of an exception would have it that nobody catches."""
    way = None
    while frame is not None and frame.f_code is not TimeoutDecorator.around.__code__:
        way = TracebackType(way, frame, frame.f_lasti, frame.f_lineno)
        frame = frame.f_back
    return way


@overload
def timeout(function: Function) -> Function: ...
@overload
def timeout(*, seconds: float = 0, minutes: float = 0, hours: float = 0) -> Callable[[Function], Function]: ...
def timeout(function: Any = None, **attributes: Any) -> Any:
    """End a step that takes too long; to `@retry` and `@catch` that is a failure like any other.

    Parameters
    ----------
    seconds, minutes, hours : float
        The limit; they add up.

    Raises
    ------
    InvalidDecoratorAttribute
        There is no limit, or a value makes no sense.
    """
    return note_on_step(TimeoutDecorator, function, attributes)
