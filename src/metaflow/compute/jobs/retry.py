"""Calls of a service that may fail: which failures pass, how long to wait between two tries, what a person hears.

Knows no vendor: a backend's client raises `Unavailable` for what may pass and `Refused` for what will not. The clock is
that of the event loop. Start reading at `retry`.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import NamedTuple, TypeVar

Answer = TypeVar("Answer")


class Unavailable(Exception):
    """The service did not answer, or asked for fewer calls: the same call may succeed later.

    Parameters
    ----------
    reason : str
        For people.
    unsure : bool
        Whether the call may have had its effect all the same.
    credentials : bool
        Whether there are no valid credentials: somebody has to renew them.
    pause : float, optional
        Seconds after which to try again, if the service says so.
    """

    def __init__(
        self, reason: str, *, unsure: bool = False, credentials: bool = False, pause: float | None = None
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.unsure = unsure
        self.credentials = credentials
        self.pause = pause


class Refused(Exception):
    """The service has answered with an error that another try does not change; each client has a kind of its own."""


class RetryPolicy(NamedTuple):
    """How often to try again.

    Attributes
    ----------
    first, longest : float
        Seconds between two tries: at first, and at most; in between they double.
    """

    first: float = 0.3
    longest: float = 8.0


_USUAL = RetryPolicy()


class Backoff:
    """Growing pauses between tries, with some randomness, so that a thousand jobs do not come back at once."""

    def __init__(self, policy: RetryPolicy = _USUAL) -> None:
        self._policy = policy
        self._next = policy.first

    def reset(self) -> None:
        self._next = self._policy.first

    async def wait(self, least: float | None = None, stop: asyncio.Event | None = None) -> None:
        """Wait; for `least` seconds at least, and not longer than until `stop`."""
        pause = max(self._next * random.uniform(0.6, 1.0), least or 0.0)
        self._next = min(self._next * 2, self._policy.longest)
        try:
            await asyncio.wait_for((stop or asyncio.Event()).wait(), pause)
        except TimeoutError:
            pass


async def retry(call: Callable[[], Awaitable[Answer]], seconds: float, policy: RetryPolicy = _USUAL) -> Answer:
    """Make a call again and again for some seconds, as for a person who waits for its answer.

    Raises
    ------
    Unavailable
        There was no answer in that time; or credentials are missing, which is raised at once.
    Refused
        As the call does.
    """
    loop = asyncio.get_running_loop()
    until, backoff = loop.time() + seconds, Backoff(policy)
    while True:
        try:
            return await call()
        except Unavailable as error:
            if error.credentials or loop.time() >= until:
                raise
            await backoff.wait(error.pause)


async def answer_or(default: Answer, call: Awaitable[Answer]) -> Answer:
    """Return the answer to a call, or a default: what may not be asked, or is not answered now, stays unknown."""
    try:
        return await call
    except (Unavailable, Refused):
        return default


class Outage:
    """Tells a person once that a service does not answer, and once that it does again.

    Parameters
    ----------
    title : str
        What people call the service.
    say : callable
        Tells a person one sentence.
    silence : float
        Seconds without an answer that nobody hears of.
    """

    def __init__(self, title: str, say: Callable[[str], None], silence: float) -> None:
        self._title = title
        self._say = say
        self._silence = silence
        self._since: float | None = None
        self._is_told = False

    def failed(self, reason: str, now: float) -> float:
        """Take note that a call got no answer; return for how many seconds none has."""
        self._since = now if self._since is None else self._since
        if not self._is_told and now - self._since >= self._silence:
            self._is_told = True
            self._say(f"{self._title} does not answer: {reason}. Running jobs continue; it is asked again and again.")
        return now - self._since

    def over(self) -> None:
        """Take note that a call got its answer."""
        if self._is_told:
            self._say(f"{self._title} answers again.")
        self._since, self._is_told = None, False
