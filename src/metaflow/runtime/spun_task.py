"""A spun task, in the process that runs it: a task of its own whose inputs are those of a past one.

It reads the past run and writes elsewhere (`metaflow.store.spin.SpunStorage`). On what it reads it puts what is given
instead: the artifacts of ``--artifacts-module``, the values of parameters that the past run did not have, and the plain
values of the class as its source has them now.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from metaflow.compute.report import TaskReport
from metaflow.exception import CommandException, TaskFailed
from metaflow.flow.binding import Binding, Transition, is_indexable
from metaflow.flow.plan import FlowPlan
from metaflow.flow.spec import FlowSpec, constants_of
from metaflow.metadata_provider.protocol import Recorder
from metaflow.runtime.foreach_values import complete_elements
from metaflow.runtime.task import Task, TaskPlan
from metaflow.store.artifacts import Artifacts, TaskIndex, save_artifacts
from metaflow.store.internals import ELEMENTS
from metaflow.store.layout import PARAMETERS
from metaflow.store.spin import SpunStorage

_REMEDY = "the past run has no such artifact: --artifacts-module FILE gives it, with ARTIFACTS = {'NAME': …} in it"


class SpunTask(Task):
    """One spun task.

    Parameters
    ----------
    flow, plan, recorder, report
        As for `Task`.
    storage : SpunStorage
        What it reads and writes.
    replaced : mapping of str to object
        Artifacts that take the place of what the past tasks have, by name.
    added : mapping of str to object
        What the past run may not have: parameters and configs that the flow has got since, by attribute.
    keeps : bool
        Whether its results shall be whole without the past run.
    """

    def __init__(
        self,
        flow: FlowPlan,
        plan: TaskPlan,
        storage: SpunStorage,
        recorder: Recorder,
        report: Callable[[TaskReport], None],
        *,
        replaced: Mapping[str, Any],
        added: Mapping[str, Any],
        keeps: bool,
    ) -> None:
        super().__init__(flow, plan, storage, recorder, report)
        self._spun = storage
        self._replaced = replaced
        self._keeps = keeps
        self._given = {*flow.parameters, *flow.configs.values}
        self._added = self._stored({**added, **({"_graph_info": flow.description()} if keeps else {})})
        self._values = self._stored({**constants_of(flow.flow_class), **replaced})

    def _stored(self, values: Mapping[str, Any]) -> TaskIndex:
        index = TaskIndex({}, {})
        save_artifacts(self._blobs, values.items(), index)
        return index

    def _instance(self, binding: Binding) -> FlowSpec:
        binding.remedy = _REMEDY
        return super()._instance(binding)

    def _read(self, paths: Sequence[str]) -> list[TaskIndex]:
        indexes = super()._read(paths)
        for path, index in zip(paths, indexes, strict=True):
            complete_elements(self._blobs, index)
            is_of_run = self._is_join and path.split("/")[1] == PARAMETERS
            self._put(index, self._added, only_new=True)
            self._put(index, self._values, only=self._given if is_of_run else None)
        if self._plan.split_index is not None:
            self._replace_elements(indexes[0], self._plan.split_index)
        return indexes

    def _put(
        self, index: TaskIndex, values: TaskIndex, *, only_new: bool = False, only: set[str] | None = None
    ) -> None:
        for name, key in values.objects.items():
            if not (only_new and name in index.objects and name != "_graph_info") and (only is None or name in only):
                index.objects[name], index.info[name] = key, values.info[name]

    def _replace_elements(self, index: TaskIndex, position: int) -> None:
        """Let a task of a foreach have its element of what takes the place of the artifact that is iterated over."""
        var = Artifacts(self._blobs, index).get("_foreach_var")
        if var is None or var not in self._replaced:
            return
        value = self._replaced[var]
        elements = value if is_indexable(value) else list(value)
        if position >= len(elements):
            raise CommandException(
                f"ARTIFACTS has {len(elements)} elements for '{var}', and the spun task has the element {position}.",
                hint="give it as many, or spin the task of another element",
            )
        save_artifacts(self._blobs, [(ELEMENTS, elements), ("_foreach_num_splits", len(elements))], index)

    def _close(self, index: TaskIndex, transition: Transition | None, ok: bool, failure: TaskFailed | None) -> int:
        if self._keeps:
            self._spun.adopt([self._blobs.path(key) for key in index.objects.values()])
        return super()._close(index, transition, ok, failure)
