"""From what people write, a file or a URL, to a database: connections for reading, one thread for writing.

An SQLite file is made when something is written for the first time; until then the database is empty, so that whoever
only looks at runs leaves nothing behind. Start reading at `Database`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, OperationalError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from metaflow.exception import CommandException, StorageUnavailable
from metaflow.serve.database.migrations import migrate
from metaflow.serve.database.writes import Writes
from metaflow.serve.database.writing import Job, Writer

T = TypeVar("T")

READERS = 6
"""Threads that answer queries."""
_BUSY_MILLISECONDS = 5000
"""How long somebody else may have an SQLite file locked before a write is refused."""


class Database:
    """The facts of runs in a database.

    Parameters
    ----------
    place : str
        Path of an SQLite file, or a URL: ``postgresql://user:password@host/name``.

    Attributes
    ----------
    shown : str
        The place, without its password.
    writes : Writes
        What can be written.

    Raises
    ------
    CommandException
        It is no place of a database.
    """

    def __init__(self, place: str) -> None:
        self._url = _url(place)
        self._file = self._url.database if self._url.get_backend_name() == "sqlite" else None
        self.shown = self._file or self._url.set(drivername="postgresql").render_as_string()
        self._engine: Engine | None = None
        self._empty: Engine | None = None
        self._opening = threading.Lock()
        self.writes = Writes()
        self._readers = ThreadPoolExecutor(READERS, "database reader")
        self._writer = Writer(self._opened, self.writes.finish, self.writes.undo)

    def read(self, query: Callable[[Connection], T]) -> T:
        """Return what a query finds.

        Raises
        ------
        StorageUnavailable
            The database cannot be reached.
        """
        try:
            with self._readable().connect() as connection:
                return query(connection)
        except OperationalError as error:
            raise self._unavailable(error) from error

    def ask(self, query: Callable[[Connection], T]) -> Future[T]:
        """Have a query answered by one of a few threads; as `read`."""
        return self._readers.submit(self.read, query)

    def write(self, job: Job[T]) -> Future[T]:
        """Have something written; the future has the job's result once it is on the disk.

        It raises `StorageUnavailable` if the database cannot be written at this moment.
        """
        return self._writer.submit(job)

    def check(self) -> None:
        """Find out whether it can be used, and bring its tables up to date.

        Raises
        ------
        CommandException
            A newer version has changed its tables.
        StorageUnavailable
            It cannot be reached, or the file is no database.
        """
        if self._file is None or os.path.exists(self._file):
            self._opened()
        elif not os.access(_nearest(os.path.dirname(self._file)), os.W_OK):
            raise StorageUnavailable(
                f"{self._file} cannot be written: permission denied.", hint="choose another file: --database FILE"
            )

    def close(self) -> None:
        """Write what waits, and let go of the connections."""
        self._writer.close()
        self._readers.shutdown()
        for engine in (self._engine, self._empty):
            if engine is not None:
                engine.dispose()

    def _readable(self) -> Engine:
        if self._engine is None and self._file is not None and not os.path.exists(self._file):
            with self._opening:
                if self._empty is None:
                    self._empty = _prepared(_engine(URL.create("sqlite"), connections=1))
            return self._empty
        return self._opened()

    def _opened(self) -> Engine:
        with self._opening:
            if self._engine is None:
                try:
                    if self._file is not None:
                        os.makedirs(os.path.dirname(self._file), exist_ok=True)
                    self._engine = _prepared(_engine(self._url))
                except (OSError, SQLAlchemyError) as error:
                    raise self._unavailable(error) from error
            return self._engine

    def _unavailable(self, error: Exception) -> StorageUnavailable:
        return unavailable(error, self.shown)


def unavailable(error: Exception, place: str = "") -> StorageUnavailable:
    """Return the error for a database that does not do what it should."""
    cause = getattr(error, "orig", None) or error
    reason = (str(getattr(cause, "strerror", None) or cause).strip().splitlines() or [type(cause).__name__])[0]
    return StorageUnavailable(f"The database{f' {place}' if place else ''} cannot be used: {reason}.")


def _url(place: str) -> URL:
    scheme = place.partition("://")[0] if "://" in place else ""
    if not scheme:
        return URL.create("sqlite", database=os.path.abspath(os.path.expanduser(place)))
    if scheme not in ("postgresql", "postgres"):
        raise CommandException(
            f"--database {scheme}://…: there is no such kind of database here.",
            hint="name a file for SQLite, or postgresql://USER@HOST/NAME",
        )
    try:
        return make_url(place).set(drivername="postgresql+psycopg")
    except (ArgumentError, ValueError):
        raise CommandException(
            "--database postgresql://…: this is not the URL of a database.", hint="write postgresql://USER@HOST/NAME"
        ) from None


def _engine(url: URL, connections: int = READERS + 2) -> Engine:
    is_file = url.get_backend_name() == "sqlite"
    options = {"check_same_thread": False} if is_file else {"connect_timeout": 5, "application_name": "millrace"}
    return create_engine(
        url,
        poolclass=QueuePool,
        pool_size=connections,
        max_overflow=10 if connections > 1 else 0,
        pool_pre_ping=not is_file,
        connect_args=options,
    )


def _prepared(engine: Engine) -> Engine:
    """Return an engine whose connections are set up, for a database whose tables are up to date."""
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_up)
        event.listen(engine, "begin", _begin)
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        migrate(connection)
    return engine


def _set_up(connection: Any, _: object) -> None:
    connection.isolation_level = None  # transactions begin where we say so
    for setting in (
        f"busy_timeout={_BUSY_MILLISECONDS}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "cache_size=-8000",
    ):
        connection.execute(f"PRAGMA {setting}")


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _nearest(directory: str) -> str:
    while not os.path.exists(directory):
        directory = os.path.dirname(directory)
    return directory
