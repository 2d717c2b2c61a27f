"""The life of jobs, decided without doing: events in, actions out. Pure; the clock is handed in.

A job is created, waits, runs and ends; or it is cancelled, given up or deleted by somebody else in any of these states.
What may follow what is one table, `TRANSITIONS`; an event of a job that is over changes nothing. The machine knows
neither a service nor a loop: `metaflow.compute.jobs.shell` carries its actions out, and a backend says what its
service shows (`MemberState`). Start reading at `tracked.State`, then `TRANSITIONS`, then `JobMachine.handle`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from metaflow.compute.jobs import actions, ends, events
from metaflow.compute.jobs.actions import Action
from metaflow.compute.jobs.events import Doubt, Event, JobKey
from metaflow.compute.jobs.protocol import JobEnded, JobStarted
from metaflow.compute.jobs.tracked import State, Timeouts, TrackedJob
from metaflow.compute.protocol import Waiting
from metaflow.exception import TaskFailed

Detail = TypeVar("Detail")

_OPEN = (State.CREATING, State.WAITING)
"""The states of a job that has not started yet and may."""
_WANTED = (State.CREATING, State.WAITING, State.RUNNING)


class InvalidTransition(Exception):
    """A job was to go from one state to another that cannot follow it: a defect of ours, with the job's story."""

    def __init__(self, job: TrackedJob[Any], to: State) -> None:
        super().__init__(f"{job.state.name} cannot become {to.name} ({job.story()})")


