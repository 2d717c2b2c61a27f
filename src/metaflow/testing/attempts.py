"""Attempts of tasks, in this process: the engine's part of a run under test.

`metaflow.runtime.task` runs the step and `metaflow.runtime.scheduler` says what comes next, as in any run. What differs
is that all tasks share this process, one after the other; that nobody waits before a retry; and that no task goes to a
backend. Start reading at `Attempts.run`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from threading import RLock
from typing import Any, NamedTuple, TypeVar

from metaflow.app.facts import contributions, system_facts, system_tags
from metaflow.app.loops import has_running_loop
from metaflow.app.workspace import Workspace
from metaflow.compute.report import TaskReport
from metaflow.exception import InvalidTestSetup, MetaflowException
from metaflow.flow.current import current
from metaflow.flow.failure import failure_of_error, user_frames
from metaflow.flow.plan import FlowPlan
from metaflow.metadata_provider.protocol import Recorder
from metaflow.runtime.events import Launch
from metaflow.runtime.inputs import encode_input_paths
from metaflow.runtime.policy import policy_of
from metaflow.runtime.task import Task, TaskPlan
from metaflow.runtime.task_process import SharedProcess
from metaflow.store.artifacts import TaskIndex, read_index
from metaflow.testing.inputs import missing_hint
from metaflow.testing.printed import PrintingTask, kept
from metaflow.testing.results import StepResult

T = TypeVar("T")

RUN = "test"
"""Id of a run under test: no run that is kept anywhere has such an id."""

_OF_THE_TASK = ("run_id", "task_id", "retry_count", "namespace", "username", "tempdir", "tags")
_FIXED = ("flow_name", "step_name", "origin_run_id", "parameter_names", "graph")

_environment = RLock()


class Attempt(NamedTuple):
    """How an attempt ended.

    Attributes
    ----------
    report : TaskReport
        As the scheduler hears it.
    error : BaseException or None
        What it failed with.
    condition : str or None
        Name of the artifact that a switch has looked at.
    current : PrintingTask
        What `metaflow.current` was, and what it has printed.
    """

    report: TaskReport
    error: BaseException | None
    condition: str | None
    current: PrintingTask


class Attempts:
    """Runs attempts of the tasks of one run.

    Parameters
    ----------
    workspace : Workspace
        The flow.
    plan : FlowPlan
        With the decorators that the test wants.
    stands : mapping of str to object
        What the test says of `current`.
    recorder : Recorder
        Where tasks are registered.
    run : str
        Id of the run.
    max_splits : int, optional
        Maximum width of a foreach.

    Raises
    ------
    InvalidTestSetup
        That cannot be said.
    """

    def __init__(
        self,
        workspace: Workspace,
        plan: FlowPlan,
        stands: Mapping[str, Any],
        recorder: Recorder,
        run: str,
        max_splits: int | None = None,
    ) -> None:
        for name in stands:
            if name in _FIXED:
                raise InvalidTestSetup(f"current.{name} is what it is for this step, and cannot be given.")
        self.run_id = run
        self._recorder = recorder
        self._storage = workspace.storage
        self._workspace = workspace
        self._plan = plan
        self._stands = stands
        self._added = contributions(workspace)
        self._max_splits = max_splits
        self._first = int(stands.get("retry_count", 0))
        self._done: dict[int, list[Attempt]] = {}

    def run(self, launch: Launch) -> Attempt:
        """Run one attempt, to its end, whatever that is.

        Raises
        ------
        BaseException
            What is to end the test itself and not only the step: an interrupt, for example.
        """
        attempt = _apart(lambda: self._run(launch)) if has_running_loop() else self._run(launch)
        self._done.setdefault(launch.task, []).append(attempt)
        if attempt.error is not None and not isinstance(attempt.error, (Exception, SystemExit)):
            raise_as_the_users(attempt.error)
        return attempt

    def _run(self, launch: Launch) -> Attempt:
        running = PrintingTask()
        for each in self._added:
            running.values.update(each.current)
        running.values.update({name: value for name, value in self._stands.items() if name not in _OF_THE_TASK})
        reports: list[TaskReport] = []
        task = Task(self._plan, self._task_plan(launch), self._storage, self._recorder, reports.append, SharedProcess())
        with _with_environment(policy_of(self._plan.steps[launch.step]).environment), current._within(running), kept():
            try:
                task.run()
            except MetaflowException as error:  # the task could not begin or end
                return Attempt(TaskReport(failure=failure_of_error(error, launch.step)), error, None, running)
        transition = task.transition
        if task.error is not None:
            hint = missing_hint(self._plan, launch.step, task.error)
            if hint is not None:
                task.error.add_note(f"hint: {hint}")
        return Attempt(reports[-1], task.error, transition.condition if transition else None, running)

    def _task_plan(self, launch: Launch) -> TaskPlan:
        settings, stands = self._workspace.settings, self._stands
        user = str(stands.get("username", settings.user))
        return TaskPlan(
            run=self.run_id,
            step=launch.step,
            task=self._task_id(launch.task),
            attempt=launch.attempt + self._first,
            last_code_attempt=launch.last_attempt + self._first,
            input_paths=encode_input_paths(self.run_id, launch.inputs),
            split_index=launch.split_index,
            max_splits=self._max_splits,
            namespace=stands.get("namespace", f"user:{user}"),
            origin_run=None,
            tags=tuple(stands.get("tags", ())),
            system_tags=system_tags(settings, self._added),
            user=user,
            tempdir=str(stands.get("tempdir", ".")),
            facts=system_facts(settings, self._workspace.script),
        )

    def _task_id(self, number: int) -> str:
        return str(self._stands.get("task_id", number))

    def result(self, launch: Launch) -> StepResult:
        """Return what a task has done; `launch` is that of its last attempt."""
        path = f"{self._plan.name}/{self.run_id}/{launch.step}/{self._task_id(launch.task)}"
        index = read_index(self._storage, path, launch.attempt + self._first) or TaskIndex({}, {})
        configs = self._workspace.configs
        return StepResult(self._plan, configs, launch.step, self._done[launch.task], self._storage, index)


def run_id_of(stands: Mapping[str, Any]) -> str:
    """Return the id of a run that is kept nowhere.

    Raises
    ------
    InvalidTestSetup
        The test gives one that cannot be.
    """
    run = str(stands.get("run_id", RUN))
    if not run or "/" in run or "," in run:
        raise InvalidTestSetup(f"current.run_id cannot be {run!r}.")
    return run


@contextmanager
def _with_environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for a while; there is one environment, so tasks that do so wait for one another."""
    if not variables:
        yield
        return
    with _environment:
        before = {name: os.environ.get(name) for name in variables}
        os.environ.update(variables)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


def _apart(work: Callable[[], T]) -> T:
    """Do something in a thread of its own: a step may run an event loop, and this thread has one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(copy_context().run, work).result()


def raise_as_the_users(error: BaseException) -> None:
    """Raise what a step has raised, with the user's own frames."""
    __tracebackhide__ = True
    if isinstance(error, MetaflowException):
        error.add_notes()
    raise error.with_traceback(user_frames(error.__traceback__))
