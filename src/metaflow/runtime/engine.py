"""The engine: one asyncio loop that defers_metadata out what the scheduler decides, and tells it what came of it.

Instructions become submissions, the launchers' reports become lines, stored logs and events. It decides nothing about
which task runs; what an end means is decided in `metaflow.compute.endings`, what is recorded of it is
`metaflow.runtime.run_record`'s matter, what is said of it `metaflow.runtime.messages`'s. Nothing here blocks the loop.

Start reading at `Engine.run`.
"""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, assert_never

from metaflow.compute.command import FlowCommand
from metaflow.compute.endings import AttemptResult, EndContext, classify_end
from metaflow.compute.protocol import Ended, Launcher, Output, Report, Started, TaskRequest, Waiting
from metaflow.exception import StorageUnavailable, TaskFailed
from metaflow.metadata_provider.lease import RENEWED_EVERY, Lease, NoLease
from metaflow.metadata_provider.protocol import Recorder
from metaflow.runtime import preflight
from metaflow.runtime.clock import SYSTEM, Clock
from metaflow.runtime.console import Console, TaskLabel
from metaflow.runtime.events import (
    Cancelled,
    Event,
    Finish,
    Instruction,
    Launch,
    RetryDue,
    Start,
    Stop,
    TaskEnded,
    TaskRef,
    Wait,
)
from metaflow.runtime.inputs import encode_input_paths
from metaflow.runtime.messages import Messages, lines_of
from metaflow.runtime.places import Places
from metaflow.runtime.policy import StepPolicy
from metaflow.runtime.reuse import Reuse, Reused
from metaflow.runtime.run_record import RunRecord
from metaflow.runtime.scheduler import Scheduler
from metaflow.store.layout import PARAMETERS
from metaflow.store.logs.task_logs import TaskLog, TaskLogs
from metaflow.store.protocol import Storage

if TYPE_CHECKING:
    from metaflow.flow.graph import Graph

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_AGAIN = 0.5
"""Seconds after which Ctrl-C counts as pressed again: programs that run this one pass on what it has had already."""

_SIGNAL_NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGHUP: "the terminal was closed"}


class EngineOptions(NamedTuple):
    """How a run is carried out: the options of the command line.

    Attributes
    ----------
    max_workers : int
        Maximum number of tasks at a time.
    max_splits : int
        Maximum number of tasks that a foreach may open.
    max_log_bytes : int
        Maximum number of bytes kept of each stream of a task.
    system_tags : tuple of str
        The run's.
    preflight : str
        One of `metaflow.runtime.preflight.MODES`.
    """

    max_workers: int = 16
    max_splits: int = 100
    max_log_bytes: int = 10_000_000
    system_tags: tuple[str, ...] = ()
    preflight: str = "warn"


class Target(NamedTuple):
    """Where the tasks of some steps run.

    Attributes
    ----------
    launcher : Launcher
        Runs them.
    command : FlowCommand
        What their command lines have in common.
    defers_metadata : bool
        Whether they cannot reach the run's metadata, and what they record comes home with their reports.
    """

    launcher: Launcher
    command: FlowCommand
    defers_metadata: bool = False


class Scheduling(Protocol):
    """What decides which tasks run."""

    def handle(self, event: Event) -> list[Instruction]:
        """Take in an event and return what is to be done, in order."""

    def pending(self) -> dict[str, int]:
        """Return the number of ready tasks that wait for a slot, by step."""


class _Attempt:
    """One attempt, from its launch until its end is told to the scheduler."""

    __slots__ = ("branches", "has_started", "is_stopped", "label", "launch", "log", "policy", "since", "target")

    def __init__(
        self,
        launch: Launch,
        branches: tuple[str, ...],
        label: TaskLabel,
        log: TaskLog,
        target: Target,
        policy: StepPolicy,
        since: float,
    ) -> None:
        self.launch = launch
        self.branches = branches  # that its step does not tell
        self.label = label
        self.log = log
        self.target = target
        self.policy = policy
        self.since = since  # when it was launched, then when it started
        self.has_started = False
        self.is_stopped = False


