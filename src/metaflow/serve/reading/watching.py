"""Who looks at a run hears when it changes: one poller for each run or task that is looked at, however many look.

What is written through this server is published by who writes it (`metaflow.serve.changes`); everything else, files, a
bucket, another service, and logs wherever they are, can only be looked at again and again: by a poller, for as long as
somebody listens, at a pace that follows what a look costs. It publishes as well, so a listener hears of both in one
stream. Belongs to the event loop of the server. Start reading at `Watches.below`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from metaflow.exception import MetaflowException
from metaflow.metadata_provider.protocol import TaskPath
from metaflow.serve.changes import Changes, Path
from metaflow.serve.reading.filters import RunFilter
from metaflow.serve.reading.protocol import RunReader

_LOG = logging.getLogger(__name__)
_PAUSE = 1.0
_LONGEST_PAUSE = 30.0
_PAUSE_PER_COST = 10
"""How many times as long as a look takes is waited for before the next one."""


@dataclass(slots=True)
class _Poller:
    listeners: int
    task: asyncio.Task[None]


class Watches:
    """The pollers of one server.

    Parameters
    ----------
    reader : RunReader
        What is looked at.
    changes : Changes
        Where it is told.
    pause : float
        Seconds between two looks, at least.
    """

    def __init__(self, reader: RunReader, changes: Changes, pause: float = _PAUSE) -> None:
        self._reader = reader
        self._changes = changes
        self._pause = pause
        self._pollers: dict[Path, _Poller] = {}

    async def below(self, path: Path, every: float) -> AsyncIterator[list[Path]]:
        """Yield what has changed; as `metaflow.serve.changes.Changes.below`.

        Parameters
        ----------
        path : tuple of str
            Of a run, a step, or a task; empty: of the list of runs.
        every : float
            Seconds after which an empty list is yielded if nothing has changed.
        """
        watched = path if len(path) in (0, 4) else path[:2]
        poller = self._pollers.get(watched)
        if poller is None:
            poller = self._pollers[watched] = _Poller(0, asyncio.create_task(self._poll(watched)))
        poller.listeners += 1
        try:
            async for changed in self._changes.below(path, every):
                yield changed
        finally:
            poller.listeners -= 1
            if not poller.listeners and self._pollers.get(watched) is poller:
                del self._pollers[watched]
                poller.task.cancel()

    async def _poll(self, path: Path) -> None:
        look = self._look(path)
        known: object = None
        while True:
            began = time.monotonic()
            try:
                found = await asyncio.to_thread(look)
                if known is not None and found != known:
                    self._changes.publish(path)
                known = found
            except MetaflowException:
                pass  # a store that is away, a run that is gone: a page that is loaded says so
            except Exception:  # noqa: BLE001 - whatever it is, the next look may find more
                _LOG.exception("Changes of %s cannot be looked for", "/".join(path) or "runs")
            cost = time.monotonic() - began
            await asyncio.sleep(min(max(self._pause, _PAUSE_PER_COST * cost), max(self._pause, _LONGEST_PAUSE)))

    def _look(self, path: Path) -> Callable[[], object]:
        """Return what returns something else when what is at `path` has changed."""
        reader = self._reader
        if not path:
            return lambda: reader.runs(RunFilter()).rows
        if len(path) < 4:
            flow, run = path
            return lambda: reader.run_state(flow, run)
        return lambda: reader.task_state(TaskPath(*path))