class JobMachine(Generic[Detail]):
    """All jobs of one backend.

    Parameters
    ----------
    kind : str
        The backend's name: its settings have it in their names.
    timeouts : Timeouts
        How long to wait.
    """

    def __init__(self, kind: str, timeouts: Timeouts) -> None:
        self._deadline_setting = f"METAFLOW_{kind.upper()}_PENDING_DEADLINE"
        self._timeouts = timeouts
        self._jobs: dict[JobKey, TrackedJob[Detail]] = {}
        self._by_task: dict[int, TrackedJob[Detail]] = {}
        self._by_id: dict[str, TrackedJob[Detail]] = {}
        self._pending: dict[JobKey, TrackedJob[Detail]] = {}
        self._explained: float | None = None
        # Of the event that is being handled:
        self._now = 0.0
        self._actions: list[Action] = []

    @property
    def jobs(self) -> list[TrackedJob[Detail]]:
        """The jobs that are not over, in the order of their submission."""
        return list(self._jobs.values())

    def get(self, key: JobKey) -> TrackedJob[Detail] | None:
        return self._jobs.get(key)

    def of_task(self, task: int) -> TrackedJob[Detail] | None:
        """Return the job of the newest attempt of a task."""
        return self._by_task.get(task)

    def with_id(self, id: str) -> TrackedJob[Detail] | None:
        return self._by_id.get(id)

    def handle(self, event: Event, now: float) -> list[Action]:
        """Take an event, and return what is to be done about it, in this order.

        Parameters
        ----------
        event : Event
            What has happened. Of a job that is over, nothing matters.
        now : float
            Seconds, of any clock that only goes forward.

        Raises
        ------
        InvalidTransition
            A defect of ours.
        """
        self._now, self._actions = now, []
        if isinstance(event, events.Tick):
            self._on_tick()
        elif isinstance(event, events.Submitted):
            self._on_submitted(event)
        else:
            job = self._jobs.get(event.key)
            if job is not None:
                job.events.append((now, type(event).__name__, job.state))
                _HANDLERS[type(event)](self, job, event)
                self._mind(job)
        return self._actions

    def drop(self, key: JobKey) -> None:
        """Keep nothing of a job, whatever its state."""
        job = self._jobs.pop(key, None)
        if job is None:
            return
        job.state = State.ENDED
        self._pending.pop(key, None)
        if self._by_task.get(key.task) is job:
            del self._by_task[key.task]
        if self._by_id.get(job.id) is job:
            del self._by_id[job.id]

    def validate(self) -> None:
        """Check what must hold between two events; for tests."""
        for key, job in self._jobs.items():
            assert job.key == key
            assert job.state is not State.ENDED, job.story()
            assert (job.state is State.WITHDRAWN) <= (job.cancel_reason is not None), job.story()
            assert (job.state in _WANTED) <= (job.cancel_reason is None), job.story()
            assert (job.state is State.RUNNING) <= job.is_started, job.story()
            assert (job.state in _OPEN) <= (not job.is_started), job.story()
            assert len(job.members) <= job.job.members, job.story()
            assert (job.state is State.FINALIZING) <= (job.end is None), job.story()
            assert job.is_pending == (key in self._pending), job.story()
            assert job.id == "" or self._by_id[job.id] is job, job.story()
        assert set(self._by_task.values()) <= set(self._jobs.values())
        assert set(self._by_id.values()) <= set(self._jobs.values())
        assert set(self._pending) <= set(self._jobs)

    # --- events -----------------------------------------------------------------------------------------------------

    def _on_submitted(self, event: events.Submitted) -> None:
        job: TrackedJob[Detail] = TrackedJob(event.job, event.id, event.facts, self._now)
        self._jobs[job.key] = self._by_task[job.key.task] = job
        if job.id:
            self._by_id[job.id] = job
        self._act(actions.Create(job.key, event.job))
        self._mind(job)

    def _on_delayed(self, job: TrackedJob[Detail], event: events.Delayed) -> None:
        if job.state is State.CREATING:
            self._report_wait(job, event.reason)

    def _on_created(self, job: TrackedJob[Detail], event: events.Created) -> None:
        job.created = job.changed = job.seen = self._now
        if event.id:
            job.id = event.id
            self._by_id[job.id] = job
        job.facts |= event.facts
        if job.state is State.CREATING:
            self._move(job, State.WAITING)
        elif job.state is State.WITHDRAWN:
            self._move(job, State.DELETING)
        if event.state is not None:
            self._on_seen(job, events.Seen(job.key, event.state))

    def _on_not_created(self, job: TrackedJob[Detail], event: events.NotCreated) -> None:
        if job.state in (State.CREATING, State.WITHDRAWN):  # else the service has shown that it does exist
            self._end(job, job.cancel_reason or event.failure)

    def _on_seen(self, job: TrackedJob[Detail], event: events.Seen) -> None:
        state = event.state
        known = job.members.get(state.member)
        if job.state is State.FINALIZING or (known is not None and known.id != state.id):
            return  # an old controller replaces a member that is being deleted: with its job, so will the replacement
        job.seen, job.misses = self._now, 0
        if known is None or known.reason != state.reason:
            job.changed, job.explanation = self._now, ""
        job.members[state.member] = state
        if state.has_started and not job.is_started and job.state is not State.WITHDRAWN:
            self._start(job)
        if state.is_taken and not job.is_taken:
            job.is_taken = True
            job.ending_since = self._now
        self._suspect(job, next((each.doubt for each in job.members.values() if each.doubt is not None), None))
        self._advance(job)
        self._report_wait(job, self._reason(job))
        self._judge(job)

    def _on_missing(self, job: TrackedJob[Detail], event: events.Missing) -> None:
        job.misses += 1
        is_long = job.misses >= self._timeouts.misses and self._now - job.seen >= self._timeouts.missing
        if is_long and job.state not in (State.CREATING, State.WITHDRAWN, State.FINALIZING):
            self._end(job, job.cancel_reason or event.failure)

    def _on_explained(self, job: TrackedJob[Detail], event: events.Explained) -> None:
        if job.state is State.WAITING:
            job.explanation = event.reason or job.explanation
            if not any(each.doubt for each in job.members.values()):
                self._suspect(job, event.doubt)
            self._report_wait(job, self._reason(job))
            self._judge(job)

    def _on_cancelled(self, job: TrackedJob[Detail], event: events.Cancelled) -> None:
        self._cancel(job, event.failure)

    def _on_start_noticed(self, job: TrackedJob[Detail], event: events.StartNoticed) -> None:
        if job.state in _OPEN:
            if any(each.where for each in job.members.values()):
                self._start(job)
            else:
                self._act(actions.Look(job.key))

    def _on_abandoned(self, job: TrackedJob[Detail], event: events.Abandoned) -> None:
        self._leave(job)

    def _on_deleted(self, job: TrackedJob[Detail], event: events.Deleted) -> None:
        if job.state is State.DELETING:
            job.was_deleted = event.was_gone and job.cancel_reason is None
            self._move(job, State.ENDING)
            self._advance(job)

    def _on_not_deleted(self, job: TrackedJob[Detail], event: events.NotDeleted) -> None:
        if job.state is State.DELETING:
            job.ending_since = self._now
            if job.have_all_ended:
                self._move(job, State.FINALIZING)

    def _on_finalized(self, job: TrackedJob[Detail], event: events.Finalized) -> None:
        if job.state is State.FINALIZING:
            job.end = event.end
            self._end(job, None if event.end.succeeded else job.cancel_reason or event.end.failure)

    def _on_lost(self, job: TrackedJob[Detail], event: events.Lost) -> None:
        self._end(job, event.failure)

    def _on_tick(self) -> None:
        silent: list[JobKey] = []
        for job in list(self._pending.values()):
            self._judge(job)
            if self._is_overdue(job):
                self._move(job, State.FINALIZING)
            elif self._is_silent(job):
                silent.append(job.key)
            self._mind(job)
        is_due = self._explained is None or self._now - self._explained >= self._timeouts.explain_every
        if silent and is_due:
            self._explained = self._now
            self._act(actions.Explain(tuple(silent)))

    # --- decisions --------------------------------------------------------------------------------------------------

    def _advance(self, job: TrackedJob[Detail]) -> None:
        """Let a job go on as far as its members have."""
        if job.state in _WANTED and job.is_taken:
            self._move(job, State.DELETING)
        elif job.have_all_ended and (
            job.state in (*_WANTED, State.ENDING) or (job.state is State.DELETING and job.cancel_reason is not None)
        ):
            self._move(job, State.FINALIZING)  # of one that was taken, first find out by whom
        elif job.state is State.ENDING and all(each.is_idle or each.has_ended for each in job.members.values()):
            self._move(job, State.FINALIZING)

    def _judge(self, job: TrackedJob[Detail]) -> None:
        """Give a job up whose doubt has lasted, or that has waited for too long."""
        if job.state not in _WANTED:
            return
        deadline = self._timeouts.pending
        if job.doubt is not None and self._now - job.doubted >= job.doubt.after:
            self._cancel(job, job.doubt.failure)
        elif job.state in _OPEN and deadline is not None and self._now - job.submitted > deadline:
            self._cancel(job, ends.never_started(job.step, deadline, job.reason, self._deadline_setting))

    def _cancel(self, job: TrackedJob[Detail], failure: TaskFailed) -> None:
        if job.cancel_reason is not None or job.state is State.FINALIZING:
            return
        job.cancel_reason = failure
        if job.state is State.CREATING and not job.members:
            self._move(job, State.WITHDRAWN)
        elif job.state in _WANTED:
            self._move(job, State.DELETING)
        else:
            self._advance(job)

    def _suspect(self, job: TrackedJob[Detail], doubt: Doubt | None) -> None:
        if job.state not in _WANTED:
            return
        if doubt is not None and (job.doubt is None or job.doubt.kind != doubt.kind):
            job.doubted = self._now
        job.doubt = doubt

    def _is_overdue(self, job: TrackedJob[Detail]) -> bool:
        limit = self._timeouts.ending
        return limit is not None and job.ending_since is not None and self._now - job.ending_since > limit

    def _is_silent(self, job: TrackedJob[Detail]) -> bool:
        is_unexplained = not any(each.is_explained for each in job.members.values())
        return job.state is State.WAITING and is_unexplained and self._now - job.changed >= self._timeouts.explain

    def _reason(self, job: TrackedJob[Detail]) -> str:
        state = next((each for each in job.members.values() if not each.has_started), None)
        if state is None or (job.explanation and not state.is_explained):
            return job.explanation
        return state.reason

    # --- transitions ------------------------------------------------------------------------------------------------

    def _move(self, job: TrackedJob[Detail], to: State) -> None:
        entered = TRANSITIONS.get((job.state, to))
        if entered is None:
            raise InvalidTransition(job, to)
        before, job.state = job.state, to
        entered(self, job, before)

    def _exists(self, job: TrackedJob[Detail], before: State) -> None:
        pass

    def _runs(self, job: TrackedJob[Detail], before: State) -> None:
        job.doubt = None

    def _is_withdrawn(self, job: TrackedJob[Detail], before: State) -> None:
        self._act(actions.Interrupt(job.key))

    def _is_unwanted(self, job: TrackedJob[Detail], before: State) -> None:
        if before is State.CREATING:
            self._act(actions.Interrupt(job.key))
        job.doubt = None
        self._act(actions.Delete(job.key))

    def _is_agreed(self, job: TrackedJob[Detail], before: State) -> None:
        job.ending_since = self._now

    def _is_done(self, job: TrackedJob[Detail], before: State) -> None:
        if before is State.CREATING:
            self._act(actions.Interrupt(job.key))
        job.doubt = job.ending_since = None
        self._act(actions.Finalize(job.key))

    def _is_over(self, job: TrackedJob[Detail], before: State) -> None:
        if before in (State.CREATING, State.WITHDRAWN):
            self._act(actions.Interrupt(job.key))
        self._act(actions.Forget(job.key, job.id))

    # --- reports ----------------------------------------------------------------------------------------------------

    def _start(self, job: TrackedJob[Detail]) -> None:
        job.is_started = True
        if job.state in _OPEN:
            self._move(job, State.RUNNING)
        where = next(each.where for each in job.members.values() if each.where)
        self._tell(JobStarted(*job.key, where, self._new_facts(job)))

    def _report_wait(self, job: TrackedJob[Detail], reason: str) -> None:
        if reason and reason != job.reason and job.state in _OPEN:
            job.reason = reason
            self._tell(Waiting(*job.key, reason))

    def _end(self, job: TrackedJob[Detail], failure: TaskFailed | None) -> None:
        code, _, tail, _ = job.end or events.JobEnd(None)
        facts = self._new_facts(job)
        self._leave(job)
        self._tell(JobEnded(*job.key, code, failure, facts, tail))

    def _leave(self, job: TrackedJob[Detail]) -> None:
        self._move(job, State.ENDED)
        self.drop(job.key)

    def _new_facts(self, job: TrackedJob[Detail]) -> dict[str, str]:
        """Return what is known of a job and was not reported yet."""
        facts = {name: value for each in job.members.values() for name, value in each.facts.items()} | job.facts
        new = {name: value for name, value in facts.items() if job.reported.get(name) != value}
        job.reported |= new
        return new

    def _tell(self, report: Waiting | JobStarted | JobEnded) -> None:
        self._act(actions.Tell(report))

    def _act(self, action: Action) -> None:
        self._actions.append(action)

    def _mind(self, job: TrackedJob[Detail]) -> None:
        """Keep a job under the clock only while time matters to it."""
        if job.state is not State.ENDED and job.is_pending:
            self._pending[job.key] = job
        else:
            self._pending.pop(job.key, None)


