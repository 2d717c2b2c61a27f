"""One job, from its submission to its end: its states, what is known of it, how long it may take. Pure.

`metaflow.compute.jobs.machine` decides what becomes of it, and is the only one that changes it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from enum import Enum
from typing import Generic, NamedTuple, TypeVar

from metaflow.compute.jobs.events import Doubt, JobEnd, JobKey, MemberState
from metaflow.compute.jobs.protocol import Job
from metaflow.exception import TaskFailed

Detail = TypeVar("Detail")

_EVENTS = 24
"""Events that are kept of a job."""


class State(Enum):
    """Where a job is in its life."""

    CREATING = "the service is being asked to take it"
    WITHDRAWN = "it is not wanted any more, and whether it exists is not known yet"
    WAITING = "it exists; none of its members has started"
    RUNNING = "a member has started"
    DELETING = "the service is being told to delete it"
    ENDING = "the service has agreed to delete it; members may still run"
    FINALIZING = "none of its members runs; how they ended is being read"
    ENDED = "it is over, and nothing of it is kept"


class Timeouts(NamedTuple):
    """How long to wait for what, in seconds.

    Attributes
    ----------
    pending : float or None
        For a job to start, from its submission; None: for ever.
    explain, explain_every : float
        For the service to say why a job waits, before it is asked; and between two such questions.
    missing : float
        For a job that the service does not know to appear again.
    misses : int
        How often it has to be missing in that time.
    ending : float or None
        For the members of a deleted job to end; None: for ever.
    """

    pending: float | None = None
    explain: float = 4.0
    explain_every: float = 5.0
    missing: float = 0.0
    misses: int = 1
    ending: float | None = None


class TrackedJob(Generic[Detail]):
    """A job from its submission to its end.

    Attributes
    ----------
    key : JobKey
        Its task and attempt.
    job : Job
        What runs; without its command and variables, which may be large.
    id : str
        The service's name of it; empty until that is known.
    state : State
        Where it is in its life. Only `JobMachine` sets it.
    submitted, created : float
        When it was submitted, and when the service took it (until then the same).
    changed : float
        When it was created or its reason to wait changed: an explanation is due some time later.
    seen : float
        When the service showed it last.
    misses : int
        How often the service did not know it since then.
    members : dict of int to MemberState
        What was last seen of each member, by its number; never more than `job.members`.
    is_started : bool
        Whether its start was reported.
    reason : str
        The last reason to wait that was reported.
    explanation : str
        Why it waits, from elsewhere than its state; it holds until the state's own reason changes.
    doubt, doubted : Doubt or None, float
        What ends it if it lasts, and since when that has been so.
    cancel_reason : TaskFailed or None
        Why it is not wanted any more. It is the job's end, unless it had succeeded.
    is_taken : bool
        Whether somebody else is deleting a member.
    was_deleted : bool
        Whether somebody else deleted the job.
    ending_since : float or None
        When its members should have begun to end, because it was deleted or taken.
    facts : dict of str to str
        What is known of it beside what its members tell.
    reported : dict of str to str
        The facts that were reported.
    end : JobEnd or None
        How it ended, when that has been read.
    events : deque of (float, str, State)
        Its last events: when, which, and the state in which they found it.
    """

    __slots__ = (
        "cancel_reason", "changed", "created", "doubt", "doubted", "end", "ending_since", "events", "explanation",
        "facts", "id", "is_started", "is_taken", "job", "key", "members", "misses", "reason", "reported", "seen",
        "state", "submitted", "was_deleted",
    )  # fmt: skip

    def __init__(self, job: Job, id: str, facts: Mapping[str, str], now: float) -> None:
        self.key = JobKey(job.task, job.attempt)
        self.job = job._replace(argv=(), environment={})
        self.id = id
        self.state = State.CREATING
        self.submitted = self.created = self.changed = self.seen = self.doubted = now
        self.misses = 0
        self.members: dict[int, MemberState[Detail]] = {}
        self.is_started = self.is_taken = self.was_deleted = False
        self.reason = self.explanation = ""
        self.doubt: Doubt | None = None
        self.cancel_reason: TaskFailed | None = None
        self.ending_since: float | None = None
        self.facts = dict(facts)
        self.reported: dict[str, str] = {}
        self.end: JobEnd | None = None
        self.events: deque[tuple[float, str, State]] = deque(maxlen=_EVENTS)

    @property
    def step(self) -> str:
        return self.job.step

    @property
    def is_told_to_end(self) -> bool:
        """Whether the service has agreed to end it, or it has ended."""
        return self.state in (State.ENDING, State.FINALIZING, State.ENDED)

    @property
    def have_all_ended(self) -> bool:
        return len(self.members) == self.job.members and all(each.has_ended for each in self.members.values())

    @property
    def is_pending(self) -> bool:
        """Whether time alone can change it."""
        return self.state in (State.CREATING, State.WAITING) or self.doubt is not None or self.ending_since is not None

    def story(self) -> str:
        """Return what happened to it, for an error that should not have happened."""
        rows = [
            f"after {moment - self.submitted:.2f} s {event} when {state.name}" for moment, event, state in self.events
        ]
        task, attempt = self.key
        return f"step {self.step}, task {task}, attempt {attempt}: {'; '.join(rows)}; now {self.state.name}"
