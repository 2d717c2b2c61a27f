"""The time, handed in: so that a test says what time it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple


class Clock(NamedTuple):
    """Two clocks.

    Attributes
    ----------
    elapsed : callable
        Seconds since some moment, never set back: for durations.
    now : callable
        Seconds since the epoch: for people.
    """

    elapsed: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time


SYSTEM = Clock()
