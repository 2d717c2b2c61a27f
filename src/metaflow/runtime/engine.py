"""The engine: one asyncio loop that carries out what the scheduler decides, and tells it what came of it.

It owns the clock, the signals, the console and the stored logs; it decides nothing about which task runs. A launcher
reports on this loop; each report becomes a line, a stored log, or an event for the scheduler.

Start reading at `Engine.run`.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, assert_never

from metaflow.compute.command import FlowCommand
from metaflow.compute.protocol import Ended, Launcher, Output, Report, Started, TaskRequest, Waiting
from metaflow.exception import MetaflowException, TaskFailed, TaskTimedOut
from metaflow.metadata_provider.entries import without_facts
from metaflow.metadata_provider.lease import RENEWED_EVERY, Lease, NoLease
from metaflow.metadata_provider.protocol import Fact, Provider, TaskPath
from metaflow.runtime import preflight
from metaflow.runtime.console import Console, StepCount, TaskLabel
from metaflow.runtime.events import (
    Cancelled,
    Event,
    Finish,
    Instruction,
    Launch,
    RetryDue,
    Stop,
    TaskEnded,
    TaskRef,
    Wait,
)
from metaflow.runtime.inputs import encode_input_paths
from metaflow.runtime.policy import StepPolicy
from metaflow.runtime.scheduler import Scheduler
from metaflow.runtime.verdict import Judge, Verdict
from metaflow.store.layout import PARAMETERS
from metaflow.store.logs.task_logs import TaskLog, TaskLogs
from metaflow.store.protocol import Storage

if TYPE_CHECKING:
    from metaflow.flow.graph import Graph
    from metaflow.runtime.resume import Resumption


class RunOptions:
    """How a run is carried out: the options of the command line.

    Parameters
    ----------
    max_workers : int
        Most tasks at a time.
    max_splits : int
        Widest foreach.
    max_log_bytes : int
        Most bytes kept of each stream of a task.
    system_tags : tuple of str
        The run's.
    preflight : str
        One of `metaflow.runtime.preflight.MODES`.
    """

    def __init__(
        self,
        max_workers: int = 16,
        max_splits: int = 100,
        max_log_bytes: int = 10_000_000,
        system_tags: tuple[str, ...] = (),
        preflight: str = "warn",
    ) -> None:
        self.max_workers = max_workers
        self.max_splits = max_splits
        self.max_log_bytes = max_log_bytes
        self.system_tags = system_tags
        self.preflight = preflight


class Place(NamedTuple):
    """Where the tasks of some steps run.

    Attributes
    ----------
    launcher : Launcher
        Runs them.
    command : FlowCommand
        What their command lines have in common.
    carries : bool
        Whether they cannot reach the provider, and their facts come with their outcomes.
    """

    launcher: Launcher
    command: FlowCommand
    carries: bool = False


class _Running:
    __slots__ = ("is_stopped", "label", "launch", "log", "since")

    def __init__(self, launch: Launch, label: TaskLabel, log: TaskLog) -> None:
        self.launch = launch
        self.label = label
        self.log = log
        self.since = time.monotonic()
        self.is_stopped = False


class Engine:
    """Carries out one run.

    Parameters
    ----------
    flow, run : str
        Names.
    graph : Graph
        The flow.
    places : mapping of str to Place
        Backend name to where its tasks run; has every backend that a policy asks for.
    storage, metadata
        Where the run is kept.
    options : RunOptions
        Limits.
    policy : callable
        Step name to `StepPolicy`.
    resumption : Resumption, optional
        Of a run that goes on from another: takes over what had finished.
    lease : Lease, optional
        The run's, taken: renewed while the run lives.

    Attributes
    ----------
    failures : dict of int to TaskFailed
        Of each task that failed: why its latest attempt did.
    interrupted : int or None
        Number of the signal that ended the run.
    """

    def __init__(
        self,
        flow: str,
        run: str,
        graph: Graph,
        places: Mapping[str, Place],
        storage: Storage,
        metadata: Provider,
        options: RunOptions,
        policy: Callable[[str], StepPolicy] = lambda step: StepPolicy(),
        resumption: Resumption | None = None,
        lease: Lease | None = None,
    ) -> None:
        self._resumption = resumption
        self._lease = lease or NoLease()
        self._flow = flow
        self._run = run
        self._graph = graph
        self._places = places
        self._storage = storage
        self._metadata = metadata
        self._options = options
        self._policy = policy
        self._scheduler = Scheduler(
            {name for name, node in graph.nodes.items() if node.is_join},
            slots=options.max_workers,
            max_splits=options.max_splits,
            retries=lambda step: policy(step).retries,
        )
        self._logs = TaskLogs(storage, options.max_log_bytes)
        self._running: dict[int, _Running] = {}
        self._done: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self._judge = Judge(flow, run, graph, storage, metadata, options.system_tags)
        self._judging: set[asyncio.Task[Verdict]] = set()
        self._whereabouts = {"ds-type": storage.kind, "ds-root": storage.root}
        self.failures: dict[int, TaskFailed] = {}
        self.interrupted: int | None = None

    async def run(
        self, console: Callable[[asyncio.AbstractEventLoop], Console], *, handle_signals: bool = True
    ) -> Finish:
        """Run the flow to its end and return how it ended.

        With `handle_signals`, SIGINT, SIGTERM and SIGHUP end it in good order; possible in the main thread only.
        """
        self._loop = asyncio.get_running_loop()
        self._console = console(self._loop)
        self._finished: asyncio.Future[Finish] = self._loop.create_future()
        signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if handle_signals else ()
        for number in signals:
            self._loop.add_signal_handler(number, self._interrupt, number)
        started = time.monotonic()
        self._renew()
        try:
            await self._unless_interrupted(self._open_places())
            if not self._finished.done():
                self._console.run(f"Workflow starts (run-id {self._run}).")
                self._perform(self._scheduler.start(self._graph.start, TaskRef(PARAMETERS, 0)))
            finish = await self._finished
            if self._resumption:
                self._resumption.settle()
            await self._logs.close()
            self._conclude(finish, time.monotonic() - started)
            return finish
        finally:
            closing = (place.launcher.close() for place in self._places.values())
            troubles = [each for each in await asyncio.gather(*closing, return_exceptions=True) if each is not None]
            for trouble in troubles:  # the run has its end; what a place could not let go of is worth a word
                hint = f" ({trouble.hint})" if isinstance(trouble, MetaflowException) and trouble.hint else ""
                self._console.run(f"{trouble}{hint}")
            self._console.close()
            await self._logs.close()
            for number in signals:
                self._loop.remove_signal_handler(number)

    def _renew(self) -> None:
        self._lease.renew()
        self._loop.call_later(RENEWED_EVERY, self._renew)

    async def _unless_interrupted(self, work: Coroutine[Any, Any, None]) -> None:
        """Wait for `work`, or until a signal has ended the run."""
        task = self._loop.create_task(work)
        either: set[asyncio.Future[Any]] = {task, self._finished}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        else:
            task.cancel()
            await asyncio.wait([task])

    async def _open_places(self) -> None:
        await asyncio.gather(*(place.launcher.open(self._on_report) for place in self._places.values()))
        if self._options.preflight == "off":
            return
        launchers = {backend: place.launcher for backend, place in self._places.items()}
        requests = {step: self._policy(step).resources for step in self._graph.nodes}
        for sentence in preflight.judge(await preflight.ask(launchers, requests), self._options.preflight):
            self._console.run(f"Warning: {sentence}")

    # --- instructions -----------------------------------------------------------------------------------------------

    def _tell(self, event: Event) -> None:
        try:
            self._perform(self._scheduler.handle(event))
        except Exception as error:  # noqa: BLE001 - an error in a callback must end the run, not vanish in the loop
            self._break_down(error)

    def _perform(self, instructions: list[Instruction]) -> None:
        for instruction in instructions:
            match instruction:
                case Launch():
                    if not self._take_over(instruction):
                        self._launch(instruction)
                case Wait(task, step, attempt, delay):
                    self._console.run(f"The task {task} of the step {step} is tried again in {delay:.0f} s.")
                    self._loop.call_later(delay, self._tell, RetryDue(task, attempt))
                case Stop(task):
                    self._stop(task)
                case Finish():
                    if not self._finished.done():
                        self._finished.set_result(instruction)
                case _ as never:
                    assert_never(never)

    def _stop(self, task: int) -> None:
        running = self._running.get(task)
        if running is not None:  # else it has ended, and its end is being judged
            running.is_stopped = True
            self._place(running.launch.step).launcher.cancel(task)

    def _take_over(self, launch: Launch) -> bool:
        if self._resumption is None or launch.attempt > 0:
            return False
        taken = self._resumption.take_over(launch)
        if self._resumption.remark:
            self._console.run(self._resumption.remark)
            self._resumption.remark = ""
        if taken is None:
            return False
        origin, report = taken
        self._console.run(f"[{self._run}/{launch.step}/{launch.task}] Task taken over from {origin}.")
        self._done[launch.step] += 1
        self._loop.call_soon(self._tell, TaskEnded(launch.task, 0, report, taken_over=True))
        return True

    def _launch(self, launch: Launch) -> None:
        task = TaskPath(self._flow, self._run, launch.step, str(launch.task))
        label = TaskLabel(self._run, launch.step, launch.task, "waiting")
        log = self._logs.open(str(task), launch.attempt)
        self._running[launch.task] = _Running(launch, label, log)
        policy = self._policy(launch.step)
        place = self._place(launch.step)
        if self._resumption:
            self._resumption.settle()
        if launch.attempt:
            self._note_retry(launch, policy)
        command = place.command.step(
            launch.step,
            launch.task,
            attempt=launch.attempt,
            retries=launch.last_attempt,
            input_paths=encode_input_paths(self._run, launch.inputs),
            split_index=launch.split_index,
            environment=policy.environment,
            origin_run=self._resumption.origin_run if self._resumption else None,
            max_splits=self._options.max_splits if self._graph[launch.step].kind == "foreach" else None,
        )
        place.launcher.submit(
            TaskRequest(launch.task, launch.step, launch.attempt, command, policy.resources, policy.time_limit)
        )

    def _note_retry(self, launch: Launch, policy: StepPolicy) -> None:
        """Record why and when there is another attempt."""
        earlier = self.failures[launch.task]
        waited = policy.retries.delay_before(launch.attempt) if launch.attempt <= launch.last_attempt else 0.0
        facts = {
            "retry-reason": f"{earlier.kind}: {earlier.message}",
            "retry-of": f"attempt {launch.attempt - 1} of at most {launch.last_attempt + 1}",
            "minutes_between_retries": f"{waited / 60:g}",
        }
        self._note(launch, facts)

    def _place(self, step: str) -> Place:
        return self._places[self._policy(step).resources.backend]

    # --- reports ----------------------------------------------------------------------------------------------------

    def _on_report(self, report: Report) -> None:
        try:
            match report:
                case Waiting(task, _, reason):
                    self._console.status(self._running[task].label, f"Task is waiting: {reason}")
                case Started():
                    self._on_started(report)
                case Output():
                    self._on_output(report)
                case Ended():
                    self._on_ended(report)
                case _ as never:
                    assert_never(never)
        except Exception as error:  # noqa: BLE001 - see _tell
            self._break_down(error)

    def _on_started(self, started: Started) -> None:
        running = self._running[started.task]
        running.since = time.monotonic()
        running.label = running.label._replace(where=started.where)
        place = self._place(running.launch.step)
        if place.carries:
            path = TaskPath(self._flow, self._run, running.launch.step, str(started.task))
            self._metadata.register_task(path, tags=place.command.tags, system_tags=self._options.system_tags)
            self._note(running.launch, {"attempt": str(started.attempt), **self._whereabouts})
        self._console.status(running.label, "Task starts." if started.attempt == 0 else "Task starts (retry).")
        self._console.progress(self._counts)
        self._note(running.launch, started.facts)

    def _note(self, launch: Launch, facts: Mapping[str, str]) -> None:
        if facts:
            path = TaskPath(self._flow, self._run, launch.step, str(launch.task))
            self._metadata.record(path, launch.attempt, [Fact(name, value, name) for name, value in facts.items()])

    def _on_output(self, output: Output) -> None:
        running = self._running[output.task]
        lines = output.lines
        if not self._place(running.launch.step).launcher.stores_logs:
            lines = running.log.append(output.stream, lines, output.time)
        self._console.task(running.label, [line.decode("utf-8", "replace") for line in lines], output.time)

    def _on_ended(self, ended: Ended) -> None:
        running = self._running.pop(ended.task)
        limit = self._policy(running.launch.step).time_limit
        if limit is not None and ended.code == 1 and time.monotonic() - running.since >= limit:
            sentence = f"the step '{running.launch.step}' took longer than its @timeout and did not react to it"
            ended = ended._replace(failure=TaskTimedOut(sentence, limit_seconds=limit))
        launch = running.launch
        if ended.report is not None:
            for entry in without_facts(ended.report.entries, ("attempt", *self._whereabouts)):
                entry.write(self._metadata)
        self._note(launch, ended.facts)
        tags = self._place(launch.step).command.tags
        if self._storage.concurrency > 1 and not (ended.report and ended.report.ok):
            work = asyncio.to_thread(self._judge.of, launch, ended, tags, is_stopped=running.is_stopped)
            judging = self._loop.create_task(work)
            self._judging.add(judging)
            judging.add_done_callback(lambda done: self._on_judged(running, done))
        else:
            self._settle(running, self._judge.of(launch, ended, tags, is_stopped=running.is_stopped))

    def _on_judged(self, running: _Running, judging: asyncio.Task[Verdict]) -> None:
        self._judging.discard(judging)
        try:
            self._settle(running, judging.result())
        except Exception as error:  # noqa: BLE001 - see _tell
            self._break_down(error)

    def _settle(self, running: _Running, verdict: Verdict) -> None:
        launch, report = running.launch, verdict.report
        if report.failure is None:
            self._done[launch.step] += 1
            took = time.monotonic() - running.since
            width = f" It opens a foreach of {report.width} tasks." if report.width is not None else ""
            self._console.status(running.label, f"Task done in {took:.2f} s.{width}")
        else:
            self._failed[launch.step] += 1
            self.failures[launch.task] = report.failure
            self._on_failure(running, verdict, report.failure)
        running.log.close()
        self._console.progress(self._counts)
        self._tell(TaskEnded(launch.task, launch.attempt, report))

    def _on_failure(self, running: _Running, verdict: Verdict, failure: TaskFailed) -> None:
        if running.is_stopped and failure.kind == "cancelled":
            self._console.status(running.label, "Task ended, since the run ends.")
            return
        if not verdict.is_told:
            # The process died without a word; say it where its words would be.
            now = time.time()
            lines = [f"{failure.message[0].upper()}{failure.message[1:]}."]
            lines += [f"    hint: {failure.hint}"] if failure.hint else []
            self._console.task(running.label, lines, now)
            if verdict.trouble is None:
                running.log.append("stderr", [line.encode() for line in lines], now)
        if verdict.trouble is not None:
            self._console.status(running.label, f"Its end could not be recorded. {verdict.trouble.message}")
        self._console.status(running.label, "Task failed.")

    # --- signals and the end ----------------------------------------------------------------------------------------

    def _interrupt(self, number: int) -> None:
        name = {signal.SIGINT: "Ctrl-C", signal.SIGHUP: "the terminal was closed"}.get(
            signal.Signals(number), signal.Signals(number).name
        )
        if self.interrupted is None:
            self.interrupted = number
            self._console.run(f"Interrupted ({name}): {len(self._running)} running tasks are ended.")
        self._tell(Cancelled(f"interrupted ({name})"))

    def _break_down(self, error: Exception) -> None:
        if not self._finished.done():
            self._finished.set_exception(error)

    def _conclude(self, finish: Finish, seconds: float) -> None:
        tasks = sum(self._done.values())
        if finish.ok:
            self._console.run(f"Workflow done in {seconds:.2f} s: {tasks} tasks.")
            return
        self._console.run("Workflow failed.")

    def _counts(self) -> list[StepCount]:
        running = Counter(running.launch.step for running in self._running.values())
        pending = self._scheduler.pending()
        return [
            StepCount(name, self._done[name], running[name], pending.get(name, 0), self._failed[name])
            for name in self._graph.nodes
        ]
