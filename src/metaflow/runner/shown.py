"""Showing what a process prints, as it comes, on this program's own streams.

These are what they are at the moment, in a notebook or a test, and are written by the thread that waits.
"""

from __future__ import annotations

import codecs
import sys
import time
from collections.abc import Callable, Sequence

from metaflow.runner.output import Output
from metaflow.runner.process import FlowProcess


class Shown:
    """One stream of a process, shown on the stream of the same name.

    Parameters
    ----------
    output : Output
        What the process prints on it.
    name : str
        ``stdout`` or ``stderr``.
    """

    def __init__(self, output: Output, name: str) -> None:
        self._output = output
        self._name = name
        self._position = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    @property
    def is_behind(self) -> bool:
        """Whether there is more than was shown."""
        return self._output.size > self._position

    def show(self) -> None:
        """Show what has come."""
        data = self._output.read(self._position)
        self._position += len(data)
        stream = getattr(sys, self._name)
        if data and stream is not None:
            stream.write(self._decoder.decode(data))
            stream.flush()


def follow(
    process: FlowProcess, shown: Sequence[Shown], until: Callable[[], bool], timeout: float | None = None
) -> bool:
    """Show what a process prints until something holds; tell whether it did so in time (seconds)."""
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        left = None if deadline is None else deadline - time.monotonic()
        in_time = process.changed.wait(lambda: until() or any(each.is_behind for each in shown), left)
        is_over = until()
        for each in shown:
            each.show()
        if is_over or not in_time:
            return is_over
