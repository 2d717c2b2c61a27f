"""Jobs on AWS Batch, all of a run through one client: `BatchBackend`, a `metaflow.compute.jobs.protocol.JobBackend`.

A job is submitted (`submitter`), then it is on the watchlist: a hundred jobs are described by one call, at a pace that
follows how long they have been as they are (`watchlist`). What their descriptions say becomes reports; how one ended is
read in `endings`. Calls block and are made in threads (`calls`), by a client that knows AWS (`aws`). Trouble with the
service ends no job: calls are made again until there is an answer. Start reading at `BatchBackend.submit`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from metaflow.compute.batch import endings, listing, waiting
from metaflow.compute.batch.calls import Calls, Timing, no_way
from metaflow.compute.batch.definition import job_name, log_group
from metaflow.compute.batch.options import Options
from metaflow.compute.batch.places import misfits
from metaflow.compute.batch.service import Description, Service, ServiceAway, ServiceRefused
from metaflow.compute.batch.submitter import Submitter
from metaflow.compute.batch.survey import Survey
from metaflow.compute.batch.watchlist import Watchlist
from metaflow.compute.jobs.protocol import Job, JobEnded, JobReport, JobStarted, RunningJob
from metaflow.compute.protocol import Problem, Waiting
from metaflow.compute.resources import ResourceRequest
from metaflow.exception import MetaflowException, TaskCancelled, TaskFailed, TaskLost, TaskNotPlaced

_NO_JOB = "00000000-0000-0000-0000-000000000000"
_SUBMISSIONS = 6
"""Most at the same time: two threads are left for the looks."""
_LOOKS = 2
"""Likewise: reading many answers at once would keep the loop from its turn."""
_TAIL = 50
"""Lines."""
_MISSES = 3
_ENDED = ("SUCCEEDED", "FAILED")


class _Own:
    """A job of this backend (`metaflow.compute.batch.submitter.Applicant`)."""

    def __init__(self, job: Job, now: float, report: Callable[[JobReport], None]) -> None:
        self.job: Job = job
        self.queue = str(job.resources.options.get("queue"))
        self.submitted = self.since = now  # `since`: of the last change
        self.id: str | None = None
        self.facts: dict[str, str] = {}  # what is known and was reported
        self.status = "SUBMITTED"
        self.reason = ""  # the last one that was reported
        self.has_reason = False  # Batch itself says why it waits
        self.is_started = False
        self.is_ending = False  # Batch was told, and has agreed
        self.misses = 0
        self.doom: TaskFailed | None = None  # why it is not wanted any more
        self._report = report

    @property
    def has_given_up(self) -> bool:
        return self.doom is not None

    @property
    def is_unexplained(self) -> bool:
        return self.status == "RUNNABLE" and not self.has_reason

    def waits(self, reason: str) -> None:
        if reason != self.reason and not self.is_started:
            self.reason = reason
            self._report(Waiting(self.job.task, self.job.attempt, reason))


class BatchBackend:
    """Runs jobs on AWS Batch.

    Parameters
    ----------
    entries : mapping of str to str
        The METAFLOW_* settings; see `metaflow.compute.batch.options`.
    say : callable, optional
        Tells a person one sentence, such as that AWS does not answer.
    service : Service, optional
        Instead of AWS.
    timing : Timing, optional
        How patiently.
    """

    kind = "batch"

    def __init__(
        self,
        entries: Mapping[str, str],
        *,
        say: Callable[[str], None] | None = None,
        service: Service | None = None,
        timing: Timing | None = None,
    ) -> None:
        self._options = Options.read(entries)
        self._say = say or (lambda sentence: None)
        self._given_service = service
        self._timing = timing or Timing()
        self._on_report: Callable[[JobReport], None] = lambda report: None
        self._own: dict[int, _Own] = {}
        self._by_id: dict[str, _Own] = {}
        self._watchlist = Watchlist()
        self._calls = Calls(self._timing, self._say)
        self._news = asyncio.Event()  # for `_watch`
        self._change = asyncio.Event()  # for `close`
        self._submissions = asyncio.Semaphore(_SUBMISSIONS)
        self._looks = asyncio.Semaphore(_LOOKS)
        self._tasks: set[asyncio.Task[None]] = set()

    def _report(self, report: JobReport) -> None:
        self._on_report(report)

    async def open(self, report: Callable[[JobReport], None]) -> None:
        self._on_report = report
        self._loop = asyncio.get_running_loop()
        try:
            given = self._given_service
            self._service = given if given is not None else await asyncio.to_thread(_aws, self._options.client)
            await self._calls.ask(self._service.describe, [_NO_JOB])
        except (ServiceAway, ServiceRefused) as error:
            raise no_way(error) from error
        self._survey = Survey(self._service, self._calls)
        self._submitter = Submitter(self._service, self._calls, self._survey, self._timing, self._say)
        self._start(self._watch())
        self._start(self._explain())

    async def preflight(self, requests: Mapping[str, ResourceRequest]) -> list[Problem]:
        try:
            return await self._survey.problems(requests)
        except (ServiceAway, ServiceRefused) as error:
            message = f"What stands against these steps on AWS Batch cannot be found out: {error}."
            return [Problem(tuple(requests), message, certain=False)]

    def submit(self, job: Job) -> None:
        own = self._own[job.task] = _Own(job, self._loop.time(), self._report)
        self._news.set()
        self._start(self._launch(own))

    def cancel(self, task: int) -> None:
        own = self._own.get(task)
        if own is not None:
            self._doom(own, TaskCancelled(f"the step '{own.job.step}' was cancelled"))

    def hurry(self, task: int) -> None:
        own = self._own.get(task)
        if own is not None and own.id is not None and not own.is_started:
            self._watchlist.hurry(own.id, self._loop.time())
            self._news.set()

    def release(self, task: int) -> None:
        own = self._own.pop(task, None)
        if own is not None and own.id is not None:
            self._forget(own)

    async def close(self) -> None:
        self._on_report = lambda report: None
        for own in list(self._own.values()):
            self._doom(own, TaskCancelled(f"the run ended before the step '{own.job.step}'"))
        left = await self._until(lambda own: own.is_ending, self._timing.farewell)
        if not left:
            await self._until(lambda own: False, self._timing.farewell)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._calls.close()
        if left:
            names = ", ".join(own.id or job_name(own.job.labels) for own in left[:5])
            raise MetaflowException(
                f"AWS Batch could not be told to end {len(left)} jobs of this run: {names}.",
                hint="`batch kill --run-id …` ends them later; else they run up to their time limit",
            )

    async def unfinished(self, labels: Mapping[str, str]) -> list[RunningJob]:
        try:
            return await listing.unfinished(self._service, self._calls, labels, self._options.queue)
        except (ServiceAway, ServiceRefused) as error:
            raise no_way(error) from error

    async def end(self, jobs: list[RunningJob]) -> None:
        reason = "ended by `batch kill`"
        try:
            await asyncio.gather(*(self._calls.ask(self._service.terminate, job.id, reason) for job in jobs))
        except (ServiceAway, ServiceRefused) as error:
            raise no_way(error) from error

    # --- while a job waits and runs ---------------------------------------------------------------------------------

    async def _launch(self, own: _Own) -> None:
        """Submit a job, however long that takes, unless it is to end before."""
        step = own.job.step
        try:
            async with self._submissions:
                submitted = None if own.has_given_up else await self._submitter.submit(own)
        except ServiceRefused as refused:
            self._end(own, None, own.doom or TaskNotPlaced(f"AWS Batch refuses the step '{step}': {refused.reason}"))
        except TaskFailed as failure:
            self._end(own, None, failure)
        except Exception as error:  # noqa: BLE001 - whatever it is, the job must get its end
            self._end(own, None, TaskLost(f"the step '{step}' could not be submitted: {error!r}"))
        else:
            if submitted is None:
                self._end(own, None, own.doom)
                return
            own.id, own.facts = submitted
            own.since = self._loop.time()
            own.job = own.job._replace(argv=(), environment={})  # they may be large, and are not needed any more
            self._by_id[own.id] = own
            self._watchlist.add(own.id, own.since)
            self._news.set()
            own.waits(waiting.state({"jobId": own.id, "status": own.status, "jobQueue": f"/{own.queue}"}))
            if own.has_given_up:
                self._start(self._terminate(own))

    async def _watch(self) -> None:
        while True:
            self._news.clear()
            seconds = self._watchlist.wait(self._loop.time())
            if self._options.pending_deadline is not None and self._own:
                tick = min(1.0, self._options.pending_deadline / 4)
                seconds = tick if seconds is None else min(seconds, tick)
            try:
                async with asyncio.timeout(seconds):
                    await self._news.wait()
            except TimeoutError:
                pass
            self._check_deadlines()
            await asyncio.gather(*(self._look(ids) for ids in self._watchlist.round(self._loop.time())))

    async def _look(self, ids: Sequence[str]) -> None:
        try:
            async with self._looks:
                found = await self._calls.once(self._service.describe, ids)
        except (ServiceAway, ServiceRefused):
            self._watchlist.postpone(ids, self._loop.time() + 6 * self._timing.pause)
            return
        for job in found:
            own = self._by_id.get(str(job["jobId"]))
            if own is not None:
                self._on_description(own, job)
        for id in set(ids) - {str(job["jobId"]) for job in found}:
            self._on_missing(id)

    def _on_description(self, own: _Own, job: Description) -> None:
        assert own.id is not None
        status, now = str(job["status"]), self._loop.time()
        is_new = status != own.status
        if is_new:
            own.status, own.since = status, now
        own.misses, own.has_reason = 0, bool(job.get("statusReason"))
        self._watchlist.saw(own.id, now, changed=is_new)
        if not own.is_started and (status in ("RUNNING", "SUCCEEDED") or endings.exit_code(job) is not None):
            own.is_started = True
            own.facts = {**endings.facts_of(job), **own.facts}
            self._report(JobStarted(own.job.task, own.job.attempt, f"Batch job {own.id}", own.facts))
        if status in _ENDED:
            self._forget(own)
            self._start(self._conclude(own, job))
        elif is_new or own.has_reason:
            own.waits(waiting.state(job))

    def _on_missing(self, id: str) -> None:
        """Batch does not know a job: it may not know it yet, and forgets it some days after its end."""
        own = self._by_id.get(id)
        if own is None:
            return
        own.misses += 1
        now = self._loop.time()
        self._watchlist.saw(id, now, changed=False)
        if own.misses >= _MISSES and now - own.since > self._timing.oblivion:
            self._forget(own)
            message = f"AWS Batch does not know the job {id} of the step '{own.job.step}' any more"
            self._end(own, None, own.doom or TaskLost(message))

    async def _conclude(self, own: _Own, job: Description) -> None:
        code = 0 if job["status"] == "SUCCEEDED" else endings.exit_code(job)
        failure = None if code == 0 else own.doom or endings.failure_of(own.job.step, job)
        facts = endings.facts_of(job)
        stream, group = facts.get("batch-log-stream"), log_group(own.job.resources)
        facts = {name: value for name, value in facts.items() if own.facts.get(name) != value}
        tail: list[bytes] = []
        if code not in (0, None) and stream and group:
            try:
                tail = await self._calls.once(self._service.log_tail, group, stream, _TAIL)
            except (ServiceAway, ServiceRefused):
                pass
        self._end(own, code, failure, facts, tail)

    def _forget(self, own: _Own) -> None:
        assert own.id is not None
        self._watchlist.drop(own.id)
        self._by_id.pop(own.id, None)

    def _end(
        self,
        own: _Own,
        code: int | None,
        failure: TaskFailed | None,
        facts: Mapping[str, str] | None = None,
        tail: Sequence[bytes] = (),
    ) -> None:
        if self._own.get(own.job.task) is not own:
            return
        del self._own[own.job.task]
        self._change.set()
        self._report(JobEnded(own.job.task, own.job.attempt, code, failure, dict(facts or {}), list(tail)))

    async def _explain(self) -> None:
        """Say why jobs may wait for long, where Batch itself does not."""
        while True:
            await asyncio.sleep(self._timing.explanation)
            then = self._loop.time() - self._timing.explanation
            waiting_long = [own for own in self._own.values() if own.is_unexplained and own.since <= then]
            for queue in {own.queue for own in waiting_long}:
                try:
                    place = await self._survey.place_now(queue)
                except (ServiceAway, ServiceRefused):
                    continue
                for own in waiting_long:
                    if place is not None and own.queue == queue and own.is_unexplained:
                        own.waits(waiting.explanation(place, misfits(place, own.job.resources)))

    # --- towards its end --------------------------------------------------------------------------------------------

    def _check_deadlines(self) -> None:
        deadline = self._options.pending_deadline
        if deadline is None:
            return
        late = self._loop.time() - deadline
        for own in list(self._own.values()):
            if not own.is_started and own.doom is None and own.submitted < late:
                waited = f"the step '{own.job.step}' has waited {deadline:g} s for a machine"
                hint = "METAFLOW_BATCH_PENDING_DEADLINE is the limit, in seconds"
                self._doom(own, TaskNotPlaced(f"{waited}: {own.reason or 'AWS has not answered'}", hint=hint))

    def _doom(self, own: _Own, failure: TaskFailed) -> None:
        """End a job for this reason, whatever it does now."""
        if own.doom is None:
            own.doom = failure
            if own.id is not None:
                self._start(self._terminate(own))

    async def _terminate(self, own: _Own) -> None:
        assert own.id is not None
        assert own.doom is not None
        try:
            await self._calls.insist(self._service.terminate, own.id, own.doom.message[:200])
        except ServiceRefused as refused:
            self._say(f"The Batch job {own.id} cannot be ended: {refused}.")
            return
        own.is_ending = True
        self._change.set()
        self._watchlist.hurry(own.id, self._loop.time())
        self._news.set()

    async def _until(self, is_done: Callable[[_Own], bool], seconds: float) -> list[_Own]:
        """Wait until each job has ended or `is_done`; return those of which neither is true after that time."""
        until = asyncio.get_running_loop().time() + seconds
        while left := [own for own in self._own.values() if not is_done(own)]:
            self._change.clear()
            try:
                async with asyncio.timeout_at(until):
                    await self._change.wait()
            except TimeoutError:
                break
        return left

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # A defect of this file: without the task that broke, the jobs would never get their ends.
            for own in list(self._own.values()):
                message = f"what became of the Batch job {own.id} of the step '{own.job.step}' is not known: {error!r}"
                self._end(own, None, TaskLost(message, hint="`batch list` tells whether it still runs"))


def _aws(parameters: Mapping[str, Any]) -> Service:
    from metaflow.compute.batch.aws import AwsService

    return AwsService(parameters)
