"""How long a request to an object store is tried again, and the one word about it on stderr.

What may pass (throttling, errors of the server, a connection that is refused or cut) is tried again for two minutes.
All else is raised at once.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from threading import Lock
from typing import TypeVar

from metaflow.store.objects.errors import StoreError

_LIMIT = 120.0
"""Seconds for which a request is tried again, unless METAFLOW_S3_RETRY_COUNT says how often."""
_LIMIT_OF_NAMES = 20.0  # a host's name that is not found is mostly misspelt
_TELL_AFTER = 3.0
_LONGEST_PAUSE = 5.0

_Result = TypeVar("_Result")


class Retries:
    """The retries of the requests to one bucket; may be used by several threads at once.

    Parameters
    ----------
    count : int or None
        METAFLOW_S3_RETRY_COUNT.
    where : callable
        Returns the bucket and its endpoint, for the word on stderr.
    """

    def __init__(self, count: int | None, where: Callable[[], str]) -> None:
        self._count = count
        self._where = where
        self._lock = Lock()
        self._has_told = False

    def run(self, request: Callable[[], _Result], moved: Callable[[StoreError], bool] = lambda error: False) -> _Result:
        """Send a request until it is answered.

        Parameters
        ----------
        request : callable
            Sends it once; raises what the client raises.
        moved : callable, optional
            Tells whether the reason for an error has just been removed, so that the request is sent again at once.

        Raises
        ------
        StoreError
            It cannot be answered.
        """
        begun, tries = time.monotonic(), 0
        while True:
            try:
                return request()
            except StoreError:
                raise
            except Exception as error:
                if not _is_of_a_client(error):
                    raise
                tries += 1
                failure = StoreError.of(error, tries=tries, seconds=time.monotonic() - begun)
                if moved(failure):
                    continue
                if not self._is_worth_another(failure):
                    raise failure from error
            if failure.seconds > _TELL_AFTER:
                seconds = _limit(failure)
                self._tell(f"Waiting for {self._where()}: {failure.reason}. Trying again for {seconds:.0f} s.\n")
            time.sleep(_pause(tries))

    def _is_worth_another(self, failure: StoreError) -> bool:
        if not failure.is_transient or (self._count is not None and failure.tries > self._count):
            return False
        return failure.seconds < _limit(failure)

    def _tell(self, sentence: str) -> None:
        with self._lock:
            if self._has_told:
                return
            self._has_told = True
        try:
            sys.stderr.write(sentence)
            sys.stderr.flush()
        except (OSError, ValueError, AttributeError):  # closed
            pass


def _limit(failure: StoreError) -> float:
    return _LIMIT_OF_NAMES if failure.kind == "name" else _LIMIT


def _pause(tries: int) -> float:
    from random import random

    return min(_LONGEST_PAUSE, 0.25 * 2.0**tries) * (0.5 + random() / 2)


def _is_of_a_client(error: Exception) -> bool:
    """Tell an error of a client, which may also be one of Python's classes, from a mistake of ours."""
    return isinstance(error, (OSError, ValueError)) or type(error).__module__.startswith(("obstore", "botocore"))