class Engine:
    """Carries out one run.

    Parameters
    ----------
    flow, run : str
        Names.
    graph : Graph
        The flow.
    targets : mapping of str to Target
        Backend name to where its tasks run; has every backend that a policy asks for.
    storage, recorder
        Where the run is kept.
    options : EngineOptions
        Limits.
    policy : callable
        Step name to `StepPolicy`.
    reuse : Reuse, optional
        Where earlier tasks are looked for that stand for tasks of this run.
    lease : Lease, optional
        The run's, taken: renewed while the run lives.
    clock : Clock
        The time.
    scheduler : Scheduling, optional
        Decides what runs; by default a `Scheduler` for the whole graph.
    messages : type of Messages
        What is told.

    Attributes
    ----------
    failures : dict of int to TaskFailed
        Of each task that failed: why its latest attempt did.
    interrupted : int or None
        Number of the signal that ended the run; SIGINT if `cancel` did.
    """

    def __init__(
        self,
        flow: str,
        run: str,
        graph: Graph,
        targets: Mapping[str, Target],
        storage: Storage,
        recorder: Recorder,
        options: EngineOptions,
        policy: Callable[[str], StepPolicy] = lambda step: StepPolicy(),
        reuse: Reuse | None = None,
        lease: Lease | None = None,
        clock: Clock = SYSTEM,
        scheduler: Scheduling | None = None,
        messages: type[Messages] = Messages,
    ) -> None:
        self._run_id = run
        self._graph = graph
        self._targets = targets
        self._options = options
        self._policy = policy
        self._reuse = reuse
        self._lease = lease or NoLease()
        self._recorder = recorder
        self._clock = clock
        self._make_messages = messages
        self._scheduler: Scheduling = scheduler or Scheduler(
            graph.joins,
            slots=options.max_workers,
            max_splits=options.max_splits,
            retries=lambda step: policy(step).retries,
            lists_of_one=graph.lists_of_one,
            numbering=recorder.numbering(flow, run),
        )
        self._places = Places(graph)
        self._logs = TaskLogs(storage, options.max_log_bytes)
        self._record = RunRecord(flow, run, graph, storage, recorder, options.system_tags, self._break_down)
        self._attempts: dict[int, _Attempt] = {}
        self._works: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._cancelled = ""
        self._pressed_at = 0.0  # Ctrl-C
        self.failures: dict[int, TaskFailed] = {}
        self.interrupted: int | None = None

    async def run(
        self, console: Callable[[asyncio.AbstractEventLoop], Console], *, handle_signals: bool = True
    ) -> Finish:
        """Run the flow to its end and return how it ended.

        Parameters
        ----------
        console : callable
            Makes the console, given the loop.
        handle_signals : bool
            Whether SIGINT, SIGTERM and SIGHUP end it in good order; possible in the main thread only. One that is
            ignored, as under ``nohup`` and in the background of a script, stays ignored.
        """
        signals = [number for number in _SIGNALS if handle_signals and signal.getsignal(number) != signal.SIG_IGN]
        loop = asyncio.get_running_loop()
        self._finished: asyncio.Future[Finish] = loop.create_future()
        steps = list(self._graph.nodes)
        self._messages = self._make_messages(self._run_id, console(loop), steps, self._clock, self._occupied)
        self._loop = loop
        for number in signals:
            loop.add_signal_handler(number, self._interrupt, number, _SIGNAL_NAMES.get(number, number.name))
        if self._cancelled:
            self._interrupt(signal.SIGINT, self._cancelled)
        renewing = loop.create_task(self._renew_lease())
        try:
            await self._unless_interrupted(self._open_targets())
            if not self._finished.done():
                self._messages.run_starts()
                self._tell(Start(self._graph.start, TaskRef(PARAMETERS, 0)))
            finish = await self._finished
            if self._reuse is not None:
                await self._reuse.written()
            await self._record.written()
            await self._logs.close()
            await asyncio.to_thread(self._lease.check)
            self._messages.run_ends(finish)
            return finish
        finally:
            renewing.cancel()
            for number in signals:
                loop.remove_signal_handler(number)
            closing = (target.launcher.close() for target in self._targets.values())
            for closed in await asyncio.gather(*closing, return_exceptions=True):
                if isinstance(closed, BaseException):  # the run has its end; what a target holds on to is worth a word
                    self._messages.trouble(closed)
                else:
                    for sentence in closed:
                        self._messages.remark(sentence)
            await self._end_works()
            self._messages.close()
            await self._logs.close()
            self._loop = None

    def cancel(self, reason: str = "cancelled") -> None:
        """End the run, now or as soon as it begins; may be called from any thread."""
        if self._loop is None:
            self._cancelled = reason
        else:
            self._loop.call_soon_threadsafe(self._interrupt, signal.SIGINT, reason)

    async def _renew_lease(self) -> None:
        told = ""
        while True:
            await asyncio.sleep(RENEWED_EVERY)
            running = [self._record.path(attempt.launch) for attempt in self._attempts.values() if attempt.has_started]
            await asyncio.to_thread(self._lease.renew, running)
            trouble = self._recorder.trouble
            if trouble and not told:
                self._messages.warning(trouble)
            told = trouble

    async def _unless_interrupted(self, work: Coroutine[Any, Any, None]) -> None:
        """Wait for `work`, or until somebody has ended the run."""
        task = asyncio.create_task(work)
        either: set[asyncio.Future[Any]] = {task, self._finished}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        else:
            task.cancel()
            await asyncio.wait([task])

    async def _open_targets(self) -> None:
        await asyncio.gather(*(target.launcher.open(self._on_report) for target in self._targets.values()))
        if self._options.preflight == "off":
            return
        launchers = {backend: target.launcher for backend, target in self._targets.items()}
        requests = {step: self._policy(step).resources for step in self._graph.nodes}
        for sentence in preflight.judge(await preflight.ask(launchers, requests), self._options.preflight):
            self._messages.warning(sentence)

    # --- instructions -----------------------------------------------------------------------------------------------

    def _tell(self, event: Event) -> None:
        try:
            for instruction in self._scheduler.handle(event):
                self._perform(instruction)
        except Exception as error:  # noqa: BLE001 - an error in a callback must end the run, not vanish in the loop
            self._break_down(error)

    def _perform(self, instruction: Instruction) -> None:
        match instruction:
            case Launch():
                self._launch(instruction)
            case Wait(task, _, attempt, delay):
                self._messages.retry(instruction)
                asyncio.get_running_loop().call_later(delay, self._tell, RetryDue(task, attempt))
            case Stop(task):
                attempt_of_task = self._attempts.get(task)
                if attempt_of_task is not None:  # else it has ended, and its end is being classified
                    attempt_of_task.is_stopped = True
                    attempt_of_task.target.launcher.cancel(task)
            case Finish():
                if not self._finished.done():
                    self._finished.set_result(instruction)
            case _ as never:
                assert_never(never)

    def _launch(self, launch: Launch) -> None:
        policy = self._policy(launch.step)
        self._attempts[launch.task] = attempt = _Attempt(
            launch,
            self._branches(launch),
            TaskLabel(self._run_id, launch.step, launch.task, "waiting"),
            self._logs.open(str(self._record.path(launch)), launch.attempt),
            self._targets[policy.resources.backend],
            policy,
            self._clock.elapsed(),
        )
        self._record.launched(launch, attempt.target.command.tags)
        if launch.attempt:
            retries = policy.retries
            waited = retries.delay_before(launch.attempt) if launch.attempt <= launch.last_attempt else 0.0
            self._record.retried(launch, self.failures[launch.task], waited)
        if self._reuse is None and self._record.is_readable(launch):
            self._submit(attempt)
        else:
            self._work_on(self._reuse_or_submit(attempt))

    def _branches(self, launch: Launch) -> tuple[str, ...]:
        spinning = self._targets[self._policy(launch.step).resources.backend].command.spinning
        if spinning is not None:
            return spinning.branches
        return self._places.of(launch).branches if self._places else ()

    async def _reuse_or_submit(self, attempt: _Attempt) -> None:
        launch = attempt.launch
        if self._reuse is not None and launch.attempt == 0:
            answer = await self._reuse.ask(launch)
            self._messages.remark(answer.remark)
            if isinstance(answer, Reused):
                del self._attempts[launch.task]
                self._messages.taken_over(launch, answer.origin)
                self._tell(TaskEnded(launch.task, 0, answer.report, taken_over=True))
                return
            await self._reuse.written()
        await self._record.readable(launch)
        self._submit(attempt)

    def _submit(self, attempt: _Attempt) -> None:
        launch, policy = attempt.launch, attempt.policy
        if attempt.is_stopped:  # while it was waited for what it may read
            self._on_report(Ended(launch.task, launch.attempt, None, None))
            return
        command = attempt.target.command.step(
            launch.step,
            launch.task,
            attempt=launch.attempt,
            retries=launch.last_attempt,
            input_paths=encode_input_paths(attempt.target.command.inputs_run, launch.inputs),
            split_index=launch.split_index,
            environment=policy.environment,
            origin_run=self._reuse.origin_run if self._reuse is not None else None,
            branches=attempt.branches,
            max_splits=self._options.max_splits if self._graph[launch.step].kind == "foreach" else None,
        )
        attempt.target.launcher.submit(
            TaskRequest(launch.task, launch.step, launch.attempt, command, policy.resources, policy.time_limit)
        )

    # --- reports ----------------------------------------------------------------------------------------------------

    def _on_report(self, report: Report) -> None:
        try:
            attempt = self._attempts[report.task]
            match report:
                case Waiting():
                    self._messages.task_waits(attempt.label, report.reason)
                case Started():
                    self._on_started(attempt, report)
                case Output():
                    self._on_output(attempt, report)
                case Ended():
                    self._on_ended(attempt, report)
                case _ as never:
                    assert_never(never)
        except Exception as error:  # noqa: BLE001 - see _tell
            self._break_down(error)

    def _on_started(self, attempt: _Attempt, started: Started) -> None:
        attempt.since = self._clock.elapsed()
        attempt.has_started = True
        attempt.label = attempt.label._replace(where=started.where)
        target = attempt.target
        self._record.started(attempt.launch, started, target.command.tags if target.defers_metadata else None)
        self._messages.task_starts(attempt.label, started.attempt)

    def _on_output(self, attempt: _Attempt, output: Output) -> None:
        if not attempt.target.launcher.stores_logs:
            attempt.log.append(output.stream, output.lines, output.time)
        self._messages.output(attempt.label, output.lines, output.time)

    def _on_ended(self, attempt: _Attempt, ended: Ended) -> None:
        del self._attempts[ended.task]
        self._record.ended(attempt.launch, ended)
        if ended.report is not None and ended.report.ok:
            self._conclude(attempt, classify_end(ended, self._context(attempt)))
        else:
            self._work_on(self._classify_failure(attempt, ended))

    async def _classify_failure(self, attempt: _Attempt, ended: Ended) -> None:
        """Conclude an attempt that failed, closed if it has not closed itself."""
        launch, context = attempt.launch, self._context(attempt)
        stored = await self._record.stored(launch)
        result = classify_end(ended, context, stored)
        failure, trouble = result.report.failure, None
        told = stored.failure if stored is not None else None
        if stored is None and failure is not None and launch.split_index is not None:
            opener = self._graph[launch.inputs[0].step]
            failure.at(f"{opener.foreach or 'foreach'}[{launch.split_index}]")
        try:
            if stored is None and failure is not None:
                await self._record.close(launch, failure, attempt.target.command.tags)
            elif told is not None and failure is not None and told.kind != failure.kind:
                await self._record.reclassify(launch, failure)  # the task could not know that it was we who ended it
        except StorageUnavailable as error:
            trouble = error
        self._conclude(attempt, result, trouble)

    def _context(self, attempt: _Attempt) -> EndContext:
        return EndContext(
            attempt.launch.step,
            self._graph[attempt.launch.step].next,
            attempt.is_stopped,
            self._clock.elapsed() - attempt.since,
            attempt.policy.time_limit,
        )

    def _conclude(self, attempt: _Attempt, result: AttemptResult, trouble: StorageUnavailable | None = None) -> None:
        launch, failure = attempt.launch, result.report.failure
        if failure is None:
            self._messages.task_done(attempt.label, self._clock.elapsed() - attempt.since, result.report.width)
        else:
            self.failures[launch.task] = failure
            if attempt.is_stopped and failure.kind == "cancelled":
                self._messages.task_stopped(attempt.label)
            else:
                if not result.is_told and trouble is None:
                    lines = [line.encode() for line in lines_of(failure)]
                    attempt.log.append("stderr", lines, self._clock.now())
                self._messages.task_failed(attempt.label, result, trouble)
        attempt.log.close()
        self._tell(TaskEnded(launch.task, launch.attempt, result.report))

    # --- work beside the loop, and the end --------------------------------------------------------------------------

    def _work_on(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._works.add(task)
        task.add_done_callback(self._on_work_done)

    def _on_work_done(self, task: asyncio.Task[None]) -> None:
        self._works.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self._break_down(error)

    async def _end_works(self) -> None:
        for task in list(self._works):
            task.cancel()
        await asyncio.gather(*self._works, return_exceptions=True)

    def _interrupt(self, number: int, how: str) -> None:
        now = self._clock.elapsed()
        if self.interrupted is not None:
            if number == signal.SIGINT and now - self._pressed_at >= _AGAIN:
                self._pressed_at = now
                for task, attempt in self._attempts.items():
                    if attempt.is_stopped:
                        attempt.target.launcher.cancel(task)
            return
        self.interrupted = number
        self._pressed_at = now
        local = any(attempt.target.launcher.kind == "local" for attempt in self._attempts.values())
        self._messages.interrupted(how, len(self._attempts), local)
        if not self._finished.done():
            self._tell(Cancelled(f"interrupted ({how})"))

    def _break_down(self, error: Exception) -> None:
        if not self._finished.done():
            self._finished.set_exception(error)

    def _occupied(self) -> tuple[Counter[str], dict[str, int]]:
        return Counter(attempt.launch.step for attempt in self._attempts.values()), self._scheduler.pending()
