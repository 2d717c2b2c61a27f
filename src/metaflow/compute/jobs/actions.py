"""What is to be done about jobs: the actions that `metaflow.compute.jobs.machine` gives. Values only."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from metaflow.compute.jobs.events import JobKey
from metaflow.compute.jobs.protocol import Job, JobReport


class Create(NamedTuple):
    """Have the job created; answer with `Delayed` and, once, `Created` or `NotCreated`."""

    key: JobKey
    job: Job


class Interrupt(NamedTuple):
    """Let a creation that is under way know that its job has another state now."""

    key: JobKey


class Delete(NamedTuple):
    """Have the job deleted; answer with `Deleted` or `NotDeleted`."""

    key: JobKey


class Look(NamedTuple):
    """Look at the job as soon as possible."""

    key: JobKey


class Explain(NamedTuple):
    """Find out why these jobs wait; answer with `Explained`, or `Missing` if they do not exist."""

    keys: tuple[JobKey, ...]


class Finalize(NamedTuple):
    """Read how the job ended; answer with `Finalized`."""

    key: JobKey


class Tell(NamedTuple):
    """Report this."""

    report: JobReport


class Forget(NamedTuple):
    """Keep nothing of the job: it is over."""

    key: JobKey
    id: str


Action: TypeAlias = Create | Interrupt | Delete | Look | Explain | Finalize | Tell | Forget
