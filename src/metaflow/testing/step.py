"""`run_step`: one step, in this process, as the task that it will be."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from metaflow.exception import InvalidTestSetup, MetaflowException
from metaflow.flow.spec import FlowSpec
from metaflow.metadata_provider.deferred import DeferredMetadata
from metaflow.runtime.events import Launch, RetryDue, Start, TaskEnded, Wait
from metaflow.runtime.policy import policy_of
from metaflow.runtime.scheduler import Scheduler
from metaflow.testing.attempts import Attempts, raise_as_the_users, run_id_of
from metaflow.testing.inputs import Coming, Foreach, Inputs, InputTasks, Loops, results_in
from metaflow.testing.results import StepResult
from metaflow.testing.subject import (
    Decorators,
    find_step,
    parameters_for_test,
    plan_for_test,
    workspace_for_test,
)

_NOT_GIVEN: Any = object()
_NONE: Mapping[str, Any] = MappingProxyType({})


def run_step(
    step: type[FlowSpec] | Callable[..., Any],
    name: str | None = None,
    *,
    inputs: Inputs | None = None,
    params: Mapping[str, Any] = _NONE,
    config: Mapping[str, Any] = _NONE,
    input: Any = _NOT_GIVEN,
    foreach: Loops | None = None,
    decorators: Decorators = False,
    current: Mapping[str, Any] = _NONE,
    check: bool = True,
) -> StepResult:
    """Run one step in this process, and return what it has done.

    The step runs as a task does: what comes in and what it leaves is pickled, so nothing that it changes reaches the
    test's own objects, and what cannot be an artifact fails. No file is written, and no other process is started.

    Parameters
    ----------
    step : step, or type of FlowSpec
        ``MyFlow.train``; or the flow, with `name`, as it is needed for a step that several flows inherit and that is
        not written out in the call.
    name : str, optional
        Name of the step.
    inputs : mapping, or list or mapping of mappings, optional
        The artifacts that come in, by name. For the join of a foreach, a list of them, one for each task; for the join
        of branches, a dictionary from the last step of each branch to its artifacts. In place of a dictionary of
        artifacts there may be the `StepResult` of the step before, which also brings its parameters, configs and
        foreaches.
    params : mapping of str to object
        Parameters: strings, as on a command line, or values of their types; the path for an `IncludeFile`. Others have
        their defaults.
    config : mapping of str to object
        Configs: a dictionary, a text for the parser, or the path of a file as a `pathlib.Path`.
    input : object, optional
        What `self.input` is, for a step in one foreach.
    foreach : Foreach or list of Foreach, optional
        The foreaches around the step, outermost first, where one element is not enough.
    decorators : bool or str or tuple of str, default False
        Whether the decorators of the step are wrapped around it, or the names of those that are. Retries come at once,
        and nothing is sent to a backend. Mutators always count.
    current : mapping of str to object
        What `metaflow.current` says: ``run_id``, ``task_id``, ``retry_count``, ``namespace``, ``username``,
        ``tempdir``, ``tags``, and whatever else a decorator would bring.
    check : bool, default True
        Whether to raise what the step raises; else it is in the result.

    Returns
    -------
    StepResult
        What it has done.

    Raises
    ------
    Exception
        What the step raises, unless `check` is False; also as it could not be stored or goes nowhere.
    InvalidTestSetup
        What is given does not fit the step.

    Examples
    --------
    >>> class Training(FlowSpec):
    ...     rate = Parameter("rate", default=0.1)
    ...
    ...     @step
    ...     def start(self):
    ...         self.sizes = [10, 100]
    ...         self.next(self.train, foreach="sizes")
    ...
    ...     @step
    ...     def train(self):
    ...         self.loss = self.rate * self.input
    ...         self.next(self.join)
    ...
    ...     @step
    ...     def join(self, inputs):
    ...         self.best = min(each.loss for each in inputs)
    ...         self.next(self.end)
    ...
    ...     @step
    ...     def end(self):
    ...         print("best loss:", self.best)
    >>> run_step(Training.start).foreach
    [10, 100]
    >>> trained = run_step(Training.train, input=10, params={"rate": "0.5"})
    >>> trained.loss, trained.next
    (5.0, ('join',))
    >>> run_step(Training.join, inputs=[{"loss": 3.0}, {"loss": 2.0}]).best
    2.0
    >>> ended = run_step(Training.end, inputs={"best": 2.0})
    best loss: 2.0
    """
    __tracebackhide__ = True
    try:
        flow_class, name = find_step(step, name, sys._getframe(1))
        earlier = next((result._configs for result in results_in(inputs)), None)
        workspace = workspace_for_test(flow_class, config, earlier=earlier)
        plan = plan_for_test(workspace, decorators, name)
        attempts = Attempts(workspace, plan, current, DeferredMetadata(), run_id_of(current))
        given = parameters_for_test(workspace, params, defaults=False)
        parameters = parameters_for_test(workspace, params)
        tasks = InputTasks(plan, name, workspace.storage, attempts.run_id, parameters, given)
        coming = tasks.store(inputs, _loops(input, foreach))
    except MetaflowException as error:
        error.add_notes()
        raise error.with_traceback(None) from error.__cause__
    retries = policy_of(plan.steps[name]).retries
    scheduler = Scheduler((), slots=1, max_splits=1, retries=lambda step: retries)
    result = _carry_out(attempts, scheduler, name, coming)
    if check and result.ended.exception is not None:
        raise_as_the_users(result.ended.exception)
    return result


def _loops(element: Any, foreach: Loops | None) -> Loops | None:
    if element is _NOT_GIVEN:
        return foreach
    if foreach is not None:
        raise InvalidTestSetup("input= and foreach= are given.", hint="Foreach(elements, index) says both")
    return Foreach([element])


def _carry_out(attempts: Attempts, scheduler: Scheduler, step: str, coming: Coming) -> StepResult:
    """Run attempts of one task until it ends well or has none left."""
    instructions = scheduler.handle(Start(step, coming.tasks[0]))
    while True:
        launch = next((each for each in instructions if isinstance(each, Launch)), None)
        if launch is not None:
            last = launch._replace(inputs=coming.tasks, split_index=coming.split_index)
            report = attempts.run(last).report
            if report.ok:
                return attempts.result(last)
            instructions = scheduler.handle(TaskEnded(launch.task, launch.attempt, report))
        elif instructions and isinstance(instructions[0], Wait):
            instructions = scheduler.handle(RetryDue(instructions[0].task, instructions[0].attempt))
        else:
            return attempts.result(last)
