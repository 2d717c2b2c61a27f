"""Recording behind an ordered queue: whoever has something to record does not wait until it is written.

All of it lives on one event loop, except for the writing itself, which is done in a thread, one batch after the other:
entries are written in the order in which they were put. What a recorder raises is final, since it waits out itself what
passes: nothing more is written then, and whoever uses the queue next is told.

Start reading at `RecorderQueue.put`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from metaflow.exception import StorageUnavailable
from metaflow.metadata_provider.entries import Entry
from metaflow.metadata_provider.protocol import Recorder

LIMIT = 100_000
"""Most entries that wait."""


class RecorderQueue:
    """What a run records, on its way to a recorder.

    Parameters
    ----------
    recorder : Recorder
        Writes the entries.
    on_failure : callable
        Called once, with what the recorder has raised.
    limit : int
        Most entries that wait.
    """

    def __init__(self, recorder: Recorder, on_failure: Callable[[Exception], None], limit: int = LIMIT) -> None:
        self._recorder = recorder
        self._on_failure = on_failure
        self._limit = limit
        self._waiting: list[Entry] = []
        self._next_batch: asyncio.Future[None] | None = None  # done when what waits now is written
        self._batch: asyncio.Future[None] | None = None  # done when what is being written is
        self._writer: asyncio.Task[None] | None = None
        self._failure: Exception | None = None

    @property
    def is_empty(self) -> bool:
        """Whether all that was put is written."""
        return self._writer is None

    def put(self, entry: Entry) -> None:
        """Have an entry written, after those that were put before.

        Raises
        ------
        Exception
            An earlier entry could not be written.
        StorageUnavailable
            Too many wait.
        """
        self._check()
        if len(self._waiting) >= self._limit:
            raise StorageUnavailable(
                f"The metadata at {self._recorder.root} are written too slowly: {len(self._waiting)} entries wait."
            )
        self._waiting.append(entry)
        if self._next_batch is None:
            self._next_batch = asyncio.get_running_loop().create_future()
        if self._writer is None:
            self._writer = asyncio.create_task(self._write_all())

    async def flush(self) -> None:
        """Wait until all that has been put so far is written.

        Raises
        ------
        Exception
            It cannot be.
        """
        batch = self._next_batch or self._batch
        if batch is not None:
            await asyncio.shield(batch)
        self._check()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    async def _write_all(self) -> None:
        try:
            while self._waiting and self._failure is None:
                entries, self._waiting = self._waiting, []
                self._batch, self._next_batch = self._next_batch, None
                try:
                    await asyncio.to_thread(self._write, entries)
                except Exception as error:  # noqa: BLE001 - raised wherever the queue is used next
                    self._failure = error
                    self._on_failure(error)
                self._release(self._batch)
        finally:
            self._release(self._batch)
            self._release(self._next_batch)
            self._batch = self._next_batch = self._writer = None

    def _write(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            entry.write(self._recorder)

    @staticmethod
    def _release(batch: asyncio.Future[None] | None) -> None:
        if batch is not None and not batch.done():
            batch.set_result(None)
