"""A job comes into being: created once, however often and for however long that has to be tried."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from metaflow.compute.jobs.protocol import Job
from metaflow.compute.kubernetes.api import Api, Away, Pauses, Refused
from metaflow.compute.kubernetes.inquiry import Inquiry, jobs_path
from metaflow.compute.kubernetes.manifest import manifest
from metaflow.compute.kubernetes.owned import Owned
from metaflow.compute.kubernetes.refusals import not_created
from metaflow.exception import TaskFailed, TaskNotPlaced

_QUOTA_PAUSE = 3.0


class Creator:
    """Creates jobs.

    Parameters
    ----------
    api : Api
        The cluster.
    inquiry : Inquiry
        Tells whose a job is that exists already.
    slots : Semaphore
        How many calls at the same time.
    launch : str
        By whom.
    ttl : int
        Seconds that a finished job is kept.
    patience : float
        Seconds in which refused credentials may be renewed.
    on_trouble : callable
        Is told why a job has to wait.
    """

    def __init__(
        self,
        api: Api,
        inquiry: Inquiry,
        slots: asyncio.Semaphore,
        *,
        launch: str,
        ttl: int,
        patience: float,
        on_trouble: Callable[[Owned, str], None],
    ) -> None:
        self._api = api
        self._inquiry = inquiry
        self._slots = slots
        self._launch = launch
        self._ttl = ttl
        self._patience = patience
        self._on_trouble = on_trouble

    async def create(self, job: Job, own: Owned) -> TaskFailed | None:
        """Create a job, unless it is doomed before; return why it does not exist.

        A doomed job whose creation was tried may exist all the same: then this returns None.
        """
        loop = asyncio.get_running_loop()
        body = manifest(job, launch=self._launch, ttl=self._ttl)
        pauses = Pauses()
        refused_since: float | None = None
        while own.doom is None:
            pause = None
            try:
                async with self._slots:
                    own.is_tried = True
                    await self._api.call("POST", jobs_path(own.namespace), body=body)
                break
            except Away as error:
                self._on_trouble(own, f"the Kubernetes API server does not answer ({error})")
            except Refused as refused:
                if refused.status == 409 and refused.reason == "AlreadyExists" and await self._is_ours(own):
                    break
                refused_since = refused_since or loop.time()
                is_expired = refused.status == 401 and loop.time() - refused_since < self._patience
                if not (refused.is_passing or refused.is_quota or is_expired):
                    own.is_tried = False
                    return self._refusal(refused, own)
                self._on_trouble(own, refused.message)
                pause = refused.pause or (_QUOTA_PAUSE if refused.is_quota else None)
            await pauses.wait(pause, own.doomed)
        if not own.is_tried:
            return own.doom
        own.created = loop.time()
        return None

    async def _is_ours(self, own: Owned) -> bool:
        """Tell whether the job of this name is one whose creation was not answered."""
        try:
            return await self._inquiry.job_launch(own.namespace, own.name) == self._launch
        except (Away, Refused):
            return True  # the watch will tell

    def _refusal(self, refused: Refused, own: Owned) -> TaskFailed:
        if refused.reason == "AlreadyExists":
            return TaskNotPlaced(f"there is a job {own.namespace}/{own.name} already", reason=refused.reason)
        return not_created(refused, own.step, own.namespace)
