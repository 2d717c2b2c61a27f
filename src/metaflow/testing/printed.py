"""What steps print through `sys.stdout` and `sys.stderr`: it goes where it would go, and a copy is kept for the test.

Each task has its own copy, also where several run in threads. What writes to the file descriptors themselves, such as a
child process, is not seen here; `capfd` of pytest sees it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import StringIO
from threading import Lock
from typing import Any

from metaflow.flow.current import CurrentTask, current

_lock = Lock()
_tasks = 0
"""How many tasks are in `kept`."""


class PrintingTask(CurrentTask):
    """What `current` knows of a task, and what that has printed.

    Attributes
    ----------
    stdout, stderr : StringIO
        The copies.
    """

    __slots__ = ("stderr", "stdout")

    def __init__(self) -> None:
        super().__init__()
        self.stdout = StringIO()
        self.stderr = StringIO()


class _Copied:
    """A text stream whose texts are also kept by the task that writes them."""

    def __init__(self, stream: Any, name: str) -> None:
        self._stream = stream
        self._name = name

    def write(self, text: str) -> int:
        task = current._running
        if isinstance(task, PrintingTask):
            getattr(task, self._name).write(text)
        if self._stream is not None:
            self._stream.write(text)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        if self._stream is not None:
            self._stream.flush()

    def close(self) -> None:
        """Stay open: the stream is the test's."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def kept() -> Iterator[None]:
    """Keep what a `PrintingTask` prints, while in effect."""
    global _tasks
    with _lock:
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if not isinstance(stream, _Copied):
                setattr(sys, name, _Copied(stream, name))
        _tasks += 1
    try:
        yield
    finally:
        with _lock:
            _tasks -= 1
            for name in ("stdout", "stderr"):
                stream = getattr(sys, name)
                if not _tasks and isinstance(stream, _Copied):
                    setattr(sys, name, stream._stream)
