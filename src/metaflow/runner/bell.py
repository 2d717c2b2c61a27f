"""Waiting until something has changed in another thread: for threads, and for coroutines of any event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable


class Bell:
    """Whoever changes something rings; whoever waits looks again."""

    def __init__(self) -> None:
        self._rung = threading.Condition()
        self._coroutines: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []

    def ring(self) -> None:
        """Have all who wait look again."""
        with self._rung:
            coroutines, self._coroutines = self._coroutines, []
            self._rung.notify_all()
        for loop, future in coroutines:
            try:
                loop.call_soon_threadsafe(_wake, future)
            except RuntimeError:  # the loop is closed, and nobody waits
                pass

    def wait(self, happened: Callable[[], bool], timeout: float | None = None) -> bool:
        """Wait in a thread; tell whether it has happened in time (seconds)."""
        with self._rung:
            return self._rung.wait_for(happened, timeout)

    async def heard(self, happened: Callable[[], bool]) -> None:
        """Wait in a coroutine."""
        loop = asyncio.get_running_loop()
        while True:
            with self._rung:
                if happened():
                    return
                future = loop.create_future()
                self._coroutines.append((loop, future))
            await future


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
