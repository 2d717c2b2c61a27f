"""The pods with a label, as they change: one list, then one watch that goes on for as long as anybody listens.

A watch ends all the time: the server limits it, connections break, API servers restart, a version is too old (410).
It goes on from the version that was seen last; where that cannot be, the pods are listed anew, and those that are gone
are told as deleted. Who may not watch, but may list, has the pods listed again and again. Start reading at
`Watch.follow`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

from metaflow.compute.jobs.retry import Backoff, Outage, Refused, Unavailable
from metaflow.compute.kubernetes.client import Client, StatusError

_LIMIT = 40
"""Seconds after which the server ends a watch: a connection that died unnoticed is noticed a little later."""


class Watch:
    """One watch of the pods at `path` that have a label.

    Tells `on_change` ``ADDED``, ``MODIFIED`` or ``DELETED`` and the object; and, after a list was told as added,
    `on_listed` the names of all that there are. For `credentials` seconds it may be refused to us.
    """

    def __init__(
        self,
        client: Client,
        path: str,
        selector: str,
        *,
        on_change: Callable[[str, dict[str, Any]], None],
        on_listed: Callable[[set[str]], None],
        outage: Outage,
        credentials: float,
        pace: float,
    ) -> None:
        self._pace = pace
        self._client = client
        self._path = path
        self._selector = selector
        self._on_change = on_change
        self._on_listed = on_listed
        self._outage = outage
        self._credentials = credentials
        self._version: str | None = None
        self._backoff = Backoff()

    async def follow(self) -> None:
        """Tell changes until cancelled.

        Raises
        ------
        StatusError, Unavailable
            We are not permitted to watch, or not known, and have not been for long.
        """
        while True:
            try:
                if self._version is None:
                    await self._list()
                try:
                    await self._watch(self._version or "")
                except StatusError as error:
                    if error.status != 403:
                        raise
                    await self._poll()
            except Unavailable as error:
                await self._wait(error, may_pass=not error.credentials)
            except StatusError as error:
                self._version = None
                if error.status != 410:
                    await self._wait(error, may_pass=error.status != 403)

    async def _list(self) -> None:
        names: set[str] = set()
        version = None
        async for page in self._client.pages(self._path, labelSelector=self._selector):
            version = version or page["metadata"]["resourceVersion"]
            for item in page.get("items") or ():
                names.add(item["metadata"]["name"])
                self._on_change("ADDED", item)
        self._on_listed(names)
        self._version = version
        self._works()

    async def _poll(self) -> None:
        """List the pods for as long as a watch lasts."""
        clock = asyncio.get_running_loop().time
        end = clock() + _LIMIT
        while clock() < end:
            await asyncio.sleep(self._pace)
            await self._list()

    async def _watch(self, version: str) -> None:
        params = {
            "watch": "1",
            "labelSelector": self._selector,
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(_LIMIT),
        }
        clock = asyncio.get_running_loop().time
        began = clock()
        async with aclosing(self._client.lines(self._path, params, silence=_LIMIT + 15)) as lines:
            async for line in lines:
                event = json.loads(line)
                kind, item = event["type"], event["object"]
                if kind == "ERROR":
                    raise StatusError(int(item.get("code") or 500), item)
                self._version = item["metadata"]["resourceVersion"]
                self._works()
                if kind != "BOOKMARK":
                    self._on_change(kind, item)
        self._works()
        if (
            asyncio.get_running_loop().time() - began < 1.0
        ):  # a server that ends watches at once shall not be asked all the time
            await self._backoff.wait()

    def _works(self) -> None:
        self._backoff.reset()
        self._outage.over()

    async def _wait(self, error: Refused | Unavailable, *, may_pass: bool) -> None:
        lasted = self._outage.failed(str(error), asyncio.get_running_loop().time())
        if not may_pass and lasted > self._credentials:
            raise error
        await self._backoff.wait(getattr(error, "pause", None))
