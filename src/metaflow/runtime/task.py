"""One task, in the process that runs it: artifacts in, the user's step, artifacts out.

Everything that is written goes in an order that never lets a reader see a name without its bytes: the task is
registered, its attempt marked as begun; then the step runs; then blobs, the index that names them, the facts, and last
the done marker. A step that raises stores what it had assigned and its exception, and is marked done, not successful.

The process tells how it ended by its exit status and, where somebody listens, by one `TaskReport`, so that the engine
need not read back what was just written.

Start reading at `Task.run`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

from metaflow.compute.report import TaskReport
from metaflow.exception import (
    AttemptsExhausted,
    CannotAssign,
    InvalidNextException,
    MetaflowExceptionWrapper,
    MetaflowInternalError,
    TaskFailed,
    UnpicklableArtifact,
)
from metaflow.flow.binding import Binding, Transition, foreach_values_name
from metaflow.flow.current import current
from metaflow.flow.decorator import StepContext, StepDecorator
from metaflow.flow.failure import describe_failure, failure_of_error, place_of_assignment
from metaflow.flow.frames import ForeachFrame, PicklableFrames, frame_value, place_in
from metaflow.flow.plan import FlowPlan
from metaflow.flow.spec import FlowSpec, attributes_of
from metaflow.flow.step import as_written, limits
from metaflow.metadata_provider.protocol import Fact, Recorder, TaskPath
from metaflow.runtime.inputs import Inputs, decode_input_paths, is_passing_function, is_storable, missing_input
from metaflow.runtime.record import AttemptRecord
from metaflow.runtime.task_process import OwnProcess, TaskProcess
from metaflow.store import internals
from metaflow.store.artifacts import Artifacts, Siblings, TaskIndex, read_indexes, save_artifacts
from metaflow.store.blobs import SPOOL_ABOVE, Blobs
from metaflow.store.internals import BRANCHES, ELEMENTS, FAILURE
from metaflow.store.layout import PARAMETERS
from metaflow.store.overlap import beside
from metaflow.store.protocol import Storage


class TaskPlan(NamedTuple):
    """What the command line says of a task."""

    run: str
    step: str
    task: str
    attempt: int
    last_code_attempt: int
    input_paths: str
    split_index: int | None
    max_splits: int | None
    namespace: str | None
    origin_run: str | None
    tags: tuple[str, ...]
    system_tags: tuple[str, ...]
    user: str
    tempdir: str
    facts: tuple[Fact, ...]
    termination: str | None = None
    branches: tuple[str, ...] = ()


class Terminated(KeyboardInterrupt):
    """A step did not finish after its container was asked to end, whatever it raised then."""


class Task:
    """One attempt of a task.

    Parameters
    ----------
    flow : FlowPlan
        The user's flow; its graph is asked for only where it is needed.
    plan : TaskPlan
        Which task, and what comes in.
    storage, recorder
        Where it writes.
    report : callable
        Takes how it ended.
    process : TaskProcess, optional
        What it may do to this process; all if not given.

    Attributes
    ----------
    error : BaseException or None
        When it has run: what it failed with, unless a decorator has caught it.
    transition : Transition or None
        When it has run: where its step went.
    """

    def __init__(
        self,
        flow: FlowPlan,
        plan: TaskPlan,
        storage: Storage,
        recorder: Recorder,
        report: Callable[[TaskReport], None],
        process: TaskProcess | None = None,
    ) -> None:
        self.error: BaseException | None = None
        self.transition: Transition | None = None
        self._process = process or OwnProcess()
        self._flow = flow
        self._class = flow.flow_class
        self._plan = plan
        self._storage = storage
        self._report = report
        path = TaskPath(flow.name, plan.run, plan.step, plan.task)
        self._record = AttemptRecord(
            path, plan.attempt, storage, recorder, tags=plan.tags, system_tags=plan.system_tags
        )
        self._blobs = Blobs(storage, flow.name)
        self._step = flow.steps[plan.step]
        self._function = self._step.function
        self._element: dict[int, Any] = {}
        self._parameters = TaskIndex({}, {})  # of the run, read by joins
        self._turn = 0  # of a step that comes back to itself; Metaflow's resume knows its tasks by it
        self._is_join = as_written(self._function).__code__.co_argcount > 1

    def run(self) -> int:
        """Run the attempt and return the exit status of the process."""
        plan = self._plan
        paths = decode_input_paths(plan.input_paths)
        incoming, frames = self._begin(paths)
        self._record.add_location(frames, plan.origin_run, plan.facts)
        binding = Binding(plan.step, Artifacts(self._blobs, incoming), {}, frames, self._is_join)
        binding.values.update(self._element)
        flow = self._instance(binding)
        flow.__dict__.update(self._flow.initial)
        self._set_current(incoming)
        context = StepContext(
            flow,
            plan.step,
            plan.attempt,
            plan.last_code_attempt,
            lambda: self._flow.graph[plan.step].next,
            frozenset().union(*(decorator.attempts().only for decorator in self._step.decorators)),
            inputs=cache(
                lambda: Inputs(paths, self._open_inputs, self._storage.concurrency) if self._is_join else None
            ),
            go_on=partial(self._go_on, flow),
            has_own_process=self._process.is_own,
            pathspec=str(self._record.path),
            storage=self._storage,
        )
        error = self._call(context, partial(self._run_step, context), self._step.outermost_first)
        with self._process.storing():
            status = self._finish(context, incoming, error)
        if not isinstance(error, Terminated):
            self._do_the_rest(context)
        return status

    # --- artifacts in -----------------------------------------------------------------------------------------------

    def _begin(self, paths: list[str]) -> tuple[TaskIndex, list[ForeachFrame]]:
        start = self._join_start if self._is_join else self._start
        if self._storage.concurrency == 1:
            self._record.begin()
            return start(paths)
        wait = beside(self._record.begin)
        try:
            return start(paths)
        finally:
            wait()

    def _read(self, paths: Sequence[str]) -> list[TaskIndex]:
        indexes = []
        found = read_indexes(self._storage, [f"{self._class.__name__}/{path}" for path in paths])
        for path, index in zip(paths, found, strict=True):
            if index is None:
                raise missing_input(path)
            indexes.append(index)
        return indexes

    def _start(self, paths: list[str]) -> tuple[TaskIndex, list[ForeachFrame]]:
        if len(paths) != 1:
            raise MetaflowInternalError(f"The step '{self._plan.step}' is no join and got {len(paths)} inputs.")
        resumed = self._plan.origin_run is not None
        parent, *rest = self._read([*paths, *([_parameters_of(paths)] if resumed else [])])
        self._blobs.note_present(parent.objects.values())
        values = Artifacts(self._blobs, parent)
        frames: list[ForeachFrame] = list(values["_foreach_stack"]) if "_foreach_stack" in values else []
        if paths[0].split("/")[1] == self._plan.step:
            self._turn = (values.get("_iteration_stack") or [0])[-1] + 1
        incoming = TaskIndex(internals.inherited(parent.objects), internals.inherited(parent.info))
        for parameters in rest:  # the parent may be taken over from a run whose source was another
            incoming.objects["_graph_info"] = parameters.objects["_graph_info"]
            incoming.info["_graph_info"] = parameters.info["_graph_info"]
            self._add_parameters(incoming, parameters)
        if self._plan.split_index is not None:
            depth = foreach_values_name(len(frames))
            incoming.objects[depth] = parent.objects[ELEMENTS]
            incoming.info[depth] = parent.info[ELEMENTS]
            frames.append(self._new_frame(values, self._plan.split_index, len(frames)))
        return incoming, frames

    def _add_parameters(self, index: TaskIndex, parameters: TaskIndex) -> None:
        """Add those parameters and configs that a task did not have which was taken over, since the flow had not."""
        for name in (*self._flow.parameters, *self._flow.configs.values):
            if name not in index.objects:
                index.objects[name], index.info[name] = parameters.objects[name], parameters.info[name]

    def _new_frame(self, parent: Artifacts, index: int, depth: int) -> ForeachFrame:
        parent.fetch("_foreach_num_splits", ELEMENTS, "_foreach_var")
        # The text of the element is for listings only: not worth loading a long list of big elements.
        value = None
        if parent.index.info[ELEMENTS]["size"] <= SPOOL_ABOVE:
            element = parent[ELEMENTS][index]
            self._element[depth] = element
            value = frame_value(element)
        return ForeachFrame(self._plan.step, parent["_foreach_var"], parent["_foreach_num_splits"], index, value)

    def _join_start(self, paths: list[str]) -> tuple[TaskIndex, list[ForeachFrame]]:
        first, incoming = self._read([paths[0], _parameters_of(paths)])
        self._parameters = incoming
        self._blobs.note_present(first.objects.values())
        frames: list[ForeachFrame] = list(Artifacts(self._blobs, first)["_foreach_stack"])
        if self._flow.graph.closes_foreach(self._plan.step):
            frames.pop()
        for name in map(foreach_values_name, range(len(frames))):  # the loops around the join go on
            incoming.objects[name], incoming.info[name] = first.objects[name], first.info[name]
        return incoming, frames

    def _instance(self, binding: Binding) -> FlowSpec:
        flow = self._class.__new__(self._class)
        flow.__dict__["_binding"] = binding
        return flow

    def _open_inputs(self, paths: Sequence[str]) -> list[FlowSpec]:
        indexes = self._read(paths)
        if self._plan.origin_run is not None:
            for index in indexes:
                self._add_parameters(index, self._parameters)
        siblings = Siblings(self._blobs, indexes) if len(indexes) > 1 else None
        flows = []
        for path, index in zip(paths, indexes, strict=True):
            artifacts = Artifacts(self._blobs, index, siblings)
            merging = internals.mergeable(index.objects)
            binding = Binding(path.split("/")[1], artifacts, merging, artifacts["_foreach_stack"])
            flows.append(self._instance(binding))
        return flows

    # --- the step ---------------------------------------------------------------------------------------------------

    def _set_current(self, incoming: TaskIndex) -> None:
        plan = self._plan
        values = Artifacts(self._blobs, incoming)
        current._set(
            {
                "flow_name": self._class.__name__,
                "run_id": plan.run,
                "step_name": plan.step,
                "task_id": plan.task,
                "retry_count": plan.attempt,
                "origin_run_id": plan.origin_run,
                "namespace": plan.namespace,
                "username": plan.user,
                "parameter_names": list(self._flow.parameters),
                "tempdir": plan.tempdir,
                "tags": frozenset(plan.tags),
            }
        )
        current._set_lazily(
            "graph", lambda: values["_graph_info"] if "_graph_info" in values else self._flow.description()
        )

    def _run_step(self, context: StepContext) -> None:
        try:
            self._run_code(context)
        except BaseException as error:
            if self._is_terminated():
                raise Terminated from error
            raise

    def _run_code(self, context: StepContext) -> None:
        if context.attempt > context.last_attempt:
            raise self._earlier_failure()
        if self._is_join:
            self._function(context.flow, context.inputs())
        else:
            self._function(context.flow)
        self._check_transition(context.flow)

    def _call(
        self, context: StepContext, run: Callable[[], None], decorators: Sequence[StepDecorator]
    ) -> BaseException | None:
        """Call `run` with decorators around it, the outermost first; return what it raised."""
        for decorator in reversed(decorators):
            run = partial(decorator.around, context, run)
        try:
            run()
            if context.caught is not None:
                context.flow._binding.transition = Transition(context.successors())
        except BaseException as error:  # noqa: BLE001 - also sys.exit and KeyboardInterrupt end a step, not the task
            return error
        return None

    def _do_the_rest(self, context: StepContext) -> None:
        for decorator in self._step.outermost_first:
            try:
                decorator.after(context)
            except BaseException as error:  # noqa: BLE001 - the attempt has ended, and its end has been told
                self._process.complain(f"@{decorator.name}: {type(error).__name__}: {error}\n")

    def _is_terminated(self) -> bool:
        return self._plan.termination is not None and os.path.exists(self._plan.termination)

    def _earlier_failure(self) -> Exception:
        """Return why the attempt before this one failed, in which the step's code ran for the last time."""
        plan = self._plan
        index = self._record.store.read_index(plan.attempt - 1)
        record = Artifacts(self._blobs, index).get(FAILURE) if index is not None else None
        if record is not None:
            return TaskFailed.from_record(record)
        return AttemptsExhausted(
            f"The step '{plan.step}' did not come to its end in any of its attempts ({plan.attempt})."
        )

    def _go_on(self, flow: FlowSpec, **arguments: Any) -> None:
        """Have the step go where its source says, with these arguments of `self.next` in place of the source's."""
        node = self._flow.graph[self._plan.step]
        if not node.next:
            return
        if node.kind == "switch":
            cases = {
                key: getattr(flow, case) if isinstance(case, str) else [getattr(flow, name) for name in case]
                for key, case in node.cases
            }
            flow.next(cases, **{"condition": node.condition, **arguments})
            return
        flow.next(
            *(getattr(flow, name) for name in node.next),
            **({"foreach": node.foreach} if node.kind == "foreach" else {}) | arguments,
        )
        self._check_transition(flow)

    def _check_transition(self, flow: FlowSpec) -> None:
        step, transition = self._plan.step, flow._binding.transition
        code = as_written(self._function).__code__
        is_end = step in limits(self._class._steps)[1]
        if transition is None and not is_end:
            raise InvalidNextException(
                f"The step '{step}' ended without calling self.next().",
                code.co_firstlineno,
                code.co_filename,
                hint="call self.next(…) as the last statement on every way through the step",
            )
        if transition is not None and is_end:
            raise InvalidNextException(
                f"The step '{step}' calls self.next(), and nothing comes after it.",
                code.co_firstlineno,
                code.co_filename,
            )
        if transition is not None and transition.values is not None:
            self._check_width(transition.foreach, len(transition.values))

    def _check_width(self, foreach: str | None, width: int) -> None:
        if self._plan.max_splits is not None and width > self._plan.max_splits:
            node = self._flow.graph[self._plan.step]
            raise InvalidNextException(
                f"The foreach of the step '{node.name}' over self.{foreach} has {width} elements, and --max-num-splits "
                f"allows {self._plan.max_splits}.",
                node.next_line,
                node.source_file,
                hint=f"run with --max-num-splits {width} if so many tasks are intended",
            )

    # --- artifacts out ----------------------------------------------------------------------------------------------

    def _finish(self, context: StepContext, incoming: TaskIndex, error: BaseException | None) -> int:
        flow: FlowSpec = context.flow
        index = self._outgoing(flow, incoming)
        if isinstance(error, Terminated):
            return self._leave(index, _assigned(flow), error)
        refusal = None
        unusable = [name for name in attributes_of(flow) if not is_storable(name)]
        if unusable:
            error = error or CannotAssign(
                f"The step '{context.step}' has set an artifact with the name {unusable[0]!r}, which cannot be stored.",
                hint="use a printable name without '/', of at most 150 bytes",
            )
        if error is None and context.caught is None:
            try:
                self._save(index, _assigned(flow), flow._binding)
            except UnpicklableArtifact as raised:
                refusal = raised
                refusal.source_file, refusal.line_no = place_of_assignment(self._class, self._function, raised.name)
                catching = [decorator for decorator in self._step.outermost_first if decorator.catches]
                error = self._call(context, partial(_raise, refusal), catching)  # as if the step had raised it
        failure = context.failure
        if error is not None:
            failure = failure_of_error(error, self._plan.step).at(place_in(flow._binding.frames))
            self._save_failed(index, _assigned(flow), flow._binding, error, failure)
        elif context.caught is not None:
            self._keep(index, _assigned(flow))
            assert failure is not None
            self._save(
                index,
                {"_catch_exception": context.caught, FAILURE: failure.record()},
                flow._binding,
                exception=context.caught if refusal is not None else None,
                success=False,
            )
        self.error, self.transition = error, flow._binding.transition
        return self._close(index, self.transition, error is None, failure)

    def _leave(self, index: TaskIndex, assigned: Mapping[str, Any], error: Terminated) -> int:
        """Store what a step has made whose container is being ended, and leave it to others to say why."""
        if error.__cause__ is not None:
            self._process.complain(describe_failure(error.__cause__, self._plan.step))
        self._keep(index, assigned)
        # A pod that is deleted at once is gone for the engine, which closes the attempt, before its container ends.
        if self._plan.attempt not in self._record.store.attempts()[1]:
            self._record.store.write(self._record.store.index(index))
        return 128 + signal.SIGTERM

    def _outgoing(self, flow: FlowSpec, incoming: TaskIndex) -> TaskIndex:
        """Return an index with what passes through the step unread."""
        binding = flow._binding
        index = TaskIndex(dict(incoming.objects), dict(incoming.info), self._plan.attempt)
        for name in binding.deleted:
            index.objects.pop(name, None)
            index.info.pop(name, None)
        for name, source in binding.merged.items():
            artifacts = source._binding.artifacts
            assert isinstance(artifacts, Artifacts)
            index.objects[name] = artifacts.index.objects[name]
            index.info[name] = artifacts.index.info[name]
        return index

    def _save(
        self,
        index: TaskIndex,
        assigned: Mapping[str, Any],
        binding: Binding,
        *,
        exception: MetaflowExceptionWrapper | None = None,
        ok: bool = True,
        success: bool = True,
    ) -> None:
        transition = binding.transition if ok else None
        foreach = transition.foreach if transition else None
        internal = {
            "_current_step": self._plan.step,
            "_exception": exception,
            "_foreach_num_splits": len(transition.values) if transition and transition.values is not None else None,
            "_foreach_stack": binding.frames,
            "_foreach_var": foreach,
            "_iteration_stack": [self._turn] if self._turn or (transition and transition.recursive) else [],
            "_success": success,
            "_task_ok": ok,
            "_transition": (list(transition.steps), foreach) if transition else None,
            **({BRANCHES: self._plan.branches} if self._plan.branches else {}),
        }
        with PicklableFrames():
            save_artifacts(self._blobs, [*assigned.items(), *internal.items()], index)
            if transition is not None and foreach is not None:
                self._save_elements(index, transition, assigned, binding)

    def _save_elements(
        self, index: TaskIndex, transition: Transition, assigned: Mapping[str, Any], binding: Binding
    ) -> None:
        assert transition.foreach is not None
        artifact = assigned.get(transition.foreach, binding.unchanging.get(transition.foreach))
        if artifact is transition.values:
            index.objects[ELEMENTS] = index.objects[transition.foreach]
            index.info[ELEMENTS] = index.info[transition.foreach]
        else:
            save_artifacts(self._blobs, [(ELEMENTS, transition.values)], index)

    def _save_failed(
        self,
        index: TaskIndex,
        assigned: Mapping[str, Any],
        binding: Binding,
        error: BaseException,
        failure: TaskFailed,
    ) -> None:
        stored = MetaflowExceptionWrapper(error, describe_failure(error, self._plan.step))
        self._process.complain(stored.stacktrace or "")
        self._keep(index, assigned)
        self._save(index, {FAILURE: failure.record()}, binding, exception=stored, ok=False, success=False)

    def _keep(self, index: TaskIndex, assigned: Mapping[str, Any]) -> None:
        """Store what can be pickled of what a step had assigned before it failed."""
        try:
            save_artifacts(self._blobs, assigned.items(), index)
            return
        except UnpicklableArtifact:
            pass  # then one by one
        for name, value in assigned.items():
            try:
                save_artifacts(self._blobs, [(name, value)], index)
            except UnpicklableArtifact:
                continue

    def _close(self, index: TaskIndex, transition: Transition | None, ok: bool, failure: TaskFailed | None) -> int:
        self._record.close(index, ok=ok, failure=failure)
        if not ok:
            assert failure is not None
            self._report(TaskReport(failure=failure))
            return 1
        width = len(transition.values) if transition and transition.values is not None else None
        self._report(TaskReport(tuple(transition.steps) if transition else (), width))
        return 0


def _parameters_of(inputs: Sequence[str]) -> str:
    """Return the pseudo-task with the parameters of the run that the inputs are of."""
    return f"{inputs[0].partition('/')[0]}/{PARAMETERS}/0"


def _assigned(flow: FlowSpec) -> dict[str, Any]:
    """Return what the step has set, as far as it can be an artifact."""
    return {
        name: value
        for name, value in attributes_of(flow).items()
        if is_storable(name) and not is_passing_function(value)
    }


def _raise(error: Exception) -> None:
    raise error
