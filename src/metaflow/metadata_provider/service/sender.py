"""Calls that write, made in order by threads of their own, whatever happens to the service meanwhile.

What is put into one lane is sent in order; lanes do not wait for one another. What waits in a lane when it comes to its
turn is sent together where calls can be made one. While the service gives no answer that counts, one call at a time is
tried, after growing pauses; what was put stays. After `patience` seconds without any answer the trouble is final, as is
a refusal: nothing more is sent, and whoever puts or waits next is told.

Start reading at `Sender.put`, then at `Sender._send`.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Hashable, Sequence
from typing import NamedTuple, Protocol

from metaflow.exception import MetaflowException, StorageUnavailable
from metaflow.metadata_provider.service.connection import Unavailable

_THREADS = 8
"""Most calls at a time."""
_IDLE = 2.0
"""Seconds after which a thread without work ends."""


class Call(Protocol):
    """A call that writes."""

    def send(self, *, again: bool) -> None:
        """Make it; `again`: it may have been made before, without an answer.

        Raises
        ------
        Unavailable
            It is to be made again.
        MetaflowException
            It cannot be made.
        """


class Pauses(NamedTuple):
    """Seconds between two tries: at first, and at most; in between they double."""

    first: float = 0.5
    longest: float = 15.0


USUAL = Pauses()


class Trouble(NamedTuple):
    """What is wrong with the service now.

    Attributes
    ----------
    reason : str
        In its words, or ours.
    seconds : float
        Since when.
    waiting : int
        Calls that wait.
    """

    reason: str
    seconds: float
    waiting: int


class Sender:
    """Sends to one service.

    Parameters
    ----------
    url : str
        Its address, for people.
    patience : float
        Seconds without an answer after which it is given up.
    together : callable
        Returns calls that do what some calls in a row do.
    pauses : Pauses
        Between tries.
    clock : callable
        Returns seconds.
    """

    def __init__(
        self,
        url: str,
        patience: float,
        together: Callable[[Sequence[Call]], list[Call]],
        pauses: Pauses = USUAL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._patience = patience
        self._together = together
        self._pauses = pauses
        self._clock = clock
        self._changed = threading.Condition()
        self._lanes: dict[Hashable, deque[Call]] = {}
        self._ready: deque[Hashable] = deque()  # lanes with calls, of which none is being made
        self._unsure: set[int] = set()  # ids of calls that may have been made
        self._waiting = 0
        self._busy = 0
        self._threads = 0
        self._failure: MetaflowException | None = None
        self._reason = ""
        self._since: float | None = None  # when the service began to give no answers
        self._next_try = 0.0
        self._pause = pauses.first

    def put(self, lane: Hashable, *calls: Call) -> None:
        """Have calls made, after those that were put into the lane before.

        Raises
        ------
        MetaflowException
            The service is given up.
        """
        with self._changed:
            self._check()
            if lane not in self._lanes:
                self._lanes[lane] = deque()
                self._ready.append(lane)
            self._lanes[lane].extend(calls)
            self._waiting += len(calls)
            if self._threads < min(_THREADS, len(self._lanes)):
                self._threads += 1
                threading.Thread(target=self._work, name="metadata service", daemon=True).start()
            self._changed.notify()

    def flush(self, seconds: float, lanes: Collection[Hashable] | None = None) -> bool:
        """Wait until all that was put, or put into `lanes`, is sent, for some seconds at most; tell whether it is.

        Raises
        ------
        MetaflowException
            The service is given up.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._is_sent(lanes) or self._failure is not None, seconds)
            self._check()
            return self._is_sent(lanes)

    @property
    def trouble(self) -> Trouble | None:
        """What is wrong with the service now."""
        since = self._since
        return None if since is None else Trouble(self._reason, self._clock() - since, self._waiting)

    def _is_sent(self, lanes: Collection[Hashable] | None) -> bool:
        return not self._waiting or (lanes is not None and not any(lane in self._lanes for lane in lanes))

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    # --- in the threads ---------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            with self._changed:
                lane = self._take()
                if lane is None:
                    self._threads -= 1
                    return
                self._busy += 1
                calls, self._lanes[lane] = list(self._lanes[lane]), deque()
            left = self._send(calls)
            with self._changed:
                self._busy -= 1
                self._lanes[lane].extendleft(reversed(left))
                if self._lanes[lane]:
                    self._ready.append(lane)
                else:
                    del self._lanes[lane]
                self._waiting += len(left) - len(calls)
                self._changed.notify_all()

    def _take(self) -> Hashable | None:
        """Wait for a lane whose turn it is; None if there is nothing to do for a while."""
        while self._failure is None:
            pause = _IDLE
            if self._ready:
                if self._since is None:
                    return self._ready.popleft()
                pause = self._next_try - self._clock()
                if not self._busy and pause <= 0:
                    return self._ready.popleft()
            if not self._changed.wait(max(pause, 0.001)) and not self._ready:
                return None
        return None

    def _send(self, calls: Sequence[Call]) -> list[Call]:
        """Make calls; return those that are left to be made."""
        sure = 1 if id(calls[0]) in self._unsure else 0  # a call that may have been made stays as it is
        left = deque([*calls[:sure], *self._together(calls[sure:])])
        while left:
            call = left[0]
            try:
                call.send(again=id(call) in self._unsure)
            except Unavailable as error:
                if error.unsure:
                    self._unsure.add(id(call))
                self._note(error)
                return list(left)
            except MetaflowException as error:
                self._give_up(error)
                return list(left)
            except Exception as error:  # noqa: BLE001 - an error of ours must end the run, not vanish in a thread
                self._give_up(MetaflowException(f"The metadata service {self._url}: {type(error).__name__}: {error}."))
                return list(left)
            left.popleft()
            self._unsure.discard(id(call))
            self._since, self._pause = None, self._pauses.first
        return []

    def _note(self, error: Unavailable) -> None:
        with self._changed:
            now = self._clock()
            self._reason = error.reason
            if self._since is None:
                self._since = now
            self._next_try = now + max(self._pause * random.uniform(0.6, 1.0), error.pause)
            self._pause = min(self._pause * 2, self._pauses.longest)
            is_over = now - self._since >= self._patience
        if is_over:
            self._give_up(given_up(self._url, error.reason, self._patience))

    def _give_up(self, error: MetaflowException) -> None:
        with self._changed:
            self._failure = self._failure or error
            self._changed.notify_all()


def given_up(url: str, reason: str, patience: float) -> StorageUnavailable:
    """Return the error of a service that was waited for long enough."""
    return StorageUnavailable(
        f"The metadata service {url} has given no answer for {patience:.0f} s: {reason}.",
        hint="when it answers again, `resume` goes on from what had finished; METAFLOW_SERVICE_PATIENCE is how many "
        "seconds are waited",
    )
