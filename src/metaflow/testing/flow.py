"""`run_flow`: all steps of a flow, in this process."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from metaflow.app.facts import contributions, system_facts, system_tags
from metaflow.exception import InvalidTestSetup, MetaflowException
from metaflow.flow import lint
from metaflow.flow.plan import FlowPlan
from metaflow.flow.spec import FlowSpec
from metaflow.metadata_provider.deferred import DeferredMetadata
from metaflow.metadata_provider.protocol import Recorder
from metaflow.runtime.begin import begin_run
from metaflow.runtime.events import Finish, Instruction, Launch, RetryDue, Start, Stop, TaskEnded, TaskRef, Wait
from metaflow.runtime.policy import policy_of
from metaflow.runtime.scheduler import Scheduler
from metaflow.store.layout import PARAMETERS
from metaflow.testing.attempts import Attempts, raise_as_the_users, run_id_of
from metaflow.testing.results import FlowResult
from metaflow.testing.subject import Decorators, parameters_for_test, plan_for_test, workspace_for_test

_NONE: Mapping[str, Any] = MappingProxyType({})


def run_flow(
    flow: type[FlowSpec],
    *,
    params: Mapping[str, Any] = _NONE,
    config: Mapping[str, Any] = _NONE,
    decorators: Decorators = True,
    current: Mapping[str, Any] = _NONE,
    max_num_splits: int = 100,
    home: str | os.PathLike[str] | None = None,
    check: bool = True,
) -> FlowResult:
    """Run all steps of a flow in this process, and return what they have done.

    The flow is checked as before any run, and the scheduler of all runs says what comes next. Breakpoints stop, and
    coverage sees the steps. What differs from a run: tasks come one after the other and share this process, so that
    a module's state, or a working directory, that one of them has changed is the next one's; nothing is sent to
    a backend; retries come at once; exit hooks are not called; and nothing is kept where a client or a command would
    find it, unless `home` says where.

    Parameters
    ----------
    flow : type of FlowSpec
        The flow.
    params, config, decorators, current
        As for `run_step`; all decorators by default.
    max_num_splits : int, default 100
        Maximum width of a foreach.
    home : str or path, optional
        Directory in which the run is kept, without its logs, as files of a local datastore. If it is that of
        the fixture `metaflow_home`, the client finds the run, in its steps too.
    check : bool, default True
        Whether to raise what the failed step has raised; else it is in the result.

    Returns
    -------
    FlowResult
        What they have done.

    Raises
    ------
    Exception
        What the failed step has raised, unless `check` is False.
    MetaflowException
        The flow cannot be run: it, or what is given, is wrong.

    Examples
    --------
    >>> class Doubling(FlowSpec):
    ...     count = Parameter("count", default=2)
    ...
    ...     @step
    ...     def start(self):
    ...         self.numbers = range(self.count)
    ...         self.next(self.double, foreach="numbers")
    ...
    ...     @step
    ...     def double(self):
    ...         self.doubled = 2 * self.input
    ...         self.next(self.join)
    ...
    ...     @step
    ...     def join(self, inputs):
    ...         self.all = [each.doubled for each in inputs]
    ...         self.next(self.end)
    ...
    ...     @step
    ...     def end(self):
    ...         pass
    >>> result = run_flow(Doubling, params={"count": 3})
    >>> result.status, result.artifacts["all"]
    ('successful', [0, 2, 4])
    >>> [task.doubled for task in result["double"]]
    [0, 2, 4]
    """
    __tracebackhide__ = True
    try:
        if not (isinstance(flow, type) and issubclass(flow, FlowSpec)):
            raise InvalidTestSetup(
                f"run_flow() takes a flow, not {flow!r}.", hint="give the class itself: run_flow(MyFlow)"
            )
        for name in current.keys() & {"task_id", *(("run_id",) if home is not None else ())}:
            raise InvalidTestSetup(f"current.{name} is that of each task of the run, and cannot be given.")
        workspace = workspace_for_test(flow, config, home=home)
        plan = plan_for_test(workspace, decorators)
        lint.check(plan)
        parameters = parameters_for_test(workspace, params, required=True)
        recorder: Recorder = _OneRun(run_id_of(current)) if home is None else workspace.metadata
        settings = workspace.settings
        run = begin_run(
            plan,
            parameters,
            workspace.storage,
            recorder,
            tags=current.get("tags", ()),
            system_tags=system_tags(settings, contributions(workspace)),
            facts=system_facts(settings, workspace.script),
        )
        attempts = Attempts(workspace, plan, current, recorder, run, max_num_splits)
    except MetaflowException as error:
        error.add_notes()
        raise error.with_traceback(None) from error.__cause__
    result = _carry_out(plan, attempts, max_num_splits)
    if check and result.exception is not None:
        raise_as_the_users(result.exception)
    return result


class _OneRun(DeferredMetadata):
    """Metadata of a run that nobody looks up."""

    def __init__(self, run: str) -> None:
        super().__init__()
        self._run = run

    def new_run(self, flow: str, **_: Any) -> str:
        return self._run


def _carry_out(plan: FlowPlan, attempts: Attempts, max_splits: int) -> FlowResult:
    scheduler = Scheduler(
        plan.graph.joins,
        slots=1,
        max_splits=max_splits,
        retries=lambda step: policy_of(plan.steps[step]).retries,
        lists_of_one=plan.graph.lists_of_one,
    )
    last: dict[int, Launch] = {}
    todo: deque[Instruction] = deque(scheduler.handle(Start(plan.graph.start, TaskRef(PARAMETERS, 0))))
    while True:
        match todo.popleft():
            case Launch() as launch:
                last[launch.task] = launch
                report = attempts.run(launch).report
                todo.extend(scheduler.handle(TaskEnded(launch.task, launch.attempt, report)))
            case Wait(task, _, attempt):
                todo.extend(scheduler.handle(RetryDue(task, attempt)))
            case Finish(ok, culprit):
                tasks = {task: attempts.result(launch) for task, launch in last.items()}
                failed = tasks[culprit.id] if culprit is not None else None
                return FlowResult(plan, attempts.run_id, list(tasks.values()), ok=ok, culprit=failed)
            case Stop():
                pass  # one task runs at a time
