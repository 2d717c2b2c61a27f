"""The tasks that a task takes its artifacts from: how they are named on a command line, and how a join reads them.

A join of ten thousand tasks names them as ``RUN/STEP/2-10001`` and opens each when it is touched. Of an input that
nobody holds any more, `Inputs` keeps what the step may have changed: values that can change in place, and what was set
or deleted; the rest can be read again. Where each reading crosses a network, neighbours are opened together.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from types import FunctionType, MethodType
from typing import Any, overload
from weakref import ref

from metaflow.exception import CommandException, MetaflowDataMissing
from metaflow.flow.binding import Changes
from metaflow.flow.spec import FlowSpec
from metaflow.metadata_provider.task_ids import TaskId, parse
from metaflow.runtime.events import TaskRef

_LONGEST_NAME = 150
"""Bytes of an artifact's name: file systems take 255, and more is added to it."""


def encode_input_paths(run: str, inputs: Sequence[TaskRef]) -> str:
    """Write tasks as ``run/step/id`` and ``run/step/first-last``, separated by commas, in order.

    >>> encode_input_paths("7", [TaskRef("a", 2), TaskRef("a", 3), TaskRef("b", 4)])
    '7/a/2-3,7/b/4'
    """
    parts = []
    start = 0
    while start < len(inputs):
        end = start
        step, first = inputs[start]
        while end + 1 < len(inputs) and inputs[end + 1] == (step, first + end + 1 - start):
            end += 1
        parts.append(f"{run}/{step}/{first}" + (f"-{inputs[end].id}" if end > start else ""))
        start = end + 1
    return ",".join(parts)


def decode_input_paths(text: str) -> list[str]:
    """Return the tasks that `encode_input_paths` wrote, each as ``run/step/id``.

    Raises
    ------
    CommandException
        The text is malformed.
    """
    paths = []
    for part in text.split(","):
        head, _, task = part.rpartition("/")
        first, last = map(parse, task.partition("-")[::2])
        found = [part]
        if first is not None and last is not None:
            found = [f"{head}/{TaskId(number, first.prefix)}" for number in range(first, last + 1)]
        if part.count("/") != 2 or not all(part.split("/")) or not found:
            raise CommandException(f"--input-paths: '{part}' is not of the form run/step/task.")
        paths += found
    return paths


class Inputs:
    """The inputs of a join: by position, by iterating, and those of a static split also by step name.

    It is a sequence without the methods of one: `inputs.count` is the input from the step ``count``.

    Parameters
    ----------
    paths : sequence of str
        ``run/step/task`` of each, in the order of the split.
    open_inputs : callable
        Paths to the flow instances that read these tasks' artifacts.
    together : int
        How many neighbours are opened, and kept, together.
    """

    def __init__(
        self, paths: Sequence[str], open_inputs: Callable[[Sequence[str]], list[FlowSpec]], together: int = 1
    ) -> None:
        self._paths = paths
        self._open_inputs = open_inputs
        self._together = together
        self._opened: dict[int, ref[FlowSpec]] = {}
        self._changes: dict[int, Changes] = {}
        self._latest: list[FlowSpec] = []

    def __len__(self) -> int:
        return len(self._paths)

    @overload
    def __getitem__(self, index: int) -> FlowSpec: ...
    @overload
    def __getitem__(self, index: slice) -> list[FlowSpec]: ...
    def __getitem__(self, index: int | slice) -> FlowSpec | list[FlowSpec]:
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        position = range(len(self._paths))[index]
        return self._held(position) or self._open(position)

    def _held(self, position: int) -> FlowSpec | None:
        reference = self._opened.get(position)
        return reference() if reference is not None else None

    def _open(self, position: int) -> FlowSpec:
        start = position - position % self._together
        flows = self._open_inputs(self._paths[start : start + self._together])
        # What somebody holds stays the same object.
        flows = [self._held(number) or self._remember(number, flow) for number, flow in enumerate(flows, start)]
        if self._together > 1:
            self._latest = flows
        return flows[position - start]

    def _remember(self, position: int, flow: FlowSpec) -> FlowSpec:
        changes = self._changes.get(position)
        if changes is not None:
            flow.__dict__.update(changes.attributes)
            flow._binding.adopt(changes)
        self._opened[position] = ref(flow, partial(self._let_go, position, flow.__dict__))
        return flow

    def _let_go(self, position: int, attributes: dict[str, Any], reference: ref[FlowSpec]) -> None:
        """Keep what may have changed of an input that nobody holds any more."""
        changes = attributes["_binding"].changes(attributes)
        if any(changes):
            self._changes[position] = changes
        if self._opened.get(position) is reference:
            del self._opened[position]

    def __iter__(self) -> Iterator[FlowSpec]:
        return (self[position] for position in range(len(self)))

    def __getattr__(self, name: str) -> FlowSpec:
        if name.startswith("__"):
            raise AttributeError(name)
        steps = [path.split("/")[1] for path in self._paths]
        if name in steps:
            return self[len(steps) - 1 - steps[::-1].index(name)]  # of a foreach the last task, as in Metaflow
        known = ", ".join(sorted(set(steps)))
        raise AttributeError(
            f"no input comes from a step '{name}' (they come from: {known}); "
            f"iterate over inputs to read the artifact of each: [i.{name} for i in inputs]"
        )

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *(path.split("/")[1] for path in self._paths)})

    def __repr__(self) -> str:
        return f"<{len(self)} inputs>"


def missing_input(path: str) -> MetaflowDataMissing:
    """Return the error for an input whose index is not there."""
    return MetaflowDataMissing(
        f"The task {path} has no stored results.", hint="was its data removed while the run was going on?"
    )


def is_storable(name: str) -> bool:
    """Tell whether an artifact of this name can be stored: files are named after it."""
    return name.isprintable() and "/" not in name and 0 < len(name.encode()) <= _LONGEST_NAME


def is_passing_function(value: Any) -> bool:
    """Tell whether a value is a function that cannot be pickled: a step may keep it on self, but it is no artifact.

    So in Metaflow: a lambda, a function inside a function, a method of the flow.
    """
    if not isinstance(value, (FunctionType, MethodType)):
        return False
    try:
        pickle.dumps(value)
    except Exception:  # noqa: BLE001 - a method's own object may raise anything
        return True
    return False
