"""What is known of the queues and roles that a run uses: asked once each, and what may not be asked stays unknown."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from metaflow.compute.batch.calls import Calls
from metaflow.compute.batch.places import UNKNOWN, Misfit, Place, misfits, place_of
from metaflow.compute.batch.service import InstanceType, Service, ServiceAway, ServiceRefused
from metaflow.compute.protocol import Problem
from metaflow.compute.resources import ResourceRequest

NO_QUEUE = Misfit("no job queue is set for AWS Batch", "set METAFLOW_BATCH_JOB_QUEUE, or @batch(queue=…)", certain=True)
_SMALL = ResourceRequest(cpu=1, memory=4096)
"""Nobody asks for the machines before a run because of so little: the answer costs 0.2 s and 20 MB."""


class Survey:
    """Asks for queues, their compute environments, their machines, and roles.

    Parameters
    ----------
    service : Service
        Is asked.
    calls : Calls
        Make the calls.
    """

    def __init__(self, service: Service, calls: Calls) -> None:
        self._service = service
        self._calls = calls
        self._answers: dict[tuple[object, ...], asyncio.Task[Any]] = {}

    async def place(self, queue: str) -> Place | None:
        """Return what is behind a queue, without its machines; None if there is no such queue.

        Raises
        ------
        ServiceAway, ServiceRefused
            There is no answer.
        """
        found: Place | None = await self._once(("queue", queue), lambda: self._look(queue))
        return found

    async def place_now(self, queue: str) -> Place | None:
        """Return what is behind a queue now, with its machines."""
        found = await self._look(queue)
        return found and await self._with_types(found)

    async def problems(self, requests: Mapping[str, ResourceRequest]) -> list[Problem]:
        """Return what stands against each step's request; the same for several steps once."""
        found: dict[Misfit, list[str]] = {}
        misfits = await asyncio.gather(*(self._misfits(request) for request in requests.values()))
        for step, own in zip(requests, misfits, strict=True):
            for misfit in own:
                found.setdefault(misfit, []).append(step)
        return [
            Problem(tuple(steps), f"{misfit.message}.", misfit.hint, misfit.certain) for misfit, steps in found.items()
        ]

    async def missing(self, queue: str) -> Misfit:
        """Say that there is no such queue, and which there are."""
        try:
            names = sorted(str(each["jobQueueName"]) for each in await self._calls.ask(self._service.queues))
        except (ServiceAway, ServiceRefused):
            names = []
        hint = f"queues there: {', '.join(names[:10])}" if names else "METAFLOW_BATCH_JOB_QUEUE or @batch(queue=…)"
        return Misfit(f"there is no job queue '{queue}' in {self._service.region}", hint, certain=True)

    async def _misfits(self, request: ResourceRequest) -> list[Misfit]:
        queue = request.options.get("queue")
        if not queue:
            return [NO_QUEUE]
        place = await self.place(queue)
        if place is None:
            return [await self.missing(queue)]
        if request.gpu or request.cpu > _SMALL.cpu or request.memory > _SMALL.memory:
            place = await self._with_types(place)
        found = misfits(place, request)
        for option in ("iam_role", "execution_role"):
            if await self._is_missing_role(request.options.get(option), place.account):
                hint = f"check the name, or create it; @batch({option}=…) or the setting names it"
                found.append(Misfit(f"the role '{request.options[option]}' does not exist", hint, certain=True))
        return found

    async def _look(self, queue: str) -> Place | None:
        try:
            queues = await self._calls.ask(self._service.queues, [queue])
            if not queues:
                return None
            names = [each["computeEnvironment"] for each in queues[0].get("computeEnvironmentOrder") or ()]
            environments = await self._calls.ask(self._service.environments, names) if names else []
        except ServiceRefused as refused:
            if refused.is_permission:
                return UNKNOWN
            raise
        return place_of(queues[0], environments)

    async def _with_types(self, place: Place) -> Place:
        patterns = sorted({pattern for each in place.environments for pattern in each.patterns})
        if not patterns or not all(each.patterns for each in place.environments):
            return place

        async def types() -> list[InstanceType]:
            return await self._calls.ask(self._service.instance_types, patterns)

        try:
            return place._replace(types=tuple(await self._once(("types", *patterns), types)))
        except (ServiceAway, ServiceRefused):
            return place

    async def _is_missing_role(self, arn: str | None, account: str) -> bool:
        """Tell whether a role is known not to exist. Of other accounts nothing is known."""
        if not arn or not account or f":{account}:role/" not in arn:
            return False

        async def is_there() -> bool:
            return await self._calls.ask(self._service.has_role, arn.rpartition("/")[2])

        try:
            return not await self._once(("role", arn), is_there)
        except (ServiceAway, ServiceRefused):
            return False

    async def _once(self, question: tuple[object, ...], ask: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Ask a question, unless it is being asked or has been answered."""
        known = self._answers.get(question)
        if known is None or (known.done() and (known.cancelled() or known.exception() is not None)):
            known = self._answers[question] = asyncio.create_task(ask())
        return await asyncio.shield(known)
