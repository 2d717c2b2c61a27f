"""What changes while the server runs: writers publish, any number of streams listen.

A change is a path, from the flow down (``("Hello", "7", "train", "12")``), and says only that something there is new:
who listens reads again what it shows. A listener that does not keep up misses none, since a path that waits for it is
not added twice. Belongs to the event loop of the server; `publish` may be called from any thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

Path = tuple[str, ...]


class Changes:
    """The changes of one server."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listeners: set[_Listener] = set()
        self._has_ended = False

    def start(self) -> None:
        """Take note of the running event loop."""
        self._loop = asyncio.get_running_loop()

    def end(self) -> None:
        """End all streams: the server is about to end."""
        self._has_ended = True
        for listener in self._listeners:
            listener.awake.set()

    def publish(self, path: Path) -> None:
        """Tell that something at `path` is new."""
        if self._loop is not None and self._listeners:
            self._loop.call_soon_threadsafe(self._tell, path)

    def _tell(self, path: Path) -> None:
        for listener in self._listeners:
            if path[: len(listener.below)] == listener.below[: len(path)]:
                listener.waiting[path] = None
                listener.awake.set()

    async def below(self, path: Path, every: float) -> AsyncIterator[list[Path]]:
        """Yield what has changed at or below `path`, or above it, as it comes, until the server ends.

        Parameters
        ----------
        path : tuple of str
            Names from the flow down; empty for all.
        every : float
            Seconds after which an empty list is yielded if nothing has changed, so that a stream shows that it lives.
        """
        listener = _Listener(path)
        self._listeners.add(listener)
        try:
            while not self._has_ended:
                try:
                    async with asyncio.timeout(every):
                        await listener.awake.wait()
                except TimeoutError:
                    pass
                listener.awake.clear()
                changed, listener.waiting = list(listener.waiting), {}
                if not self._has_ended:
                    yield changed
        finally:
            self._listeners.discard(listener)


class _Listener:
    def __init__(self, below: Path) -> None:
        self.below = below
        self.waiting: dict[Path, None] = {}
        self.awake = asyncio.Event()
