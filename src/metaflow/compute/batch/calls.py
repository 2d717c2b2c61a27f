"""Calls of a service that blocks, made from an event loop that must not: in a few threads, again where that helps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, ParamSpec, TypeVar

from metaflow.compute.batch.service import ServiceAway, ServiceRefused
from metaflow.exception import MetaflowException

Answer = TypeVar("Answer")
Arguments = ParamSpec("Arguments")

THREADS = 8


class Timing(NamedTuple):
    """How long to wait, in seconds; tests have less patience.

    Attributes
    ----------
    pause, longest_pause : float
        Between two tries of a call, the first and the longest.
    answer : float
        For a person who waits for the answer of a call, in all.
    silence : float
        Until a person hears that the service is away.
    explanation : float
        Until a job that waits without a reason gets one, and between two looks at its queue.
    oblivion : float
        Until a job that the service does not know counts as lost.
    farewell : float
        When the run is over: for jobs to be told to end, and again for them to do so.
    """

    pause: float = 0.5
    longest_pause: float = 20.0
    answer: float = 10.0
    silence: float = 20.0
    explanation: float = 60.0
    oblivion: float = 60.0
    farewell: float = 20.0


class Calls:
    """Makes calls in threads.

    Parameters
    ----------
    timing : Timing
        How patiently.
    say : callable
        Tells a person one sentence.
    """

    def __init__(self, timing: Timing, say: Callable[[str], None]) -> None:
        self._timing = timing
        self._say = say
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="batch")
        self._away_since: float | None = None
        self._is_said = False

    async def once(
        self, call: Callable[Arguments, Answer], *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Answer:
        """Make a call and return its answer.

        Raises
        ------
        ServiceAway, ServiceRefused
            As the call does.
        """
        loop = asyncio.get_running_loop()
        try:
            answer = await loop.run_in_executor(self._pool, lambda: call(*args, **kwargs))
        except ServiceAway as away:
            self._note_silence(loop.time(), away)
            raise
        if self._is_said:
            self._say("AWS Batch answers again.")
        self._away_since, self._is_said = None, False
        return answer

    async def insist(
        self, call: Callable[Arguments, Answer], *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Answer:
        """Make a call as often as it takes to get an answer.

        Raises
        ------
        ServiceRefused
            As the call does.
        """
        pauses = Pauses(self._timing)
        while True:
            try:
                return await self.once(call, *args, **kwargs)
            except ServiceAway:
                await asyncio.sleep(pauses.next())

    async def ask(self, call: Callable[Arguments, Answer], *args: Arguments.args, **kwargs: Arguments.kwargs) -> Answer:
        """Make a call for which a person waits: it is given up after some tries.

        Raises
        ------
        ServiceAway, ServiceRefused
            As the call does; a matter of credentials at once.
        """
        loop = asyncio.get_running_loop()
        pauses, until = Pauses(self._timing), loop.time() + self._timing.answer
        while True:
            try:
                return await self.once(call, *args, **kwargs)
            except ServiceAway as away:
                if away.credentials or loop.time() > until:
                    raise
                await asyncio.sleep(pauses.next())

    def close(self) -> None:
        """Let go of the threads; calls that are on their way come to their end."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _note_silence(self, now: float, away: ServiceAway) -> None:
        self._away_since = now if self._away_since is None else self._away_since
        if not self._is_said and now - self._away_since >= self._timing.silence:
            self._is_said = True
            self._say(f"AWS Batch does not answer: {away.reason}. Running jobs go on; it is asked again and again.")


class Pauses:
    """Ever longer pauses between tries."""

    def __init__(self, timing: Timing) -> None:
        self._pause = timing.pause
        self._longest = timing.longest_pause

    def next(self) -> float:
        """Return the seconds to wait now."""
        pause = self._pause
        self._pause = min(self._longest, pause * 1.7)
        return pause


def no_way(error: ServiceAway | ServiceRefused) -> MetaflowException:
    """Return what to tell a person who cannot use AWS Batch for this reason."""
    reason = str(error).rstrip(".")
    if isinstance(error, ServiceAway) and error.credentials:
        return MetaflowException(
            f"AWS does not accept the credentials: {reason}.",
            hint="renew them (`aws sso login`, a new session token), or choose others by AWS_PROFILE",
        )
    if isinstance(error, ServiceAway):
        return MetaflowException(
            f"AWS Batch does not answer: {reason}.",
            hint="check the network, the region (AWS_DEFAULT_REGION) and AWS_ENDPOINT_URL",
        )
    if error.is_permission:
        return MetaflowException(
            f"AWS does not allow this: {error.reason}.",
            hint="needed are DescribeJobs, SubmitJob, TerminateJob, RegisterJobDefinition and others of batch",
        )
    if error.code == "NoRegionError":
        return MetaflowException("No AWS region is set.", hint="set AWS_DEFAULT_REGION, or one in the AWS profile")
    return MetaflowException(f"AWS Batch cannot be used: {reason}.")
