"""How long a request to an object store is tried again, and the one word about it on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from threading import Lock

from metaflow.store.object_errors import Trouble

PATIENCE = 120.0
"""Seconds for which a request that fails for a passing reason is tried again, unless METAFLOW_S3_RETRY_COUNT says how
often."""

_PATIENCE_WITH_NAMES = 20.0  # a host's name that is not found is mostly misspelt
_TELL_AFTER = 3.0
_LONGEST_PAUSE = 5.0


class Patience:
    """That of the requests to one place; may be used by several threads at once."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._told = False

    @staticmethod
    def is_left(trouble: Trouble, retries: int | None, tries: int, waited: float) -> bool:
        """Tell whether to try again.

        Parameters
        ----------
        trouble : Trouble
            What went wrong the last time.
        retries : int or None
            METAFLOW_S3_RETRY_COUNT.
        tries : int
            How often it was tried.
        waited : float
            Seconds since the first time.
        """
        if not trouble.passes or (retries is not None and tries > retries):
            return False
        return waited < _limit(trouble)

    def wait(self, trouble: Trouble, tries: int, waited: float, waiting: Callable[[], str]) -> None:
        """Wait before the next try; say who is waiting, and why, once, if it has taken some seconds already."""
        if waited > _TELL_AFTER:
            self._tell(f"{waiting()}: {trouble.reason}. Trying again for {_limit(trouble):.0f} s.\n")
        time.sleep(_pause(tries))

    def _tell(self, text: str) -> None:
        with self._lock:
            if self._told:
                return
            self._told = True
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except (OSError, ValueError, AttributeError):  # closed
            pass


def _limit(trouble: Trouble) -> float:
    return _PATIENCE_WITH_NAMES if trouble.kind == "name" else PATIENCE


def _pause(tries: int) -> float:
    from random import random

    return min(_LONGEST_PAUSE, 0.25 * 2.0**tries) * (0.5 + random() / 2)
