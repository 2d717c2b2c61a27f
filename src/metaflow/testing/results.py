"""What a test gets: `StepResult` of a task, `FlowResult` of a run."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from metaflow.app.configs import LoadedConfigs
from metaflow.exception import InvalidTestSetup, TaskFailed
from metaflow.flow.plan import FlowPlan
from metaflow.flow.spec import FlowSpec
from metaflow.store import internals
from metaflow.store.artifacts import Artifacts, TaskIndex
from metaflow.store.blobs import Blobs
from metaflow.store.protocol import Storage

if TYPE_CHECKING:
    from metaflow.testing.attempts import Attempt


class ArtifactValues(Mapping[str, Any]):
    """The artifacts of a task by name, each loaded when it is first touched.

    Parameters
    ----------
    artifacts : Artifacts
        All that the task has stored.
    names : sequence of str
        Those that are the user's.
    """

    def __init__(self, artifacts: Artifacts, names: Sequence[str]) -> None:
        self._artifacts = artifacts
        self._names = dict.fromkeys(names)
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded:
            if name not in self._names:
                raise KeyError(name)
            self._loaded[name] = self._artifacts[name]
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __repr__(self) -> str:
        return repr(dict(self))


class TaskEnd(NamedTuple):
    """How a task under test ended; see `StepResult`."""

    flow: type[FlowSpec]
    step: str
    next: tuple[str, ...]
    foreach: Sequence[Any] | None
    condition: str | None
    stdout: str
    stderr: str
    exception: BaseException | None
    failure: TaskFailed | None
    attempts: int
    current: Mapping[str, Any]
    ok: bool


class StepResult:
    """What a step has done.

    An artifact is ``result["accuracy"]`` or ``result.accuracy``. If one has the name of an attribute below, such as
    ``failure``, it is ``result["failure"]``, the attribute is ``result.ended.failure``, and ``result.failure`` raises.

    Attributes
    ----------
    artifacts : mapping of str to object
        What the step after it would find on self: what this one has assigned, and what came through it. Without
        parameters, configs and attributes of the flow's class.
    ended : TaskEnd
        All that follow, as one value.
    flow : type of FlowSpec
        The flow.
    step : str
        The step.
    next : tuple of str
        The steps that follow; of a switch, those chosen. Empty after the last step, and after a failure.
    foreach : sequence or None
        What the foreach that it has opened runs over.
    condition : str or None
        Name of the artifact that its switch has looked at.
    stdout, stderr : str
        What it has printed, in all its attempts.
    exception : BaseException or None
        What it failed with, in its last attempt, unless a decorator has caught it.
    failure : TaskFailed or None
        The class and the sentence of its end.
    attempts : int
        How often it was tried.
    current : mapping of str to object
        What `metaflow.current` was.
    ok : bool
        Whether the run can go on after it.
    """

    flow: type[FlowSpec]
    step: str
    next: tuple[str, ...]
    foreach: Sequence[Any] | None
    condition: str | None
    stdout: str
    stderr: str
    exception: BaseException | None
    failure: TaskFailed | None
    attempts: int
    current: Mapping[str, Any]
    ok: bool

    def __init__(
        self,
        plan: FlowPlan,
        configs: LoadedConfigs,
        step: str,
        attempts: Sequence[Attempt],
        storage: Storage,
        index: TaskIndex,
    ) -> None:
        last = attempts[-1]
        self._blobs = Blobs(storage, plan.name)
        artifacts = Artifacts(self._blobs, index)
        fixed = {*plan.parameters, *plan.configs.values, *plan.flow_class._constants}
        names = [name for name in index.objects if internals.find(name) is None and name not in fixed]
        self._index = index
        self._configs = configs
        self.artifacts: Mapping[str, Any] = ArtifactValues(artifacts, names)
        self.ended = TaskEnd(
            flow=plan.flow_class,
            step=step,
            next=last.report.next,
            foreach=artifacts[internals.ELEMENTS] if last.report.width is not None else None,
            condition=last.condition if last.report.ok else None,
            stdout="".join(each.current.stdout.getvalue() for each in attempts),
            stderr="".join(each.current.stderr.getvalue() for each in attempts),
            exception=last.error,
            failure=last.report.failure,
            attempts=len(attempts),
            current=MappingProxyType(last.current.values),
            ok=last.report.ok,
        )

    def __getitem__(self, name: str) -> Any:
        return self.artifacts[name]

    def __contains__(self, name: object) -> bool:
        return name in self.artifacts

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "ended" not in self.__dict__:
            raise AttributeError(name)
        if name in TaskEnd._fields and name in self.artifacts:
            raise AttributeError(
                f"'{name}' is an artifact of the step '{self.ended.step}', result['{name}'], and an attribute of its "
                f"result, result.ended.{name}"
            )
        if name in TaskEnd._fields:
            return getattr(self.ended, name)
        if name in self.artifacts:
            return self.artifacts[name]
        near = difflib.get_close_matches(name, self.artifacts, n=1)
        known = f"did you mean '{near[0]}'?" if near else f"it has: {', '.join(self.artifacts) or 'none'}"
        raise AttributeError(f"the step '{self.ended.step}' has no artifact '{name}'; {known}")

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *TaskEnd._fields, *self.artifacts})

    def __repr__(self) -> str:
        end = self.ended
        how = f"next={end.next}" if end.ok else f"exception={end.exception!r}"
        return f"StepResult({end.flow.__name__}.{end.step}: {how}, artifacts: {', '.join(self.artifacts) or 'none'})"


class FlowResult:
    """What a run has done.

    ``result["train"]`` has the results of all tasks of a step, in order.

    Attributes
    ----------
    flow : type of FlowSpec
        The flow.
    run_id : str
        The run.
    status : str
        ``successful`` or ``failed``.
    tasks : tuple of StepResult
        All tasks, in the order in which they began.
    artifacts : mapping of str to object
        Those of the last step; of a run that has failed, none.
    exception : BaseException or None
        What made it fail.
    failure : TaskFailed or None
        The class and the sentence of that.
    """

    def __init__(
        self, plan: FlowPlan, run: str, tasks: Sequence[StepResult], *, ok: bool, culprit: StepResult | None
    ) -> None:
        self._plan = plan
        self.run_id = run
        self.flow: type[FlowSpec] = plan.flow_class
        self.status: str = "successful" if ok else "failed"
        self.tasks = tuple(tasks)
        self.artifacts: Mapping[str, Any] = tasks[-1].artifacts if ok else MappingProxyType({})
        self.exception: BaseException | None = culprit.ended.exception if culprit is not None else None
        self.failure: TaskFailed | None = culprit.ended.failure if culprit is not None else None

    @property
    def ok(self) -> bool:
        """Whether it came to its end."""
        return self.failure is None

    @property
    def stdout(self) -> str:
        """What its tasks have printed, one after the other."""
        return "".join(task.ended.stdout for task in self.tasks)

    @property
    def stderr(self) -> str:
        """As `stdout`."""
        return "".join(task.ended.stderr for task in self.tasks)

    def __getitem__(self, step: str) -> tuple[StepResult, ...]:
        if step not in self._plan.steps:
            near = difflib.get_close_matches(str(step), self._plan.steps, n=1)
            raise InvalidTestSetup(
                f"The flow {self._plan.name} has no step {step!r}.",
                hint=f"did you mean '{near[0]}'?" if near else f"its steps: {', '.join(self._plan.steps)}",
            )
        return tuple(task for task in self.tasks if task.ended.step == step)

    def __repr__(self) -> str:
        return f"FlowResult({self._plan.name}: {self.status}, {len(self.tasks)} tasks)"
