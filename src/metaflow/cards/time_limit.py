"""A limit for the time that code of users takes in our process, such as a `repr` that never comes back.

By an alarm, which only the main thread can have; code that does not come back from C is not interrupted.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from metaflow.exception import MetaflowException


class TookTooLong(MetaflowException):
    """Something was not ready in time."""

    headline = "Card failed"


class _TooLate(BaseException):
    """The time is over; not an Exception, which code on the way may catch."""


@contextmanager
def time_limit(seconds: float, what: str = "The card", hint: str | None = None) -> Iterator[None]:
    """Raise in the code inside if it takes longer; what already has an alarm that rings sooner is left to that.

    Parameters
    ----------
    seconds : float
        0 for no limit.
    what : str
        What is not ready then.
    hint : str, optional
        What helps.

    Raises
    ------
    TookTooLong
        It did.
    """
    if threading.current_thread() is not threading.main_thread() or seconds <= 0:
        yield
        return
    due, interval = signal.getitimer(signal.ITIMER_REAL)
    if 0 < due <= seconds:
        yield
        return

    def ring(number: int, frame: FrameType | None) -> None:
        raise _TooLate

    began = time.monotonic()
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    except _TooLate:
        raise TookTooLong(f"{what} was not ready after {seconds:g} s.", hint=hint) from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL if before is None else before)
        if due:
            signal.setitimer(signal.ITIMER_REAL, max(due - (time.monotonic() - began), 1e-6), interval)
