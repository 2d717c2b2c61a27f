"""What a task may do to the process that runs it: all where it has one for itself, else nothing that others notice.

Start reading at `TaskProcess`.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol


class TaskProcess(Protocol):
    """The process of a task."""

    is_own: bool
    """Whether it is there for this task alone, which may use its signals and end it."""

    def storing(self) -> AbstractContextManager[None]:
        """Return what is in effect while the task stores what its step has done."""

    def complain(self, text: str) -> None:
        """Print why a step failed."""


class OwnProcess:
    """A process that a task has for itself (`TaskProcess`); to be made before the step runs."""

    is_own = True

    def __init__(self) -> None:
        self._mask = os.umask(0o077)
        os.umask(self._mask)

    @contextmanager
    def storing(self) -> Iterator[None]:
        """Let what a step has done be stored if its run is interrupted now; what takes too long is ended by SIGTERM."""
        os.umask(self._mask)  # what the step did to its own files is its business; ours stay readable
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)

    def complain(self, text: str) -> None:
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except (OSError, ValueError, AttributeError):  # the step has closed it
            try:
                os.write(2, text.encode("utf-8", "backslashreplace"))
            except OSError:
                pass


class SharedProcess:
    """A process that does other things too (`TaskProcess`), and is told of an error by the exception."""

    is_own = False

    def storing(self) -> AbstractContextManager[None]:
        return nullcontext()

    def complain(self, text: str) -> None:
        pass
