"""Base classes of decorators that are made for Metaflow itself, in packages below ``metaflow_extensions``.

They are told of a task through methods with the names and arguments of Metaflow: those that act around a step's code.
What belongs to Metaflow's own runtime is not there: datastore, metadata and environment are None, methods for the
launcher's side (``runtime_…``) are not called, and a `FlowDecorator` cannot be used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from metaflow.flow import decorator, flow_decorator
from metaflow.flow.current import current
from metaflow.flow.decorator import StepContext


class StepDecorator(decorator.StepDecorator):
    """A decorator of steps; subclasses override the methods that they need."""

    def check(self) -> None:
        self.init()

    def around(self, context: StepContext, run: Callable[[], None]) -> None:
        flow, inputs, attempts = context.flow, context.inputs(), (context.attempt, context.last_attempt)
        graph = flow._graph
        self.step_init(flow, graph, context.step, [self], None, None, print)
        task = (current.run_id, current.task_id)
        self.task_pre_step(context.step, None, None, *task, flow, graph, *attempts, None, inputs)
        function = self.task_decorate(lambda *_: run(), flow, graph, *attempts, None)
        is_ok = False
        try:
            try:
                function(*([] if inputs is None else [inputs]))
            except Exception as error:
                if not self.task_exception(error, context.step, flow, graph, *attempts):
                    raise
                if flow._binding.transition is None:
                    context.go_on()
            else:
                self.task_post_step(context.step, flow, graph, *attempts)
            is_ok = True
        finally:
            self.task_finished(context.step, flow, graph, is_ok, *attempts)

    def init(self) -> None:
        """Make of `attributes` what is needed; called once for each decorator."""

    def step_init(
        self,
        flow: Any,
        graph: Any,
        step_name: str,
        decorators: list[Any],
        environment: None,
        flow_datastore: None,
        logger: Callable[..., None],
    ) -> None:
        """Be told of the step; in the task, before anything else."""

    def task_pre_step(
        self,
        step_name: str,
        task_datastore: None,
        metadata: None,
        run_id: str,
        task_id: str,
        flow: Any,
        graph: Any,
        retry_count: int,
        max_user_code_retries: int,
        ubf_context: None,
        inputs: Any,
    ) -> None:
        """Act before the step's code."""

    def task_decorate(
        self,
        step_func: Callable[..., None],
        flow: Any,
        graph: Any,
        retry_count: int,
        max_user_code_retries: int,
        ubf_context: None,
    ) -> Callable[..., None]:
        """Return what runs in place of the step's code; it takes the inputs of a join."""
        return step_func

    def task_post_step(
        self, step_name: str, flow: Any, graph: Any, retry_count: int, max_user_code_retries: int
    ) -> None:
        """Act after the step's code has ended well."""

    def task_exception(
        self,
        exception: Exception,
        step_name: str,
        flow: Any,
        graph: Any,
        retry_count: int,
        max_user_code_retries: int,
    ) -> bool | None:
        """Act after the step's code has raised; return True to have the task count as ended well."""

    def task_finished(
        self, step_name: str, flow: Any, graph: Any, is_task_ok: bool, retry_count: int, max_user_code_retries: int
    ) -> None:
        """Act at the end, whatever has happened."""


class FlowDecorator(flow_decorator.FlowDecorator):
    """A decorator of flows: what it would be told through are parts of Metaflow's runtime that are not there."""

    unusable: ClassVar[str] = "is a decorator of flows for Metaflow's own runtime, of which none can be used here"
