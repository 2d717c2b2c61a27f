"""How a task gets to run somewhere: the contract of a launcher.

The engine holds one launcher per backend, however many tasks run there. It submits requests and gets reports, on its
own event loop, through one function. `tests/` holds the one contract suite that every launcher passes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from metaflow.compute.command import TaskCommand
from metaflow.compute.report import TaskReport
from metaflow.compute.resources import ResourceRequest
from metaflow.exception import TaskFailed


class TaskRequest(NamedTuple):
    """One attempt of a task that shall run.

    Attributes
    ----------
    resources : ResourceRequest
        What it needs, and what kind of place it goes to.
    time_limit : float or None
        Seconds that it may run, as its decorators say; None if they do not.
    """

    task: int
    step: str
    attempt: int
    command: TaskCommand
    resources: ResourceRequest = ResourceRequest()
    time_limit: float | None = None


class Waiting(NamedTuple):
    """The attempt is not running yet, and `reason` has changed: the backend's own words, for people."""

    task: int
    attempt: int
    reason: str


class Started(NamedTuple):
    """The attempt runs.

    Attributes
    ----------
    where : str
        Short and for people, such as ``pid 4711`` or ``pod hello-1-start-1-k7f2x``.
    facts : dict of str to str
        What is worth keeping of the place, for the task's metadata: job id, pod, node, image, queue.
    """

    task: int
    attempt: int
    where: str
    facts: dict[str, str] = {}


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
    report : TaskReport or None
        What the task said of itself; None if it did not come that far.
    failure : TaskFailed or None
        Why it failed, where the launcher knows more than code and signal tell.
    facts : dict of str to str
        What is worth keeping of the end, for the task's metadata.
    """

    task: int
    attempt: int
    code: int | None
    signal: int | None
    report: TaskReport | None = None
    failure: TaskFailed | None = None
    facts: dict[str, str] = {}


Report: TypeAlias = Waiting | Started | Output | Ended


class Problem(NamedTuple):
    """What preflight has found about a step.

    Attributes
    ----------
    steps : tuple of str
        The steps concerned.
    message, hint : str
        One sentence, with figures; and what to do.
    certain : bool
        Whether it can never work (a missing queue), or might later (no node is large enough now, clusters grow).
    """

    steps: tuple[str, ...]
    message: str
    hint: str = ""
    certain: bool = True


class Launcher(Protocol):
    """A place where tasks run.

    Promises of every implementation: `Waiting` before `Started` before `Output` before `Ended`, of which only `Ended`
    must come (an attempt that could not begin where it was started waits and starts once more); exactly one `Ended`
    for each submitted request, whatever happens; after it nothing of the task runs any more but, where a backend allows
    that, what has left the session of a task that ended well. No method blocks.
    """

    kind: str

    stores_logs: bool
    """Whether the stored log of a task is written at its place, and `Output` is only to be shown."""

    async def open(self, report: Callable[[Report], None]) -> None:
        """Connect; from now on `report` is called, on this event loop."""

    async def preflight(self, requests: Mapping[str, ResourceRequest]) -> list[Problem]:
        """Return what stands against running these here; `requests` maps steps to what they ask for."""

    def submit(self, request: TaskRequest) -> None:
        """Start an attempt as soon as possible."""

    def cancel(self, task: int) -> None:
        """End a running attempt: politely, and by force when its grace is over. It still gets its `Ended`.

        Called again, it shortens the grace, where the backend allows.
        """

    async def close(self) -> Sequence[str]:
        """Let go of everything; end what still runs. No report comes after it.

        Returns sentences about what was ended that a person may not know of.
        """
