"""What is known of the queues and roles that a run uses: asked once each, and what may not be asked stays unknown."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from metaflow.compute.batch.calls import Calls
from metaflow.compute.batch.client import AwsError, Client, InstanceType
from metaflow.compute.batch.queues import UNKNOWN, Queue, mismatches, read
from metaflow.compute.jobs.preflight import Mismatch, Questions, problems
from metaflow.compute.jobs.retry import answer_or
from metaflow.compute.protocol import Problem
from metaflow.compute.resources import ResourceRequest

NO_QUEUE = Mismatch("no job queue is set for AWS Batch", "set METAFLOW_BATCH_JOB_QUEUE, or @batch(queue=…)")
_SMALL = ResourceRequest(cpu=1, memory=4096)
"""Nobody asks for the machines before a run because of so little: the answer costs 0.2 s and 20 MB."""


class Preflight:
    """Asks for queues, their compute environments, their machines, and roles."""

    def __init__(self, client: Client, calls: Calls) -> None:
        self._client = client
        self._calls = calls
        self._questions = Questions()

    async def queue(self, name: str) -> Queue | None:
        """Return what is behind a queue, without its machines; None if there is no such queue."""
        found: Queue | None = await self._questions.once(("queue", name), lambda: self._look(name))
        return found

    async def queue_now(self, name: str) -> Queue | None:
        """Return what is behind a queue now, with its machines."""
        found = await self._look(name)
        return found and await self._with_types(found)

    async def problems(self, requests: Mapping[str, ResourceRequest]) -> list[Problem]:
        """Return what stands against each step's request; the same for several steps once."""
        found = await asyncio.gather(*(self._mismatches(request) for request in requests.values()))
        return problems(dict(zip(requests, found, strict=True)))

    async def missing(self, queue: str) -> Mismatch:
        """Say that there is no such queue, and which there are."""
        found = await answer_or([], self._calls.ask(self._client.queues))
        names = sorted(str(each["jobQueueName"]) for each in found)
        hint = f"queues there: {', '.join(names[:10])}" if names else "METAFLOW_BATCH_JOB_QUEUE or @batch(queue=…)"
        return Mismatch(f"there is no job queue '{queue}' in {self._client.region}", hint)

    async def _mismatches(self, request: ResourceRequest) -> list[Mismatch]:
        name = request.options.get("queue")
        if not name:
            return [NO_QUEUE]
        queue = await self.queue(name)
        if queue is None:
            return [await self.missing(name)]
        if request.gpu or request.cpu > _SMALL.cpu or request.memory > _SMALL.memory:
            queue = await self._with_types(queue)
        found = mismatches(queue, request)
        for option in ("iam_role", "execution_role"):
            if await self._is_missing_role(request.options.get(option), queue.account):
                hint = f"check the name, or create it; @batch({option}=…) or the setting names it"
                found.append(Mismatch(f"the role '{request.options[option]}' does not exist", hint))
        return found

    async def _look(self, name: str) -> Queue | None:
        try:
            queues = await self._calls.ask(self._client.queues, [name])
            if not queues:
                return None
            names = [each["computeEnvironment"] for each in queues[0].get("computeEnvironmentOrder") or ()]
            environments = await self._calls.ask(self._client.environments, names) if names else []
        except AwsError as error:
            if error.is_permission:
                return UNKNOWN
            raise
        return read(queues[0], environments)

    async def _with_types(self, queue: Queue) -> Queue:
        patterns = sorted({pattern for each in queue.environments for pattern in each.patterns})
        if not patterns or not all(each.patterns for each in queue.environments):
            return queue

        async def types() -> list[InstanceType]:
            return await self._calls.ask(self._client.instance_types, patterns)

        return queue._replace(
            types=tuple(await answer_or(queue.types, self._questions.once(("types", *patterns), types)))
        )

    async def _is_missing_role(self, arn: str | None, account: str) -> bool:
        """Tell whether a role is known not to exist. Of other accounts nothing is known."""
        if not arn or not account or f":{account}:role/" not in arn:
            return False

        async def is_there() -> bool:
            return await self._calls.ask(self._client.has_role, arn.rpartition("/")[2])

        return not await answer_or(True, self._questions.once(("role", arn), is_there))
