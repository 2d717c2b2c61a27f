"""A backend that runs jobs in containers: the contract between `RemoteLauncher` and Kubernetes, Batch and others.

The launcher knows tasks, packages, logs and outcomes; a backend knows jobs: it creates them, watches all of them with
one client, says why one waits or died, and ends them. It runs on the engine's event loop and never blocks it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol, TypeAlias

from metaflow.compute.protocol import Problem, Waiting
from metaflow.compute.resources import ResourceRequest
from metaflow.exception import TaskFailed


class Job(NamedTuple):
    """One attempt of a task, as a container that shall run once and never be started again by the backend.

    Attributes
    ----------
    task, attempt : int
        Which; together they are unique in a run.
    step : str
        Its step.
    argv : tuple of str
        The container's whole command.
    environment : dict of str to str
        Its variables.
    labels : dict of str to str
        ``flow``, ``run``, ``step``, ``task``, ``attempt``, ``user``: the backend writes them on all that it creates, in
        the form it allows, so that `list` and `kill` find the job. With ``link`` it is the same attempt once more, and
        has to have another name.
    resources : ResourceRequest
        What it needs.
    time_limit : float
        Seconds after which the backend itself ends it.
    members : int
        How many containers it has; more than one for tasks that run as a gang.
    """

    task: int
    attempt: int
    step: str
    argv: tuple[str, ...]
    environment: dict[str, str]
    labels: dict[str, str]
    resources: ResourceRequest
    time_limit: float
    members: int = 1


class JobStarted(NamedTuple):
    """The container runs; `where` and `facts` as in `metaflow.compute.protocol.Started`."""

    task: int
    attempt: int
    where: str
    facts: dict[str, str]


class JobEnded(NamedTuple):
    """Nothing of the job runs any more; its last report.

    Attributes
    ----------
    code : int or None
        Exit status of the container, if the backend knows one.
    failure : TaskFailed or None
        Why it ended, where the backend knows: out of memory, evicted, image, deadline, refused, deleted. None if all
        there is to say is the exit status.
    facts : dict of str to str
        For the task's metadata: what was not reported with the start.
    tail : list of bytes
        The last lines that the backend itself kept of the container's output; asked for only if the exit status is
        not 0, since the task's own log is kept in the storage.
    """

    task: int
    attempt: int
    code: int | None
    failure: TaskFailed | None = None
    facts: dict[str, str] = {}
    tail: list[bytes] = []


JobReport: TypeAlias = Waiting | JobStarted | JobEnded


class RunningJob(NamedTuple):
    """An unfinished job, as `list` shows it and `kill` ends it.

    Attributes
    ----------
    id : str
        The backend's name for it.
    labels : dict of str to str
        As in `Job`.
    status : str
        For people: ``running on node-3``, ``waiting: 0/1 nodes are available …``.
    created : float
        Seconds since the epoch.
    """

    id: str
    labels: dict[str, str]
    status: str
    created: float


class JobBackend(Protocol):
    """Where jobs run.

    Promises of every implementation: for each submitted job exactly one `JobEnded`, whatever happens, unless it was
    abandoned before, and no report after that; `Waiting` only when the reason has changed; trouble with the backend's
    own service (away for a while, throttled, an expired watch) is waited out and never ends a job that still runs.
    """

    kind: str

    async def open(self, report: Callable[[JobReport], None]) -> None:
        """Connect; from now on `report` is called, on this event loop.

        Raises
        ------
        MetaflowException
            There is no way to the backend, or no permission: what was tried, and a hint.
        """

    async def preflight(self, requests: Mapping[str, ResourceRequest]) -> list[Problem]:
        """Return what stands against running these here; steps that ask for the same are one `Problem`."""

    def submit(self, job: Job) -> None:
        """Create the job as soon as possible."""

    def cancel(self, task: int) -> None:
        """End the job of this task; it still gets its `JobEnded`."""

    def notice_started(self, task: int) -> None:
        """Take note that the job of this task is known to run, or to have run: from what it has stored.

        Its `JobStarted` comes now if enough is known of where it is, else as soon as possible.
        """

    def abandon(self, task: int) -> None:
        """Care no more for the job of this task: it has done what it was for and is about to end by itself.

        It gets no `JobEnded`, and `close` does not end it.
        """

    async def close(self) -> None:
        """End all jobs that still run, wait until that is certain, and let go of the client; no report comes after."""

    async def unfinished(self, labels: Mapping[str, str]) -> list[RunningJob]:
        """Return the unfinished jobs with all these labels, oldest first."""

    async def end(self, jobs: list[RunningJob]) -> None:
        """End these jobs, of whichever run."""
