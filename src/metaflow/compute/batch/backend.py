"""Jobs on AWS Batch, all of a run through one client: `BatchBackend`.

The life of a job is decided in `metaflow.compute.jobs.machine` and carried out in `metaflow.compute.jobs.shell`. Here
is what only Batch knows: how a job is submitted, once; that a hundred jobs are described by one call, at a pace that
follows how long they have been as they are (`polling`); how one ended (`ends`). Calls block and are made in threads
(`calls`), by a client that knows AWS (`aws`). Start reading at `BatchBackend._create`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from metaflow.compute.batch import ends, listing, queues
from metaflow.compute.batch.calls import Calls
from metaflow.compute.batch.client import AwsError, Client, Description
from metaflow.compute.batch.description import describe, job_name, log_group
from metaflow.compute.batch.polling import Polling
from metaflow.compute.batch.preflight import NO_QUEUE, Preflight
from metaflow.compute.batch.states import exit_code, facts_of, state_of
from metaflow.compute.jobs.events import Explained, JobEnd, JobKey, Missing, Seen
from metaflow.compute.jobs.preflight import Questions
from metaflow.compute.jobs.protocol import Job, RunningJob
from metaflow.compute.jobs.retry import Outage, Refused, RetryPolicy, Unavailable, answer_or
from metaflow.compute.jobs.shell import Creation, JobShell, Pace
from metaflow.compute.jobs.tracked import Timeouts, TrackedJob
from metaflow.compute.protocol import Problem
from metaflow.compute.resources import ResourceRequest
from metaflow.exception import MetaflowException, TaskFailed, TaskLost, TaskNotPlaced
from metaflow.settings.groups import BatchSettings
from metaflow.settings.values import Values

_TIMEOUTS = Timeouts(explain=60.0, explain_every=60.0, missing=60.0, misses=3)
_PACE = Pace(RetryPolicy(0.5, 20.0), answer=10.0, silence=20.0, told=20.0, gone=20.0)
_SUBMISSIONS = 6
"""Most at the same time: two threads are left for the looks."""
_LOOKS = 2
"""Likewise: reading many answers at once would keep the loop from its turn."""
_NO_JOB = "00000000-0000-0000-0000-000000000000"
_TAIL = 50
"""Lines."""


class BatchBackend(JobShell[Description]):
    """Runs jobs on AWS Batch.

    Parameters
    ----------
    values : Values
        Settings; of them it reads `BatchSettings`.
    say : callable, optional
        Tells a person one sentence, such as that AWS does not answer.
    client : Client, optional
        Instead of AWS.
    timeouts, pace : Timeouts, Pace
        How long to wait for what.
    """

    kind = "batch"
    title = "AWS Batch"

    def __init__(
        self,
        values: Values,
        *,
        say: Callable[[str], None] | None = None,
        client: Client | None = None,
        timeouts: Timeouts = _TIMEOUTS,
        pace: Pace = _PACE,
    ) -> None:
        self._options = BatchSettings.of(values)
        timeouts = timeouts._replace(pending=self._options.pending_deadline)
        super().__init__(say, timeouts, pace, creations=_SUBMISSIONS)
        self._given_client = client
        self._polling = Polling()
        self._is_due = asyncio.Event()
        self._looks = asyncio.Semaphore(_LOOKS)
        self._definitions = Questions()
        self._takes_tags = True
        self._said: set[str] = set()

    async def _connect(self) -> None:
        outage = Outage(self.title, self.say, self.pace.silence)
        self._calls = Calls(self.pace.retry, self.pace.answer, outage)
        given = self._given_client
        self._client = given if given is not None else await asyncio.to_thread(_aws, self._options.client)
        await self._calls.ask(self._client.describe, [_NO_JOB])
        self._preflight = Preflight(self._client, self._calls)
        self._start(self._poll())

    async def _disconnect(self) -> None:
        self._calls.close()

    def _unusable(self, error: Unavailable | Refused) -> MetaflowException:
        return ends.unusable(error)

    async def _problems(self, requests: Mapping[str, ResourceRequest]) -> list[Problem]:
        return await self._preflight.problems(requests)

    # --- creation and deletion --------------------------------------------------------------------------------------

    async def _create(self, job: Job) -> Creation:
        name = job.resources.options.get("queue")
        if not name:
            raise TaskNotPlaced(f"{NO_QUEUE.message}, and the step '{job.step}' needs one", hint=NO_QUEUE.hint)
        queue = await self._preflight.queue(name)
        if queue is None:
            missing = await self._preflight.missing(name)
            raise TaskNotPlaced(f"{missing.message}, and the step '{job.step}' needs it", hint=missing.hint)
        described = describe(job, on_fargate=queue.on_fargate, emits_tags=self._options.emits_tags)
        if described.rounded and described.rounded not in self._said:
            self._said.add(described.rounded)
            self.say(described.rounded)
        definition = described.definition
        name = str(definition["jobDefinitionName"])
        arn = await self._definitions.once((name,), lambda: self._register(name, definition))
        id = await self._submit({**described.submission, "jobDefinition": arn})
        return self._submitted(job, id, described.granted)

    def _submitted(self, job: Job, id: str, granted: Mapping[str, str]) -> Creation:
        self._polling.add(id, self._loop.time())
        self._is_due.set()
        queue = job.resources.options.get("queue")
        return Creation(id, granted, state_of({"jobId": id, "status": "SUBMITTED", "jobQueue": f"/{queue}"}))

    async def _register(self, name: str, definition: Description) -> str:
        """Return the ARN of a definition with this content."""
        try:
            found = await self._calls.once(self._client.definition, name)
        except AwsError as error:
            if not error.is_permission:
                raise
            found = None
        return await self._calls.once(self._client.register, definition) if found is None else found

    async def _submit(self, call: dict[str, Any]) -> str:
        if not self._takes_tags:
            del call["tags"]
        try:
            return await self._calls.once(self._client.submit, call)
        except AwsError as error:
            # Labels are among the parameters too: whoever may not set tags does without.
            if not self._takes_tags or not (error.is_permission and "TagResource" in error.reason):
                raise
        self._takes_tags = False
        return await self._submit(call)

    async def _find(self, job: Job) -> Creation | None:
        queue = job.resources.options.get("queue")
        id = await self._calls.once(self._client.find, str(queue), job_name(job.labels))
        return None if id is None else self._submitted(job, id, {})

    def _refusal(self, job: Job, error: Refused | Unavailable) -> TaskFailed:
        reason = error.reason if isinstance(error, AwsError) else error
        return TaskNotPlaced(f"AWS Batch refuses the step '{job.step}': {reason}")

    async def _delete(self, job: TrackedJob[Description]) -> bool:
        reason = job.cancel_reason.message if job.cancel_reason is not None else ""
        await self._calls.once(self._client.terminate, job.id, reason[:200])
        self._look(job.id)
        return False

    # --- what descriptions show -------------------------------------------------------------------------------------

    async def _poll(self) -> None:
        while True:
            self._is_due.clear()
            try:
                async with asyncio.timeout(self._polling.wait(self._loop.time())):
                    await self._is_due.wait()
            except TimeoutError:
                pass
            await asyncio.gather(*(self._look_at(ids) for ids in self._polling.round(self._loop.time())))

    async def _look_at(self, ids: Sequence[str]) -> None:
        try:
            async with self._looks:
                found = await self._calls.once(self._client.describe, ids)
        except (Unavailable, Refused):
            self._polling.postpone(ids, self._loop.time() + 6 * self.pace.retry.first)
            return
        described = {str(job["jobId"]): job for job in found}
        for id in ids:
            job = self.machine.with_id(id)
            if job is None:
                self._polling.drop(id)
            elif id in described:
                known = job.members[0].detail["status"] if job.members else None
                self._polling.saw(id, self._loop.time(), changed=described[id]["status"] != known)
                self.tell(Seen(job.key, state_of(described[id])))
            else:  # Batch may not know it yet, and forgets it some days after its end
                self._polling.saw(id, self._loop.time(), changed=False)
                message = f"AWS Batch does not know the job {id} of the step '{job.step}' any more"
                self.tell(Missing(job.key, TaskLost(message)))

    def _look(self, id: str) -> None:
        self._polling.look_soon(id, self._loop.time())
        self._is_due.set()

    def _forget(self, key: JobKey, id: str) -> None:
        self._polling.drop(id)

    async def _end_of(self, job: TrackedJob[Description]) -> JobEnd:
        description = job.members[0].detail
        if description["status"] == "SUCCEEDED":
            return JobEnd(0, succeeded=True)
        code = exit_code(description)
        stream, group = facts_of(description).get("batch-log-stream"), log_group(job.job.resources)
        tail: list[bytes] = []
        if code not in (0, None) and stream and group:
            tail = await answer_or([], self._calls.once(self._client.log_tail, group, stream, _TAIL))
        return JobEnd(code, ends.failure_of(job.step, description), tail, succeeded=code == 0)

    # --- jobs that wait ---------------------------------------------------------------------------------------------

    async def _explain(self, jobs: Sequence[TrackedJob[Description]]) -> None:
        """Say why jobs may wait for long, where Batch itself does not."""
        for name in {str(job.job.resources.options.get("queue")) for job in jobs}:
            queue = await answer_or(None, self._preflight.queue_now(name))
            for job in jobs:
                if queue is not None and job.job.resources.options.get("queue") == name:
                    found = queues.mismatches(queue, job.job.resources)
                    self.tell(Explained(job.key, ends.explanation(queue, found)))

    # --- jobs of any run --------------------------------------------------------------------------------------------

    async def _unfinished(self, labels: Mapping[str, str]) -> list[RunningJob]:
        return await listing.unfinished(self._client, self._calls, labels, self._options.queue)

    async def _end(self, jobs: Sequence[RunningJob]) -> None:
        reason = "ended by `batch kill`"
        await asyncio.gather(*(self._calls.ask(self._client.terminate, job.id, reason) for job in jobs))


def _aws(parameters: Mapping[str, Any]) -> Client:
    from metaflow.compute.batch.aws import AwsClient

    return AwsClient(parameters)
