"""What never changes, kept in a file: how runs ended, and the tables of their tasks.

The file may be deleted at any time, and several servers may use it at once. One that is damaged, or of another version,
is made anew; where none can be written the server goes on without. Start reading at `Cache`.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import zlib
from typing import Any

_VERSION = 1
"""Of what is kept: a file of another version is made anew."""
_LARGEST = 256 << 20
"""Bytes above which the file is made anew when it is opened."""
_PATIENCE = 0.5
"""Seconds that another server's writing is waited for."""


class Cache:
    """JSON values by a kind and a key.

    Parameters
    ----------
    path : str or None
        The file; its directory is made. None: nothing is kept.
    """

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._is_broken = path is None

    def get(self, kind: str, key: str) -> Any:
        """Return a value; None if there is none."""
        return self.get_many(kind, [key]).get(key)

    def get_many(self, kind: str, keys: list[str]) -> dict[str, Any]:
        """Return the values that are there, by key."""
        found: dict[str, Any] = {}
        for begin in range(0, len(keys), 500):
            part = keys[begin : begin + 500]
            query = f"SELECT key, value FROM kept WHERE kind = ? AND key IN ({','.join('?' * len(part))})"
            for key, packed in self._run(query, (kind, *part)):
                try:
                    found[key] = json.loads(zlib.decompress(packed))
                except (ValueError, TypeError, zlib.error):
                    pass  # as if it were not there: it is read and kept once more
        return found

    def put(self, kind: str, key: str, value: Any) -> None:
        """Keep a value."""
        packed = zlib.compress(json.dumps(value, separators=(",", ":")).encode(), 1)
        self._run("INSERT OR REPLACE INTO kept VALUES (?, ?, ?)", (kind, key, packed))

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _run(self, statement: str, values: tuple[Any, ...]) -> list[Any]:
        with self._lock:
            for _ in range(2):
                if self._is_broken:
                    return []
                try:
                    return self._opened().execute(statement, values).fetchall()
                except sqlite3.OperationalError as error:
                    if "locked" in str(error):
                        return []  # somebody else writes for long: what is not kept now is kept another time
                    self._start_anew()
                except sqlite3.DatabaseError:
                    self._start_anew()
            self._is_broken = True
            return []

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            assert self._path is not None
            try:
                os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
                if os.path.exists(self._path) and os.path.getsize(self._path) > _LARGEST:
                    self._remove()
            except OSError as error:
                raise sqlite3.DatabaseError(str(error)) from error
            found = sqlite3.connect(self._path, _PATIENCE, isolation_level=None, check_same_thread=False)
            self._connection = found
            found.execute("PRAGMA journal_mode = WAL")
            found.execute("PRAGMA synchronous = OFF")
            if found.execute("PRAGMA user_version").fetchone()[0] not in (0, _VERSION):
                raise sqlite3.DatabaseError("it is of another version")
            found.execute(
                "CREATE TABLE IF NOT EXISTS kept "
                "(kind TEXT, key TEXT, value BLOB, PRIMARY KEY (kind, key)) WITHOUT ROWID"
            )
            found.execute(f"PRAGMA user_version = {_VERSION}")
        return self._connection

    def _start_anew(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._remove()

    def _remove(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            try:
                os.unlink(f"{self._path}{suffix}")
            except OSError:
                pass
