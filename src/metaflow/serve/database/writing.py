"""The one thread that writes. It takes all that waits at a moment and commits it at once.

So a database that needs some milliseconds for a commit bears hundreds of writes a second, SQLite has one writer, and
what has been answered is on the disk. Start reading at `Writer.submit`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, OperationalError

from metaflow.exception import MetaflowException, StorageUnavailable

T = TypeVar("T")
Job = Callable[[Connection], T]
"""Writes something. What raises `MetaflowException`, because it cannot be done, raises it before it writes."""

_MOST = 500
"""Jobs in a transaction."""


class Writer:
    """Does jobs, in their order.

    Parameters
    ----------
    engine : callable
        Returns what connections are made of; called when there is something to write.
    finish : callable
        Called at the end of each transaction: writes what its jobs have collected.
    undo : callable
        Called when a transaction has been undone, before its jobs are done anew or given up.
    """

    def __init__(
        self, engine: Callable[[], Engine], finish: Callable[[Connection], None], undo: Callable[[], None]
    ) -> None:
        self._engine = engine
        self._finish = finish
        self._undo = undo
        self._waiting: SimpleQueue[tuple[Job[Any], Future[Any]] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def submit(self, job: Job[T]) -> Future[T]:
        """Have a job done; the future has its result once that is committed."""
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="database writer", daemon=True)
                self._thread.start()
        future: Future[T] = Future()
        self._waiting.put((job, future))
        return future

    def close(self) -> None:
        """Do what waits, and end."""
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join()

    def _work(self) -> None:
        while (first := self._waiting.get()) is not None:
            group, is_last = [first], False
            while len(group) < _MOST:
                try:
                    following = self._waiting.get_nowait()
                except Empty:
                    break
                if following is None:
                    is_last = True
                    break
                group.append(following)
            self._do(group)
            if is_last:
                return

    def _do(self, group: Sequence[tuple[Job[Any], Future[Any]]]) -> None:
        jobs = [job for job, _ in group]
        try:
            results = self._commit(jobs)
        except Exception as error:  # noqa: BLE001 - whoever waits for a job gets it
            if len(group) == 1 or isinstance(error, (OperationalError, StorageUnavailable)):
                for _, future in group:
                    future.set_exception(error)
            else:  # one of them is at fault, and the others shall not suffer
                for each in group:
                    self._do([each])
            return
        for (_, future), result in zip(group, results, strict=True):
            if isinstance(result, MetaflowException):
                future.set_exception(result)
            else:
                future.set_result(result)

    def _commit(self, jobs: Sequence[Job[Any]]) -> list[Any]:
        try:
            return self._committed(jobs)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
            return self._committed(jobs)  # the database has been away: once more, by a new connection

    def _committed(self, jobs: Sequence[Job[Any]]) -> list[Any]:
        try:
            with self._engine().connect().execution_options(writes=True) as connection, connection.begin():
                outcomes = [_outcome(job, connection) for job in jobs]
                self._finish(connection)
                return outcomes
        except BaseException:
            self._undo()
            raise


def _outcome(job: Job[Any], connection: Connection) -> Any:
    try:
        return job(connection)
    except MetaflowException as error:
        return error
