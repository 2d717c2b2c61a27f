"""What comes into a step under test: tasks before it, made of what the test gives, as they would have been stored.

Start reading at `InputTasks.store`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from metaflow.exception import InvalidTestSetup, UnpicklableArtifact
from metaflow.flow.binding import foreach_values_name, is_indexable
from metaflow.flow.frames import ForeachFrame, PicklableFrames, frame_value
from metaflow.flow.graph import Graph
from metaflow.flow.plan import FlowPlan
from metaflow.flow.spec import FlowSpec, hint_for_missing
from metaflow.flow.splits import trace
from metaflow.runtime.begin import first_artifacts
from metaflow.runtime.events import TaskRef
from metaflow.runtime.inputs import is_storable
from metaflow.store.artifacts import TaskIndex, TaskStore, save_artifacts
from metaflow.store.blobs import Blobs
from metaflow.store.layout import PARAMETERS
from metaflow.store.protocol import Storage
from metaflow.testing.results import StepResult


class Foreach(NamedTuple):
    """One foreach around a step, and where in it the step stands.

    Attributes
    ----------
    values : sequence
        What it runs over.
    index : int
        Position of the element that the step handles, from 0.
    """

    values: Sequence[Any]
    index: int = 0  # type: ignore[assignment]  # hides tuple.index


Loops = Foreach | Sequence[Foreach]
"""The foreaches around a step, outermost first."""

TaskInputs = Mapping[str, Any] | StepResult
"""What a task has left: its artifacts, or the result of running it."""

Inputs = TaskInputs | Mapping[str, TaskInputs] | Sequence[TaskInputs]
"""What comes into a step: of one task; for a join, of several, by name or in order."""


def results_in(inputs: Any) -> list[StepResult]:
    """Return the results of earlier steps that are among the inputs of a step."""
    if isinstance(inputs, StepResult):
        return [inputs]
    each = inputs.values() if isinstance(inputs, Mapping) else inputs if isinstance(inputs, (list, tuple)) else ()
    return [value for value in each if isinstance(value, StepResult)]


class Coming(NamedTuple):
    """What has been stored for a step.

    Attributes
    ----------
    tasks : tuple of TaskRef
        Those before it.
    split_index : int or None
        Its position in the foreach that the task before it has opened.
    """

    tasks: tuple[TaskRef, ...]
    split_index: int | None = None


class InputTasks:
    """Stores the tasks before a step.

    Parameters
    ----------
    plan : FlowPlan
        The flow.
    step : str
        The step under test.
    storage : Storage
        Where.
    run : str
        Id of the run.
    parameters : mapping of str to object
        All parameters, by attribute.
    given : mapping of str to object
        Those of them that the test gives: they go before what a `StepResult` has.
    """

    def __init__(
        self,
        plan: FlowPlan,
        step: str,
        storage: Storage,
        run: str,
        parameters: Mapping[str, Any],
        given: Mapping[str, Any],
    ) -> None:
        self._plan = plan
        self._graph: Graph = plan.graph
        self._node = plan.graph[step]
        self._step = step
        self._storage = storage
        self._run = run
        self._blobs = Blobs(storage, plan.name)
        self._common = first_artifacts(plan, parameters)
        self._given = given
        self._stored: list[TaskRef] = []

    def store(self, inputs: Inputs | None, loops: Loops | None) -> Coming:
        """Store what comes into the step, and say where.

        Raises
        ------
        InvalidTestSetup
            That cannot come into this step.
        UnpicklableArtifact
            A part of it cannot be an artifact.
        """
        if self._node.is_join:
            return self._store_branches(inputs, loops)
        if isinstance(inputs, StepResult):
            return self._follow(inputs, loops)
        if inputs is not None and not isinstance(inputs, Mapping):
            raise InvalidTestSetup(
                f"The step '{self._step}' is no join, and its inputs are a {type(inputs).__name__}.",
                hint="give it one dictionary: inputs={'artifact': value}",
            )
        if inputs and self._step in self._graph.starts:
            raise InvalidTestSetup(
                f"The step '{self._step}' begins the flow, and so it has no inputs.", hint="params= gives parameters"
            )
        parent = next(iter(self._node.parents), PARAMETERS)
        return Coming((self._save(parent, inputs or {}, self._loops(loops)),))

    # --- one task ---------------------------------------------------------------------------------------------------

    def _follow(self, result: StepResult, loops: Loops | None) -> Coming:
        """Let the step come after a task that a test has run."""
        self._check_flow(result)
        if self._step not in result.ended.next:
            ways = ", ".join(result.ended.next) or "nowhere"
            raise InvalidTestSetup(f"The step '{result.ended.step}' went to {ways}, and not to '{self._step}'.")
        if result.ended.foreach is None:
            if loops is not None:
                raise self._says_itself(result)
            return Coming((self._adopt(result),))
        if not isinstance(loops, Foreach) or loops.values is not result.ended.foreach:
            raise InvalidTestSetup(
                f"The step '{result.ended.step}' has opened a foreach, and '{self._step}' handles one of its elements.",
                hint="say which by foreach=Foreach(result.foreach, index)",
            )
        self._check_index(loops)
        return Coming((self._adopt(result),), loops.index)

    def _adopt(self, result: StepResult) -> TaskRef:
        """Store what a task has left, under this run."""
        self._take_over(result, result._index.objects)
        index = TaskIndex(dict(result._index.objects), dict(result._index.info))
        return self._write(result.ended.step, self._given, index)

    def _take_over(self, result: StepResult, names: Iterable[str]) -> None:
        """Have the bytes of some artifacts of a result."""
        keys = {result._index.objects[name] for name in names}
        self._blobs.save(result._blobs.load_many(list(keys)))

    def _save(
        self, step: str, artifacts: Mapping[str, Any], loops: Sequence[Foreach], frames: Sequence[ForeachFrame] = ()
    ) -> TaskRef:
        """Store a task that has left `artifacts`, within `loops`, and further loops of which there is but a frame."""
        self._check_names(artifacts)
        elements = {foreach_values_name(depth): loop.values for depth, loop in enumerate(loops)}
        stack = [*map(self._frame, self._loops_around(), loops), *frames]
        internal = {"_foreach_stack": stack, "_task_ok": True, "_success": True, "_transition": ([self._step], None)}
        return self._write(step, {**self._common, **artifacts, **internal, **elements}, TaskIndex({}, {}))

    def _write(self, step: str, values: Mapping[str, Any], index: TaskIndex) -> TaskRef:
        try:
            with PicklableFrames():
                save_artifacts(self._blobs, values.items(), index)
        except UnpicklableArtifact as error:
            error.hint = "what comes into a step are artifacts, which have been pickled"
            raise
        task = TaskRef(step, len(self._stored))
        store = TaskStore(self._storage, f"{self._plan.name}/{self._run}/{task.step}/{task.id}")
        store.write(store.index(index))
        store.write(store.done(0))
        self._stored.append(task)
        return task

    def _check_names(self, artifacts: Mapping[str, Any]) -> None:
        for name in artifacts:
            if not isinstance(name, str) or not is_storable(name):
                raise InvalidTestSetup(f"{name!r} cannot be the name of an artifact.")
            if name in self._plan.parameters:
                what, hint = "a parameter", f"give it in params={{'{name}': …}}"
            elif name in self._plan.configs.values:
                what, hint = "a config", f"give it in config={{'{name}': …}}"
            elif hasattr(self._plan.flow_class, name):
                what, hint = "an attribute of the flow's class", "inputs are artifacts, which earlier steps assign"
            else:
                continue
            raise InvalidTestSetup(f"'{name}', among the inputs of the step '{self._step}', is {what}.", hint=hint)

    def _check_flow(self, result: StepResult) -> None:
        flow, other, step = self._plan.flow_class, result.ended.flow, result.ended.step
        if not (issubclass(flow, other) or issubclass(other, flow)):
            raise InvalidTestSetup(
                f"The result of '{step}' is one of the flow {other.__name__}, not of {self._plan.name}."
            )
        if not result.ended.ok:
            raise InvalidTestSetup(f"The step '{step}' has failed, so that nothing comes after it.")

    # --- foreaches around the step ----------------------------------------------------------------------------------

    def _loops_around(self) -> list[tuple[str, str]]:
        """Return artifact and first step of each foreach around the step, outermost first."""
        node = self._node
        splits = zip(node.split_parents, node.split_branches, strict=False)  # a join lacks the last branch
        around = [(self._graph[split], branch) for split, branch in splits]
        return [(split.foreach or "", branch) for split, branch in around if split.kind == "foreach"]

    def _loops(self, loops: Loops | None) -> Sequence[Foreach]:
        given = () if loops is None else [loops] if isinstance(loops, Foreach) else loops
        around = self._loops_around()
        for loop in given:
            if not isinstance(loop, Foreach) or not is_indexable(loop.values):
                raise InvalidTestSetup("foreach= takes a Foreach(elements, index), whose elements are a list.")
        if len(given) == len(around):
            for loop in given:
                self._check_index(loop)
            return given
        over = " and ".join(f"self.{artifact}" if artifact else "its elements" for artifact, _ in around)
        if not around:
            raise InvalidTestSetup(f"The step '{self._step}' is in no foreach: it takes no input= and no foreach=.")
        if len(around) == 1:
            hint = "give it input=element, or foreach=Foreach(elements, index)"
        else:
            hint = "give one for each, outermost first: foreach=[Foreach(elements, index), Foreach(elements, index)]"
        raise InvalidTestSetup(f"The step '{self._step}' runs in a foreach over {over}.", hint=hint)

    @staticmethod
    def _frame(place: tuple[str, str], loop: Foreach) -> ForeachFrame:
        artifact, step = place
        return ForeachFrame(step, artifact, len(loop.values), loop.index, frame_value(loop.values[loop.index]))

    def _check_index(self, loop: Foreach) -> None:
        width = len(loop.values)
        if not 0 <= loop.index < width:
            raise InvalidTestSetup(
                f"The foreach around '{self._step}' has {width} elements, and none with the index {loop.index}."
            )

    # --- joins ------------------------------------------------------------------------------------------------------

    def _store_branches(self, inputs: Inputs | None, loops: Loops | None) -> Coming:
        if not self._node.split_parents:
            raise InvalidTestSetup(f"No split leads to the join '{self._step}' in the flow {self._plan.name}.")
        results = results_in(inputs)
        if results and self._loops_around() and len(results) < len(inputs or ()):
            raise InvalidTestSetup("Inputs are all results, or all dictionaries, since results are in a foreach.")
        if results and loops is not None:
            raise self._says_itself(results[0])
        self._write_parameters(results)
        around = () if results else self._loops(loops)
        split = self._graph[self._node.split_parents[-1]]
        if split.kind == "foreach":
            return Coming(self._store_elements(split.foreach or "", split.next[0], inputs, around))
        tasks = []
        for step, each in self._of_one_split(inputs):
            tasks.append(self._adopt(each) if isinstance(each, StepResult) else self._save(step, each, around))
        return Coming(tuple(tasks))

    @staticmethod
    def _says_itself(result: StepResult) -> InvalidTestSetup:
        return InvalidTestSetup(f"The result of '{result.ended.step}' says itself which foreach it is in.")

    def _write_parameters(self, results: Sequence[StepResult]) -> None:
        """Store what a join finds on self: the parameters of the steps before it, if a test has run them."""
        index = TaskIndex({}, {})
        save_artifacts(self._blobs, self._common.items(), index)
        for result in results[:1]:
            names = self._plan.parameters.keys() & result._index.objects.keys() - self._given.keys()
            self._take_over(result, names)
            for name in names:
                index.objects[name], index.info[name] = result._index.objects[name], result._index.info[name]
        store = TaskStore(self._storage, f"{self._plan.name}/{self._run}/{PARAMETERS}/0")
        store.write(store.index(index))
        store.write(store.done(0))

    def _store_elements(
        self, artifact: str, first: str, inputs: Inputs | None, around: Sequence[Foreach]
    ) -> tuple[TaskRef, ...]:
        if not isinstance(inputs, Sequence) or not inputs or not all(map(_is_of_a_task, inputs)):
            raise InvalidTestSetup(
                f"The join '{self._step}' takes what the tasks of a foreach have left.",
                hint="give it a list, with a dictionary for each: inputs=[{'score': 1}, {'score': 2}]",
            )
        tasks = []
        for index, each in enumerate(inputs):
            step = self._node.parents[0]
            if isinstance(each, StepResult):
                self._check_leads_here(each)
                tasks.append(self._adopt(each))
            else:
                frame = ForeachFrame(first, artifact, len(inputs), index)
                tasks.append(self._save(step, each, around, [frame]))
        return tuple(tasks)

    def _check_leads_here(self, result: StepResult) -> None:
        self._check_flow(result)
        if self._step not in result.ended.next:
            raise InvalidTestSetup(f"The step '{result.ended.step}' does not lead to the join '{self._step}'.")

    def _of_one_split(self, inputs: Inputs | None) -> list[tuple[str, Any]]:
        """Return `_branches` of the split that the inputs fit, where there are several: those of a switch's cases."""
        closed = next(open[-1] for node, _, open in trace(self._graph) if node.name == self._step)
        refusals = []
        for way in dict.fromkeys(frame.way for frame in closed):
            try:
                return self._branches(way.steps, inputs)
            except InvalidTestSetup as error:
                refusals.append(error)
        raise refusals[0]

    def _branches(self, branches: Sequence[str], inputs: Inputs | None) -> list[tuple[str, Any]]:
        """Return for each branch of a split, in order, the last step of it and what that has left."""
        ways = [self._graph.ways(branch, self._step) for branch in branches]
        ends = [[step for step in self._node.parents if step in way] for way in ways]
        names = [" or ".join(steps) for steps in ends]
        given: list[tuple[str, Any]]
        if isinstance(inputs, Mapping) and all(map(_is_of_a_task, inputs.values())):
            given = list(inputs.items())
        elif isinstance(inputs, Sequence) and all(isinstance(each, StepResult) for each in inputs):
            given = [(each.ended.step, each) for each in inputs if isinstance(each, StepResult)]
        else:
            given = []
        chosen = [[pair for pair in given if pair[0] in steps] for steps in ends]
        if len(given) != len(branches) or any(len(pairs) != 1 for pairs in chosen):
            form = ", ".join(f"'{steps[0]}': {{…}}" for steps in ends if steps)
            got = f", and is given {', '.join(name for name, _ in given)}" if given else ""
            raise InvalidTestSetup(
                f"The join '{self._step}' takes what {' and '.join(names)} have left{got}.",
                hint=f"give it inputs={{{form}}}",
            )
        for _, each in given:
            if isinstance(each, StepResult):
                self._check_leads_here(each)
        return [pairs[0] for pairs in chosen]


def _is_of_a_task(value: Any) -> bool:
    return isinstance(value, (Mapping, StepResult))


def missing_hint(plan: FlowPlan, step: str, error: BaseException) -> str | None:
    """Say how a test gives what a step has asked for in vain; None if the error is about something else."""
    if not isinstance(error, AttributeError) or not isinstance(error.obj, FlowSpec) or error.name is None:
        return None
    name, binding = error.name, error.obj._binding
    if name in plan.parameters:
        return f"the parameter has no default: give params={{'{name}': …}}"
    known = hint_for_missing(error.obj, name)
    if known is not None or name.startswith("__") or step in plan.graph.starts:
        return known
    what = "if an earlier step assigns it, give it in the dictionary of each input" if binding.step != step else ""
    return what or f"if an earlier step assigns it, give inputs={{'{name}': …}}"
