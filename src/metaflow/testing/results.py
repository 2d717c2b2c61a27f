"""What a test gets: `StepResult` of a task, `FlowResult` of a run."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from metaflow.app.configs import LoadedConfigs
from metaflow.exception import InvalidTestSetup, TaskFailed
from metaflow.flow.plan import FlowPlan
from metaflow.flow.spec import FlowSpec
from metaflow.store import internals
from metaflow.store.artifacts import Artifacts, TaskIndex
from metaflow.store.blobs import Blobs
from metaflow.store.memory import MemoryStorage

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


class StepResult:
    """What a step has done.

    An artifact is ``result["accuracy"]``, or ``result.accuracy`` if the result has no attribute of that name.

    Attributes
    ----------
    flow : type of FlowSpec
        The flow.
    step : str
        The step.
    artifacts : mapping of str to object
        What the step after it would find on self: what this one has assigned, and what came through it. Without
        parameters, configs and attributes of the flow's class.
    next : tuple of str
        The steps that follow; of a switch, the one chosen. Empty after the last step, and after a failure.
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
    """

    def __init__(
        self,
        plan: FlowPlan,
        configs: LoadedConfigs,
        step: str,
        attempts: Sequence[Attempt],
        storage: MemoryStorage,
        index: TaskIndex,
    ) -> None:
        last = attempts[-1]
        artifacts = Artifacts(Blobs(storage, plan.name), index)
        fixed = {*plan.parameters, *plan.configs.values, *plan.flow_class._constants}
        names = [name for name in index.objects if internals.find(name) is None and name not in fixed]
        self._storage = storage
        self._index = index
        self._configs = configs
        self.flow: type[FlowSpec] = plan.flow_class
        self.step = step
        self.artifacts: Mapping[str, Any] = ArtifactValues(artifacts, names)
        self.next: tuple[str, ...] = last.report.next
        self.foreach: Sequence[Any] | None = artifacts[internals.ELEMENTS] if last.report.width is not None else None
        self.condition: str | None = last.condition if last.report.ok else None
        self.stdout = "".join(each.place.stdout.getvalue() for each in attempts)
        self.stderr = "".join(each.place.stderr.getvalue() for each in attempts)
        self.exception: BaseException | None = last.error
        self.failure: TaskFailed | None = last.report.failure
        self.attempts = len(attempts)
        self.current: Mapping[str, Any] = MappingProxyType(last.place.values)

    @property
    def ok(self) -> bool:
        """Whether the run can go on after it."""
        return self.failure is None

    def __getitem__(self, name: str) -> Any:
        return self.artifacts[name]

    def __contains__(self, name: object) -> bool:
        return name in self.artifacts

    def __getattr__(self, name: str) -> Any:
        artifacts = self.__dict__.get("artifacts", {})
        if name in artifacts:
            return artifacts[name]
        if name.startswith("__"):
            raise AttributeError(name)
        near = difflib.get_close_matches(name, artifacts, n=1)
        known = f"did you mean '{near[0]}'?" if near else f"it has: {', '.join(artifacts) or 'none'}"
        raise AttributeError(f"the step '{self.__dict__.get('step')}' has no artifact '{name}'; {known}")

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.artifacts})

    def __repr__(self) -> str:
        end = f"next={self.next}" if self.ok else f"exception={self.exception!r}"
        return f"StepResult({self.flow.__name__}.{self.step}: {end}, artifacts: {', '.join(self.artifacts) or 'none'})"


class FlowResult:
    """What a run has done.

    ``result["train"]`` has the results of all tasks of a step, in order.

    Attributes
    ----------
    flow : type of FlowSpec
        The flow.
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

    def __init__(self, plan: FlowPlan, tasks: Sequence[StepResult], *, ok: bool, culprit: StepResult | None) -> None:
        self._plan = plan
        self.flow: type[FlowSpec] = plan.flow_class
        self.status: str = "successful" if ok else "failed"
        self.tasks = tuple(tasks)
        self.artifacts: Mapping[str, Any] = tasks[-1].artifacts if ok else MappingProxyType({})
        self.exception: BaseException | None = culprit.exception if culprit is not None else None
        self.failure: TaskFailed | None = culprit.failure if culprit is not None else None

    @property
    def ok(self) -> bool:
        """Whether it came to its end."""
        return self.failure is None

    @property
    def stdout(self) -> str:
        """What its tasks have printed, one after the other."""
        return "".join(task.stdout for task in self.tasks)

    @property
    def stderr(self) -> str:
        """As `stdout`."""
        return "".join(task.stderr for task in self.tasks)

    def __getitem__(self, step: str) -> tuple[StepResult, ...]:
        if step not in self._plan.steps:
            near = difflib.get_close_matches(str(step), self._plan.steps, n=1)
            raise InvalidTestSetup(
                f"The flow {self._plan.name} has no step {step!r}.",
                hint=f"did you mean '{near[0]}'?" if near else f"its steps: {', '.join(self._plan.steps)}",
            )
        return tuple(task for task in self.tasks if task.step == step)

    def __repr__(self) -> str:
        return f"FlowResult({self._plan.name}: {self.status}, {len(self.tasks)} tasks)"
