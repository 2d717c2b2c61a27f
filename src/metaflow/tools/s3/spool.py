"""The temporary directory of one `S3`: made when the first file is needed, gone when the client is closed.

A client that is never closed leaves its files until the process ends, since users keep paths of them.
"""

from __future__ import annotations

import atexit
import itertools
import os
import shutil
from threading import Lock

from metaflow.exception import MetaflowS3Exception

_LONGEST = 80


class Spool:
    """Temporary files below one directory.

    Parameters
    ----------
    root : str
        Where the directory is made.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self._path: str | None = None
        self._numbers = itertools.count(1)
        self._lock = Lock()
        self._owner = 0

    def new(self, key: str) -> str:
        """Return the path of a file that does not exist yet, for the object `key`; its name ends like the key.

        Raises
        ------
        MetaflowS3Exception
            The directory cannot be made.
        """
        name = key.rstrip("/").rpartition("/")[2]
        safe = "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in name)[-_LONGEST:]
        while len(safe.encode()) > 2 * _LONGEST:
            safe = safe[1:]
        with self._lock:
            return f"{self._directory()}/{next(self._numbers)}-{safe}"

    def remove(self) -> None:
        """Remove the directory and all that is in it, if this process made it."""
        with self._lock:
            path, self._path = self._path, None
        if path is not None:
            atexit.unregister(self.remove)
            if self._owner == os.getpid():
                shutil.rmtree(path, ignore_errors=True)

    def _directory(self) -> str:
        if self._path is None or self._owner != os.getpid():
            from tempfile import mkdtemp

            try:
                self._path = os.path.abspath(mkdtemp(prefix="metaflow.s3.", dir=self.root))
            except OSError as error:
                raise MetaflowS3Exception(
                    f"S3 cannot create a directory for its local copies in {os.path.abspath(self.root)}: "
                    f"{error.strerror}.",
                    hint="choose another directory with tmproot= (or METAFLOW_TEMPDIR)",
                ) from error
            self._owner = os.getpid()
            atexit.register(self.remove)
        return self._path
