"""How a task gets to run somewhere: the contract of a launcher.

The engine holds one launcher per backend, however many tasks run there. It submits requests and gets reports, on its
own event loop, through one function. `tests/` holds the one contract suite that every launcher passes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from metaflow.compute.command import TaskCommand


class TaskRequest(NamedTuple):
    """One attempt of a task that shall run."""

    task: int
    step: str
    attempt: int
    command: TaskCommand


class Started(NamedTuple):
    """The attempt runs; `where` is short and for people, such as ``pid 4711``."""

    task: int
    attempt: int
    where: str


class Output(NamedTuple):
    """Lines that the task printed.

    Attributes
    ----------
    stream : str
        ``stdout`` or ``stderr``.
    lines : list of bytes
        Without their line ends.
    time : float
        When they were read, in seconds since the epoch.
    """

    task: int
    attempt: int
    stream: str
    lines: list[bytes]
    time: float


class Ended(NamedTuple):
    """The attempt does not run any more; its last report.

    Attributes
    ----------
    code : int or None
        Exit status, None if a signal ended it.
    signal : int or None
        The signal's number.
    outcome : dict or None
        What the task said of itself, if it came that far and the backend carries it: see
        `metaflow.runtime.task`. None: read it from the storage.
    reason : str
        What the backend knows beyond code and signal, such as ``the machine was taken away``.
    """

    task: int
    attempt: int
    code: int | None
    signal: int | None
    outcome: dict[str, object] | None = None
    reason: str = ""


Report: TypeAlias = Started | Output | Ended


class Launcher(Protocol):
    """A place where tasks run.

    Promises of every implementation: `Started` before `Output` before `Ended`; exactly one `Ended` for each submitted
    request, whatever happens; after it nothing of the task runs any more. No method blocks.
    """

    kind: str

    async def open(self, report: Callable[[Report], None]) -> None:
        """Connect; from now on `report` is called, on this event loop."""

    async def preflight(self, requests: Sequence[TaskRequest]) -> list[str]:
        """Return a sentence for each request that can never run here."""

    def submit(self, request: TaskRequest) -> None:
        """Start an attempt as soon as possible."""

    def cancel(self, task: int) -> None:
        """End a running attempt: politely, and by force a second later. It still gets its `Ended`."""

    async def close(self) -> None:
        """Let go of everything; end what still runs. No report comes after it."""
