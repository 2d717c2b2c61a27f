"""From a `Job` to the id of a Batch job, however long AWS takes to answer; and never to two.

A submission that may have come through, although no answer did, is looked for by the job's name before the next try.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, Protocol, TypeVar

from metaflow.compute.batch.calls import Calls, Pauses, Timing
from metaflow.compute.batch.definition import plan
from metaflow.compute.batch.service import Description, Service, ServiceAway, ServiceRefused
from metaflow.compute.batch.survey import NO_QUEUE, Survey
from metaflow.compute.jobs.protocol import Job
from metaflow.exception import TaskNotPlaced

Answer = TypeVar("Answer")


class Applicant(Protocol):
    """Who wants a job to run."""

    job: Job

    def waits(self, reason: str) -> None:
        """Hear why there is no answer yet."""

    @property
    def has_given_up(self) -> bool:
        """Whether the job is not wanted any more."""


class Submitted(NamedTuple):
    """A job that Batch has taken: its id, and what it was promised, for people and facts."""

    id: str
    granted: dict[str, str]


class Submitter:
    """Submits jobs.

    Parameters
    ----------
    service : Service
        Takes them.
    calls : Calls
        Make the calls.
    survey : Survey
        Knows the queues.
    timing : Timing
        How patiently.
    say : callable
        Tells a person one sentence.
    """

    def __init__(
        self, service: Service, calls: Calls, survey: Survey, timing: Timing, say: Callable[[str], None]
    ) -> None:
        self._service = service
        self._calls = calls
        self._survey = survey
        self._timing = timing
        self._say = say
        self._said: set[str] = set()
        self._definitions: dict[str, asyncio.Task[str]] = {}
        self._takes_tags = True

    async def submit(self, applicant: Applicant) -> Submitted | None:
        """Submit a job; return None if the applicant gave up before it was.

        Raises
        ------
        TaskNotPlaced
            There is no such queue.
        ServiceRefused
            Batch does not take the job.
        """
        job = applicant.job
        queue = job.resources.options.get("queue")
        if not queue:
            raise TaskNotPlaced(f"{NO_QUEUE.message}, and the step '{job.step}' needs one", hint=NO_QUEUE.hint)
        place = await self._answered(applicant, lambda: self._survey.place(queue), None)
        if applicant.has_given_up:
            return None
        if place is None:
            missing = await self._survey.missing(queue)
            raise TaskNotPlaced(f"{missing.message}, and the step '{job.step}' needs it", hint=missing.hint)
        told = plan(job, on_fargate=place.on_fargate)
        if told.rounded and told.rounded not in self._said:
            self._said.add(told.rounded)
            self._say(told.rounded)
        definition = await self._answered(applicant, lambda: self._definition(told.definition), "")
        id = await self._submit(applicant, {**told.submission, "jobDefinition": definition}) if definition else None
        return None if id is None else Submitted(id, told.granted)

    async def _answered(self, applicant: Applicant, call: Callable[[], Awaitable[Answer]], without: Answer) -> Answer:
        """Make a call until there is an answer, or nobody wants it any more."""
        pauses = Pauses(self._timing)
        while not applicant.has_given_up:
            try:
                return await call()
            except ServiceAway as away:
                applicant.waits(f"AWS Batch does not answer: {away.reason}")
                await asyncio.sleep(pauses.next())
        return without

    async def _definition(self, definition: Description) -> str:
        """Return the ARN of a definition with this content; it is asked for and registered once."""
        name = str(definition["jobDefinitionName"])
        known = self._definitions.get(name)
        if known is None or (known.done() and (known.cancelled() or known.exception() is not None)):
            known = self._definitions[name] = asyncio.create_task(self._register(name, definition))
        return await asyncio.shield(known)

    async def _register(self, name: str, definition: Description) -> str:
        try:
            found = await self._calls.once(self._service.definition, name)
        except ServiceRefused as refused:
            if not refused.is_permission:
                raise
            found = None
        return await self._calls.once(self._service.register, definition) if found is None else found

    async def _submit(self, applicant: Applicant, call: dict[str, Any]) -> str | None:
        pauses = Pauses(self._timing)
        is_unsure = False
        while True:
            try:
                if is_unsure:
                    found = await self._calls.once(self._service.find, call["jobQueue"], call["jobName"])
                    if found is not None:
                        return found
                    is_unsure = False
                if applicant.has_given_up:
                    return None
                if not self._takes_tags:
                    call.pop("tags", None)
                return await self._calls.once(self._service.submit, call)
            except ServiceAway as away:
                is_unsure = is_unsure or away.unsure
                applicant.waits(f"AWS Batch does not take the job: {away.reason}")
                await asyncio.sleep(pauses.next())
            except ServiceRefused as refused:
                # Labels are among the parameters too: whoever may not set tags does without.
                if "tags" not in call or not (refused.is_permission and "TagResource" in refused.reason):
                    raise
                self._takes_tags = False