_Transition = Callable[[JobMachine[Any], TrackedJob[Any], State], None]

TRANSITIONS: Mapping[tuple[State, State], _Transition] = {
    (State.CREATING, State.WAITING): JobMachine._exists,
    (State.CREATING, State.RUNNING): JobMachine._runs,  # the service shows it before it answers the creation
    (State.CREATING, State.WITHDRAWN): JobMachine._is_withdrawn,
    (State.CREATING, State.DELETING): JobMachine._is_unwanted,
    (State.CREATING, State.FINALIZING): JobMachine._is_done,
    (State.WITHDRAWN, State.DELETING): JobMachine._is_unwanted,
    (State.WAITING, State.RUNNING): JobMachine._runs,
    (State.WAITING, State.DELETING): JobMachine._is_unwanted,
    (State.WAITING, State.FINALIZING): JobMachine._is_done,
    (State.RUNNING, State.DELETING): JobMachine._is_unwanted,
    (State.RUNNING, State.FINALIZING): JobMachine._is_done,
    (State.DELETING, State.ENDING): JobMachine._is_agreed,
    (State.DELETING, State.FINALIZING): JobMachine._is_done,
    (State.ENDING, State.FINALIZING): JobMachine._is_done,
    # A job can be refused, lost or abandoned at any time; only one that is finalized has its end read.
    **{(state, State.ENDED): JobMachine._is_over for state in State if state is not State.ENDED},
}
"""What may follow what, and what is done then."""

_HANDLERS: Mapping[type[Any], Callable[[JobMachine[Any], TrackedJob[Any], Any], None]] = {
    events.Delayed: JobMachine._on_delayed,
    events.Created: JobMachine._on_created,
    events.NotCreated: JobMachine._on_not_created,
    events.Seen: JobMachine._on_seen,
    events.Missing: JobMachine._on_missing,
    events.Explained: JobMachine._on_explained,
    events.Cancelled: JobMachine._on_cancelled,
    events.StartNoticed: JobMachine._on_start_noticed,
    events.Abandoned: JobMachine._on_abandoned,
    events.Deleted: JobMachine._on_deleted,
    events.NotDeleted: JobMachine._on_not_deleted,
    events.Finalized: JobMachine._on_finalized,
    events.Lost: JobMachine._on_lost,
}
