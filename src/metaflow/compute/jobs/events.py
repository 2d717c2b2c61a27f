"""What happens to jobs: the events that `metaflow.compute.jobs.machine` takes, and what they carry. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from metaflow.compute.jobs.protocol import Job
from metaflow.exception import TaskFailed

Detail = TypeVar("Detail")
"""What a backend itself reads of a member: a pod, a description."""


class JobKey(NamedTuple):
    """Which job: the attempt of a task that it is."""

    task: int
    attempt: int


class Doubt(NamedTuple):
    """What is going to end a job if it lasts: an image that cannot be pulled, a node that is not heard of.

    Attributes
    ----------
    kind : str
        One doubt lasts for as long as the kind stays the same.
    failure : TaskFailed
        The end, if it comes to that.
    after : float
        Seconds.
    """

    kind: str
    failure: TaskFailed
    after: float


class MemberState(NamedTuple, Generic[Detail]):
    """A container of a job as the service shows it now.

    Attributes
    ----------
    id : str
        The service's name of it.
    has_started, has_ended : bool
        Whether its program was started; whether nothing of it runs any more.
    detail : object
        The backend's own reading.
    member : int
        Which of the job's members; a replacement has the number of what it replaces.
    reason : str
        Why it waits, for people.
    is_explained : bool
        Whether the service itself says why it waits.
    where : str
        Where it runs or will, for people; empty while that is not known.
    facts : dict of str to str
        For the task's metadata.
    is_taken : bool
        Whether it is being deleted, or was.
    is_idle : bool
        Whether no container of it runs or is about to: of a deleted one nothing more will be heard.
    doubt : Doubt or None
        What speaks against it.
    """

    id: str
    has_started: bool
    has_ended: bool
    detail: Detail
    member: int = 0
    reason: str = ""
    is_explained: bool = True
    where: str = ""
    facts: Mapping[str, str] = {}
    is_taken: bool = False
    is_idle: bool = False
    doubt: Doubt | None = None


class JobEnd(NamedTuple):
    """How a job ended, as its backend reads it; fields as in `metaflow.compute.jobs.protocol.JobEnded`."""

    code: int | None
    failure: TaskFailed | None = None
    tail: list[bytes] = []
    succeeded: bool = False


# --- events ----------------------------------------------------------------------------------------------------------


class Submitted(NamedTuple):
    """A job is wanted. Its `id` and `facts` may be known already, else they come with `Created`."""

    job: Job
    id: str = ""
    facts: Mapping[str, str] = {}


class Delayed(NamedTuple):
    """The service has not taken the job yet, for this reason."""

    key: JobKey
    reason: str


class Created(NamedTuple):
    """The service has taken the job; `state` is what is known of its member at once."""

    key: JobKey
    id: str = ""
    facts: Mapping[str, str] = {}
    state: MemberState[Any] | None = None


class NotCreated(NamedTuple):
    """The job does not exist and never will; without a `failure`, because it was cancelled before."""

    key: JobKey
    failure: TaskFailed | None = None


class Seen(NamedTuple):
    """A member of the job is in this state."""

    key: JobKey
    state: MemberState[Any]


class Missing(NamedTuple):
    """The service does not know the job; `failure` is its end, if that stays so."""

    key: JobKey
    failure: TaskFailed


class Explained(NamedTuple):
    """Why the job waits, from elsewhere than its state."""

    key: JobKey
    reason: str
    doubt: Doubt | None = None


class Cancelled(NamedTuple):
    """The job is not wanted any more; `failure` is its end."""

    key: JobKey
    failure: TaskFailed


class StartNoticed(NamedTuple):
    """The job is known to run, or to have run: from what it has stored."""

    key: JobKey


class Abandoned(NamedTuple):
    """The job has done what it was for: nothing more of it matters."""

    key: JobKey


class Deleted(NamedTuple):
    """The service has agreed to delete the job; `was_gone`: somebody else had deleted it."""

    key: JobKey
    was_gone: bool = False


class NotDeleted(NamedTuple):
    """The service does not delete the job, and will not."""

    key: JobKey


class Finalized(NamedTuple):
    """How the job ended has been read."""

    key: JobKey
    end: JobEnd


class Lost(NamedTuple):
    """Nothing can be seen of the job any more."""

    key: JobKey
    failure: TaskFailed


class Tick(NamedTuple):
    """Some time has passed."""


Event: TypeAlias = (
    Submitted | Delayed | Created | NotCreated | Seen | Missing | Explained | Cancelled | StartNoticed | Abandoned
    | Deleted | NotDeleted | Finalized | Lost | Tick
)  # fmt: skip
