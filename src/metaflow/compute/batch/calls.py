"""Calls of a client that blocks, made from an event loop that must not: in a few threads, again where that helps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from metaflow.compute.jobs.retry import Outage, RetryPolicy, Unavailable, retry

Answer = TypeVar("Answer")
Arguments = ParamSpec("Arguments")

THREADS = 8


class Calls:
    """Makes calls in threads."""

    def __init__(self, policy: RetryPolicy, seconds: float, outage: Outage) -> None:
        self._policy = policy
        self._seconds = seconds
        self._outage = outage
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="batch")

    async def once(
        self, call: Callable[Arguments, Answer], *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Answer:
        """Make a call and return its answer; it may raise `Unavailable` or `AwsError`."""
        loop = asyncio.get_running_loop()
        try:
            answer = await loop.run_in_executor(self._pool, lambda: call(*args, **kwargs))
        except Unavailable as error:
            self._outage.failed(error.reason, loop.time())
            raise
        self._outage.over()
        return answer

    async def ask(self, call: Callable[Arguments, Answer], *args: Arguments.args, **kwargs: Arguments.kwargs) -> Answer:
        """Make a call for which a person waits: it is given up after some time, without credentials at once."""
        return await retry(lambda: self.once(call, *args, **kwargs), self._seconds, self._policy)

    def close(self) -> None:
        """Let go of the threads; calls that are on their way come to their end."""
        self._pool.shutdown(wait=False, cancel_futures=True)
