"""Carries out what `JobMachine` decides, on an event loop: the half of a job backend that Kubernetes and Batch share.

Events go in through `tell`; each action is done here, by what the vendor's backend, a subclass, knows to do: connect,
create, find, delete, explain, read an end. A call that fails for now is made again for as long as it matters; trouble
with a service ends no job. What is not caught is a defect: its jobs end as lost, with their story. Start reading at
`JobShell.tell`.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Mapping, Sequence
from math import inf
from typing import Any, Generic, NamedTuple, TypeVar

from metaflow.compute.jobs import actions, ends, events
from metaflow.compute.jobs.actions import Action
from metaflow.compute.jobs.events import Event, JobEnd, JobKey, MemberState
from metaflow.compute.jobs.machine import JobMachine
from metaflow.compute.jobs.protocol import Job, JobReport, RunningJob
from metaflow.compute.jobs.retry import Backoff, Refused, RetryPolicy, Unavailable
from metaflow.compute.jobs.tracked import State, Timeouts, TrackedJob
from metaflow.compute.protocol import Problem
from metaflow.compute.resources import ResourceRequest
from metaflow.exception import MetaflowException, TaskFailed, TaskLost

Detail = TypeVar("Detail")


class Pace(NamedTuple):
    """How a backend paces its own calls.

    Attributes
    ----------
    retry : RetryPolicy
        Between two tries of a call.
    answer : float
        Seconds for an answer that a person waits for.
    silence : float
        Seconds without an answer until a person hears of it.
    credentials : float
        Seconds in which credentials that are refused may be renewed; then jobs are not created.
    told, gone : float
        When the run is over: seconds for jobs to be told to end, and then for them to do so.
    tick : float
        Seconds between two looks at the clock.
    poll : float
        Seconds between two looks at jobs that may not be watched.
    """

    retry: RetryPolicy = RetryPolicy()
    answer: float = 10.0
    silence: float = 5.0
    credentials: float = inf
    told: float = 15.0
    gone: float = 45.0
    tick: float = 1.0
    poll: float = 2.0


class Creation(NamedTuple):
    """What the service says of a job that it has taken; fields as in `metaflow.compute.jobs.events.Created`."""

    id: str
    facts: Mapping[str, str] = {}
    state: MemberState[Any] | None = None


class JobShell(ABC, Generic[Detail]):
    """A job backend but for its vendor (`metaflow.compute.jobs.protocol.JobBackend`).

    Parameters
    ----------
    say : callable, optional
        Tells a person one sentence, such as that the service does not answer.
    timeouts : Timeouts
        How long jobs may take for what.
    pace : Pace
        How often the service is called.
    creations, questions : int
        Jobs that are created or deleted, and ends that are read, at the same time.
    """

    kind: str
    title: str
    """What people call the service."""

    def __init__(
        self,
        say: Callable[[str], None] | None,
        timeouts: Timeouts,
        pace: Pace,
        *,
        creations: int = 20,
        questions: int = 8,
    ) -> None:
        self._listener = say or _ignore
        self.pace = pace
        self.machine: JobMachine[Detail] = JobMachine(self.kind, timeouts)
        self._report: Callable[[JobReport], None] = _ignore
        self._is_open = False
        self._creating: dict[JobKey, asyncio.Event] = {}
        self._explaining: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(creations)
        self._questions = asyncio.Semaphore(questions)
        self._change = asyncio.Event()  # for `close`

    # --- what the vendor's backend knows ----------------------------------------------------------------------------

    @abstractmethod
    async def _connect(self) -> None:
        """Connect; may raise `Unavailable` or `Refused`."""

    async def _disconnect(self) -> None:
        """Let go of the client."""

    @abstractmethod
    def _unusable(self, error: Unavailable | Refused) -> MetaflowException:
        """Return what to tell a person who cannot use the service for this reason."""

    @abstractmethod
    async def _problems(self, requests: Mapping[str, ResourceRequest]) -> list[Problem]:
        """Return what stands against running these; may raise `Unavailable` or `Refused`."""

    def _known(self, job: Job) -> Creation:
        """Return what is known of a job before it is created, and prepare to see it."""
        return Creation("")

    @abstractmethod
    async def _create(self, job: Job) -> Creation:
        """Create a job, in one try.

        Raises
        ------
        TaskFailed
            It cannot be; with the vendor's words.
        Unavailable, Refused
            As the client does; `Unavailable` also where another try may succeed, such as a quota that is used up.
        """

    @abstractmethod
    async def _find(self, job: Job) -> Creation | None:
        """Look for a job whose creation was not answered; may raise `Unavailable` or `Refused`."""

    @abstractmethod
    def _refusal(self, job: Job, error: Refused | Unavailable) -> TaskFailed:
        """Return the failure of a job that the service does not take."""

    @abstractmethod
    async def _delete(self, job: TrackedJob[Detail]) -> bool:
        """Delete a job; tell whether somebody else had. May raise `Unavailable` or `Refused`."""

    @abstractmethod
    async def _end_of(self, job: TrackedJob[Detail]) -> JobEnd:
        """Read how a job ended, of which no member runs any more."""

    @abstractmethod
    async def _explain(self, jobs: Sequence[TrackedJob[Detail]]) -> None:
        """Tell why these jobs wait: `Explained`, `Missing`."""

    def _look(self, id: str) -> None:
        """Look at a job as soon as possible, if that is not done all the time."""

    def _forget(self, key: JobKey, id: str) -> None:
        """Keep nothing of a job."""

    @abstractmethod
    async def _unfinished(self, labels: Mapping[str, str]) -> list[RunningJob]:
        """Return the unfinished jobs with these labels; may raise `Unavailable` or `Refused`."""

    @abstractmethod
    async def _end(self, jobs: Sequence[RunningJob]) -> None:
        """End jobs of any run; may raise `Unavailable` or `Refused`."""

    # --- the protocol of a job backend ------------------------------------------------------------------------------

    async def open(self, report: Callable[[JobReport], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._report = report
        try:
            await self._connect()
        except (Unavailable, Refused) as error:
            await self._disconnect()
            raise self._unusable(error) from error
        self._is_open = True
        self._start(self._tick())

    async def preflight(self, requests: Mapping[str, ResourceRequest]) -> list[Problem]:
        try:
            return await self._problems(requests)
        except (Unavailable, Refused) as error:
            message = f"Whether these steps can run on {self.title} could not be found out: {error}."
            return [Problem(tuple(requests), message, certain=False)]

    def submit(self, job: Job) -> None:
        id, facts, _ = self._known(job)
        self.tell(events.Submitted(job, id, facts))

    def cancel(self, task: int) -> None:
        job = self.machine.of_task(task)
        if job is not None:
            self.tell(events.Cancelled(job.key, ends.cancelled(job.step)))

    def notice_started(self, task: int) -> None:
        job = self.machine.of_task(task)
        if job is not None:
            self.tell(events.StartNoticed(job.key))

    def abandon(self, task: int) -> None:
        job = self.machine.of_task(task)
        if job is not None:
            self.tell(events.Abandoned(job.key))

    async def close(self) -> None:
        if not self._is_open:
            return
        self._report = self._listener = _ignore
        for job in self.machine.jobs:
            self.tell(events.Cancelled(job.key, ends.cancelled(job.step)))
        left = await self._until(lambda job: job.is_told_to_end, self.pace.told)
        if not left:
            await self._until(lambda job: False, self.pace.gone)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._disconnect()
        if left:
            names = ", ".join(job.id or f"{job.step}/{job.key.task}" for job in left[:3])
            raise MetaflowException(
                f"{self.title} could not be told to end {len(left)} jobs of this run ({names}"
                f"{', …' if len(left) > 3 else ''}): they may still run.",
                hint=f"`{self.kind} kill --run-id …` ends them later; otherwise they run up to their time limit",
            )

    async def unfinished(self, labels: Mapping[str, str]) -> list[RunningJob]:
        try:
            return await self._unfinished(labels)
        except (Unavailable, Refused) as error:
            raise self._unusable(error) from error

    async def end(self, jobs: list[RunningJob]) -> None:
        try:
            await self._end(jobs)
        except (Unavailable, Refused) as error:
            raise self._unusable(error) from error

    # --- the machine ------------------------------------------------------------------------------------------------

    def tell(self, event: Event) -> None:
        """Take an event, and do what the machine decides."""
        try:
            for action in self.machine.handle(event, self._loop.time()):
                self._do(action)
        except Exception as error:  # noqa: BLE001 - a defect of ours: no job may go without its end because of it
            self._lose_all(error)
        self._change.set()

    def _do(self, action: Action) -> None:
        match action:
            case actions.Tell(report):
                self._report(report)
            case actions.Create(key, job):
                self._creating[key] = asyncio.Event()
                self._start(self._keep_creating(key, job))
            case actions.Interrupt(key):
                if key in self._creating:
                    self._creating[key].set()
            case actions.Delete(key):
                self._start(self._keep_deleting(key))
            case actions.Finalize(key):
                self._start(self._finalize(key))
            case actions.Explain(keys):
                if self._explaining is None or self._explaining.done():
                    jobs = [job for job in map(self.machine.get, keys) if job is not None]
                    self._explaining = self._start(self._explain(jobs))
            case actions.Look(key):
                tracked = self.machine.get(key)
                if tracked is not None and tracked.id:
                    self._look(tracked.id)
            case actions.Forget(key, id):
                self._forget(key, id)

    def say(self, sentence: str) -> None:
        """Tell a person one sentence, unless the backend is being closed."""
        self._listener(sentence)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(self.pace.tick)
            self.tell(events.Tick())

    # --- actions ----------------------------------------------------------------------------------------------------

    async def _keep_creating(self, key: JobKey, job: Job) -> None:
        """Create a job, in as many tries as it takes: once, and not at all if it is cancelled before."""
        changed = self._creating[key]
        backoff = Backoff(self.pace.retry)
        is_unsure = False
        refused_since: float | None = None
        failure: TaskFailed | None = None
        try:
            while (tracked := self.machine.get(key)) is not None and tracked.state in (State.CREATING, State.WITHDRAWN):
                try:
                    async with self._slots:
                        found = await self._find(job) if is_unsure else None
                        is_unsure = False
                        if found is None and tracked.cancel_reason is not None:
                            break
                        created = found or await self._create(job)
                except Unavailable as error:
                    is_unsure = is_unsure or error.unsure
                    if error.credentials:
                        refused_since = refused_since or self._loop.time()
                        if self._loop.time() - refused_since > self.pace.credentials:
                            failure = self._refusal(job, error)
                            break
                    self.tell(events.Delayed(key, f"{self.title} has not taken the job yet: {error.reason}"))
                    await backoff.wait(error.pause, None if changed.is_set() else changed)
                else:
                    self.tell(events.Created(key, *created))
                    return
        except Refused as refused:
            failure = self._refusal(job, refused)
        except TaskFailed as refusal:
            failure = refusal
        finally:
            del self._creating[key]
        self.tell(events.NotCreated(key, failure))

    async def _keep_deleting(self, key: JobKey) -> None:
        backoff = Backoff(self.pace.retry)
        while (job := self.machine.get(key)) is not None and job.state is State.DELETING:
            try:
                async with self._slots:
                    was_gone = await self._delete(job)
            except Unavailable as error:
                await backoff.wait(error.pause)
            except Refused as refused:
                self.say(f"The job {job.id} of the step '{job.step}' cannot be ended: {refused}.")
                self.tell(events.NotDeleted(key))
                return
            else:
                self.tell(events.Deleted(key, was_gone))
                return

    async def _finalize(self, key: JobKey) -> None:
        job = self.machine.get(key)
        if job is None:
            return
        try:
            async with self._questions:
                end = await self._end_of(job)
        except Exception as error:  # noqa: BLE001 - whatever it is, the job must get its end
            end = JobEnd(None, ends.unknown(job.step, repr(error)))
        self.tell(events.Finalized(key, end))

    async def _until(self, is_done: Callable[[TrackedJob[Detail]], bool], seconds: float) -> list[TrackedJob[Detail]]:
        """Wait until each job is over or `is_done`; return those of which neither is true after that time."""
        until = self._loop.time() + seconds
        while left := [job for job in self.machine.jobs if not is_done(job)]:
            self._change.clear()
            try:
                async with asyncio.timeout_at(until):
                    await self._change.wait()
            except TimeoutError:
                break
        return left

    # --- tasks ------------------------------------------------------------------------------------------------------

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_done)
        return task

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._lose_all(error)

    def _lose_all(self, error: BaseException) -> None:
        """End all jobs because of a defect of ours: what became of them nobody would ever tell."""
        for job in self.machine.jobs:
            message = f"what became of the step '{job.step}' on {self.title} is not known: {error!r} ({job.story()})"
            failure = TaskLost(message, hint=f"`{self.kind} list` tells whether it still runs")
            for action in self.machine.handle(events.Lost(job.key, failure), self._loop.time()):
                self._do(action)


def _ignore(anything: object) -> None:
    pass
