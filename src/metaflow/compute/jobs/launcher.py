"""Tasks as jobs in containers, wherever a `JobBackend` runs them: the engine's side of a remote task.

A task becomes a job whose command fetches the code by signed URLs and starts it (`metaflow.compute.jobs.boot`).
Inside, a supervisor keeps the task's log and, as the last thing it writes, one *outcome object*: what the task told,
the facts that it carried home, how its process ended. This side shows the log while it grows, waits for the backend's
word that the job has ended, and reads the outcome. What the backend knows (evicted, out of memory, image) and what the
supervisor saw are put together to one failure.

The storage is asked in a thread: nothing here blocks the engine's loop. Start reading at `RemoteLauncher.submit`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Container, Coroutine, Mapping, Sequence
from datetime import UTC
from typing import Any, NamedTuple

from metaflow.compute.endings import PEAK_FACT
from metaflow.compute.jobs.ends import cancelled, failure_of_job
from metaflow.compute.jobs.entry import GRACE, LINK_EXPIRED, Package, argv, boot_variable
from metaflow.compute.jobs.outcome import Outcome
from metaflow.compute.jobs.protocol import Job, JobBackend, JobEnded, JobReport, JobStarted
from metaflow.compute.protocol import Ended, Output, Problem, Report, Started, TaskRequest, Waiting
from metaflow.compute.report import CONTAINER
from metaflow.compute.resources import ResourceRequest
from metaflow.exception import (
    MetaflowException,
    StorageUnavailable,
    TaskLost,
)
from metaflow.store import layout
from metaflow.store.layout import END
from metaflow.store.logs.lines import Line
from metaflow.store.logs.segment_reader import Attempt, SegmentReader
from metaflow.store.protocol import Storage

DEFAULT_TIME_LIMIT = 5 * 24 * 3600.0
"""Seconds that a remote task may run if no @timeout says otherwise, as Metaflow has it."""

_MARGIN = 120.0
"""Seconds from the end that the supervisor makes to the one that the backend makes."""
_SOON, _LATER, _IDLE = 0.2, 1.0, 5.0
"""Seconds between two looks at the live logs: after something was new; after nothing was for a while, while tasks run,
and while all wait."""
_SHARE = 0.06
"""Of a core, that looking may take."""
_RENEWAL = 600.0
_MOST_LINKS = 5
"""Times that an attempt is submitted because its links had expired: the clocks may be wrong."""
_TRIES = 12
_PAUSE = 10.0


class RunLabels(NamedTuple):
    """Whose jobs they are."""

    flow: str
    run: str
    user: str


class _Seen(NamedTuple):
    """One look at the storage: lines, attempts that show first signs of life, and such that have ended.

    `busy` is how many seconds it has kept a core busy.
    """

    news: Sequence[tuple[Attempt, str, list[Line]]] = ()
    begun: Sequence[Attempt] = ()
    ended: Sequence[Attempt] = ()
    busy: float = 0.0


class RemoteLauncher:
    """Runs tasks as jobs of a backend (`metaflow.compute.protocol.Launcher`).

    Parameters
    ----------
    backend : JobBackend
        Runs the jobs.
    storage : Storage
        Where the run's data are, for both sides.
    labels : RunLabels
        The run.
    packages : callable
        Uploads what a task needs, unless it is there, and returns where, with links signed now; called in a thread.
    environment : mapping of str to str
        Variables for every task: settings that hold on both sides.
    grace : float
        Seconds between the polite and the forced end of a task that is cancelled.
    log_bytes : int, optional
        Most bytes kept of each stream of a task.
    """

    stores_logs = True

    def __init__(
        self,
        backend: JobBackend,
        storage: Storage,
        labels: RunLabels,
        packages: Callable[[], Sequence[Package]],
        environment: Mapping[str, str],
        grace: float = GRACE,
        log_bytes: int | None = None,
    ) -> None:
        self._log_bytes = log_bytes
        self._grace = grace
        self.kind = backend.kind
        self._backend = backend
        self._storage = storage
        self._labels = labels
        self._make_packages = packages
        self._environment = environment
        self._packages: Sequence[Package] = ()
        self._requests: dict[int, TaskRequest] = {}
        self._followed: dict[int, Attempt] = {}
        self._started: set[int] = set()
        self._links: dict[int, int] = {}
        self._cancelled: set[int] = set()
        self._concluding: set[int] = set()
        self._logs = SegmentReader(storage, f"{labels.flow}/{labels.run}")
        self._reading = asyncio.Lock()  # of the logs: by one thread at a time
        self._is_new = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self, report: Callable[[Report], None]) -> None:
        self._report = report
        packages = asyncio.to_thread(self._make_packages)
        self._packages, _ = await asyncio.gather(packages, self._backend.open(self._on_job))
        self._start(self._renew_links())
        self._start(self._follow())

    async def preflight(self, requests: Mapping[str, ResourceRequest]) -> list[Problem]:
        return await self._backend.preflight(requests)

    def submit(self, request: TaskRequest) -> None:
        self._requests[request.task] = request
        self._followed[request.task] = Attempt(request.step, request.task, request.attempt)
        self._is_new.set()
        command = request.command
        limit = request.time_limit or DEFAULT_TIME_LIMIT
        boot = boot_variable(
            self._packages,
            script=command.script,
            module=command.module,
            command=command.arguments,
            storage=(self._storage.kind, self._storage.root),
            task=f"{self._labels.flow}/{self._labels.run}/{request.step}/{request.task}",
            attempt=request.attempt,
            time_limit=limit,
            grace=self._grace,
            log_bytes=self._log_bytes,
        )
        labels = {
            **self._labels._asdict(),
            "step": request.step,
            "task": str(request.task),
            "attempt": str(request.attempt),
        }
        if request.task in self._links:
            labels["link"] = str(self._links[request.task])
        container = {CONTAINER: f"{self.kind} {request.resources.image}"}
        environment = {**self._environment, **command.environment, **container, **boot}
        self._backend.submit(
            Job(
                request.task,
                request.attempt,
                request.step,
                argv(request.resources.options.get("executable")),
                environment,
                labels,
                request.resources,
                limit + _MARGIN,
            )
        )

    def cancel(self, task: int) -> None:
        if task in self._requests:
            self._cancelled.add(task)
            self._backend.cancel(task)

    async def close(self) -> Sequence[str]:
        self._report = lambda report: None
        try:
            await self._backend.close()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await asyncio.to_thread(self._logs.delete_markers)
        return ()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- what comes in ----------------------------------------------------------------------------------------------

    def _on_job(self, report: JobReport) -> None:
        request = self._requests.get(report.task)
        if request is None or request.attempt != report.attempt:
            return
        match report:
            case Waiting():
                self._report(report)
            case JobStarted(task, attempt, where, facts):
                self._started.add(task)
                self._is_new.set()
                self._report(Started(task, attempt, where, facts))
            case JobEnded():
                self._conclude_soon(request, report)

    def _conclude_soon(self, request: TaskRequest, job: JobEnded, is_told: bool = False) -> None:
        """Conclude an attempt once: its own word and the backend's may cross."""
        if request.task in self._concluding:
            return
        self._concluding.add(request.task)
        self._followed.pop(request.task, None)
        self._started.discard(request.task)
        self._start(self._conclude(request, job, is_told))

    async def _renew_links(self) -> None:
        """Have the links signed anew: those signed with credentials for an hour expire with them."""
        while True:
            await asyncio.sleep(_RENEWAL)
            try:
                self._packages = await asyncio.to_thread(self._make_packages)
            except MetaflowException:
                continue  # the storage is away; the next time is soon enough

    async def _follow(self) -> None:
        """Show what the tasks print, and hear which have ended, while there are any.

        What a task has stored is often seen before the backend says that it runs: a kubelet takes its time.
        """
        pace = _SOON
        while True:
            if not self._followed:
                self._is_new.clear()
                await self._is_new.wait()
            if self._is_new.is_set():
                self._is_new.clear()
                pace = _SOON
            began = time.monotonic()
            async with self._reading:
                try:
                    seen = await asyncio.to_thread(self._look, list(self._followed.values()), frozenset(self._started))
                except StorageUnavailable:
                    seen = _Seen()  # the log is whole in the end; whether the storage comes back is seen there
                for attempt, stream, lines in seen.news:
                    self._show(attempt, stream, lines)
            for attempt in seen.begun:
                self._backend.notice_started(attempt.task)
            for attempt in seen.ended:
                self._on_end_marker(attempt)
            pace = _SOON if any(seen[:3]) else min(pace * 1.2, _LATER if self._started else _IDLE)
            await self._pause(max(_SOON, 3 * (time.monotonic() - began), seen.busy / _SHARE), pace)

    def _look(self, attempts: Sequence[Attempt], started: Container[int]) -> _Seen:
        """See what is new in the storage; in a thread."""
        began = time.thread_time()
        news = self._logs.news([attempt for attempt in attempts if attempt.task in started])
        begun = [each for each in attempts if each.task not in started and self._logs.has_begun(each)]
        ended = [each for each in attempts if self._is_told(each)]
        return _Seen(news, begun, ended, time.thread_time() - began)

    def _is_told(self, attempt: Attempt) -> bool:
        """Tell whether all is known of an attempt's end: of one that was stopped, the backend knows by whom."""
        mark = self._logs.mark(attempt)
        return mark == END or (mark is not None and attempt.task in self._cancelled)

    async def _pause(self, least: float, usual: float) -> None:
        """Wait; beyond `least` no longer than until something is submitted or starts."""
        await asyncio.sleep(least)
        if usual > least:
            try:
                async with asyncio.timeout(usual - least):
                    await self._is_new.wait()
            except TimeoutError:
                pass

    def _on_end_marker(self, attempt: Attempt) -> None:
        """Conclude a task that says itself that it has ended: the backend's word takes a second longer."""
        request = self._requests.get(attempt.task)
        if attempt.task in self._started and self._followed.get(attempt.task) == attempt and request is not None:
            self._backend.abandon(attempt.task)
            self._conclude_soon(request, JobEnded(attempt.task, attempt.attempt, None), is_told=True)

    def _show(self, attempt: Attempt, stream: str, lines: list[Line]) -> None:
        for line in lines:
            moment = line.time.replace(tzinfo=UTC).timestamp() if line.time else time.time()
            self._report(Output(attempt.task, attempt.attempt, stream, [line.text], moment))

    async def _conclude(self, request: TaskRequest, job: JobEnded, is_told: bool) -> None:
        """Show the rest of the log, read the outcome, and report the end; `is_told`: the task itself has told it."""
        attempt = Attempt(request.step, request.task, request.attempt)
        try:
            outcome = await self._read(attempt, is_told)
        except Exception as error:  # noqa: BLE001 - whatever it is, the task must get its end
            message = error.message if isinstance(error, MetaflowException) else repr(error)
            outcome = Outcome()
            job = job._replace(failure=TaskLost(f"how the step '{request.step}' ended cannot be read: {message}"))
        if outcome.end is None and job.code == LINK_EXPIRED and self._may_submit_again(request):
            await self._submit_again(request)
            return
        if outcome.end is None and job.tail:
            self._report(Output(request.task, request.attempt, "stderr", job.tail, time.time()))
        end = outcome.end
        failure = failure_of_job(request.step, job, end) if outcome.report is None else None
        facts = {**job.facts, **outcome.facts}
        if end is not None and end.peak_mb is not None:
            facts[PEAK_FACT] = f"{end.peak_mb:.0f}"
        self._links.pop(request.task, None)
        del self._requests[request.task]
        self._concluding.discard(request.task)
        self._cancelled.discard(request.task)
        code, number = (end.code, end.signal) if end is not None else (job.code, None)
        self._report(Ended(request.task, request.attempt, code, number, outcome.report, failure, facts))

    def _may_submit_again(self, request: TaskRequest) -> bool:
        return request.task not in self._cancelled and self._links.get(request.task, 1) < _MOST_LINKS

    async def _submit_again(self, request: TaskRequest) -> None:
        """Submit an attempt whose job has waited for longer than its links are good for, with links signed now."""
        self._links[request.task] = self._links.get(request.task, 1) + 1
        try:
            self._packages = await asyncio.to_thread(self._make_packages)
        except MetaflowException:
            pass  # the storage is away: those that were signed last
        self._concluding.discard(request.task)
        if request.task in self._cancelled:
            self._conclude_soon(request, JobEnded(request.task, request.attempt, None, cancelled(request.step)))
        else:
            self._report(Waiting(request.task, request.attempt, "its links to the code had expired: it is sent again"))
            self.submit(request)

    async def _read(self, attempt: Attempt, is_told: bool) -> Outcome:
        """Show the rest of the log and return the outcome object; wait for a storage that is away."""
        is_shown = False
        for tries_left in range(_TRIES - 1, -1, -1):
            try:
                if not is_shown:
                    if is_told:
                        rest = await asyncio.to_thread(self._logs.rest, attempt)
                    else:
                        async with self._reading:
                            rest = await asyncio.to_thread(self._logs.complete, attempt)
                    is_shown = True
                    for stream, lines in rest:
                        self._show(attempt, stream, lines)
                return await asyncio.to_thread(self._outcome, attempt)
            except StorageUnavailable:
                if not tries_left:
                    raise
                await asyncio.sleep(_PAUSE)
        raise AssertionError

    def _outcome(self, attempt: Attempt) -> Outcome:
        task = f"{self._labels.flow}/{self._labels.run}/{attempt.step}/{attempt.task}"
        return Outcome.from_bytes(next(iter(self._storage.get([layout.outcome(task, attempt.attempt)])))[1])
