"""The pods with a label, as they change: one list, then one watch that goes on for as long as anybody listens.

A watch ends all the time: the server limits it, connections break, API servers restart, a version is too old (410).
It goes on from the version that was seen last; where that cannot be, the pods are listed anew, and those that are gone
are told as deleted. Start reading at `Watch.follow`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

from metaflow.compute.kubernetes.api import Api, Away, Pauses, Refused

_LIMIT = 40
"""Seconds after which the server ends a watch: a connection that died unnoticed is noticed a little later."""


class Watch:
    """One watch.

    Parameters
    ----------
    api : Api
        The cluster.
    path : str
        Of the list, such as ``/api/v1/namespaces/default/pods``.
    selector : str
        Label selector.
    on_change : callable
        Gets ``ADDED``, ``MODIFIED`` or ``DELETED``, and the object.
    on_listed : callable
        Gets the names of all that there are, after they were told as added.
    on_trouble : callable
        Gets the reason and the seconds since when it does not work, each time it did not; and None when it does again.
    """

    def __init__(
        self,
        api: Api,
        path: str,
        selector: str,
        *,
        on_change: Callable[[str, dict[str, Any]], None],
        on_listed: Callable[[set[str]], None],
        on_trouble: Callable[[Exception | None, float], None],
    ) -> None:
        self._api = api
        self._path = path
        self._selector = selector
        self._on_change = on_change
        self._on_listed = on_listed
        self._on_trouble = on_trouble
        self._version: str | None = None
        self._pauses = Pauses()
        self._works_since = time.monotonic()
        self._is_in_trouble = False

    async def follow(self) -> None:
        """Tell changes until cancelled."""
        while True:
            try:
                if self._version is None:
                    await self._list()
                await self._watch(self._version or "")
            except Away as error:
                await self._wait(error)
            except Refused as refused:
                self._version = None
                if refused.status != 410:
                    await self._wait(refused)

    async def _list(self) -> None:
        names: set[str] = set()
        version = None
        async for page in self._api.pages(self._path, labelSelector=self._selector):
            version = version or page["metadata"]["resourceVersion"]
            for item in page.get("items") or ():
                names.add(item["metadata"]["name"])
                self._on_change("ADDED", item)
        self._on_listed(names)
        self._version = version
        self._works()

    async def _watch(self, version: str) -> None:
        params = {
            "watch": "1",
            "labelSelector": self._selector,
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(_LIMIT),
        }
        began = time.monotonic()
        async with aclosing(self._api.lines(self._path, params, silence=_LIMIT + 15)) as lines:
            async for line in lines:
                event = json.loads(line)
                kind, item = event["type"], event["object"]
                if kind == "ERROR":
                    raise Refused(int(item.get("code") or 500), item)
                self._version = item["metadata"]["resourceVersion"]
                self._works()
                if kind != "BOOKMARK":
                    self._on_change(kind, item)
        self._works()
        if time.monotonic() - began < 1.0:  # a server that ends watches at once shall not be asked all the time
            await self._pauses.wait()

    def _works(self) -> None:
        self._works_since = time.monotonic()
        self._pauses.reset()
        if self._is_in_trouble:
            self._is_in_trouble = False
            self._on_trouble(None, 0.0)

    async def _wait(self, error: Refused | Away) -> None:
        self._is_in_trouble = True
        self._on_trouble(error, time.monotonic() - self._works_since)
        await self._pauses.wait(getattr(error, "pause", None))
