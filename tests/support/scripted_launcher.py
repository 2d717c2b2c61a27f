"""A launcher without processes: a script says how each attempt ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from metaflow.compute.protocol import Ended, Problem, Report, Started, TaskRequest
from metaflow.compute.report import TaskReport
from metaflow.compute.resources import ResourceRequest

End = TaskReport | int | None
"""A task's own report; or the signal that ended its process; or none: it runs until it is cancelled."""


class ScriptedLauncher:
    """Reports what a script says (`metaflow.compute.protocol.Launcher`).

    Parameters
    ----------
    script : callable
        From the request to how the attempt ends.

    Attributes
    ----------
    requests : list of TaskRequest
        What was submitted.
    started : asyncio.Event
        Set whenever an attempt has started that runs until it is cancelled.
    """

    kind = "local"
    stores_logs = False

    def __init__(self, script: Callable[[TaskRequest], End]) -> None:
        self._script = script
        self._running: dict[int, TaskRequest] = {}
        self.requests: list[TaskRequest] = []
        self.is_closed = False

    async def open(self, report: Callable[[Report], None]) -> None:
        self._report = report
        self._loop = asyncio.get_running_loop()
        self.started = asyncio.Event()

    async def preflight(self, requests: Mapping[str, ResourceRequest]) -> list[Problem]:
        return []

    def submit(self, request: TaskRequest) -> None:
        self.requests.append(request)
        self._running[request.task] = request
        self._loop.call_soon(self._run, request)

    def _run(self, request: TaskRequest) -> None:
        self._report(Started(request.task, request.attempt, "script", {"by": "script"}))
        end = self._script(request)
        if end is None:
            self.started.set()
        elif isinstance(end, TaskReport):
            self._end(request, Ended(request.task, request.attempt, int(not end.ok), None, end))
        else:
            self._end(request, Ended(request.task, request.attempt, None, end))

    def cancel(self, task: int) -> None:
        request = self._running.get(task)
        if request is not None:
            self._loop.call_soon(self._end, request, Ended(task, request.attempt, None, 15))

    def _end(self, request: TaskRequest, ended: Ended) -> None:
        if self._running.pop(request.task, None) is not None:
            self._report(ended)

    async def close(self) -> Sequence[str]:
        self.is_closed = True
        return ()
