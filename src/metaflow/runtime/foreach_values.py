"""The elements of foreaches, in the index of a task that Metaflow has written.

A task here names the elements of each foreach around it (`foreach_values_name`), and the one that opens a foreach names
them as ``_foreach_values``. Metaflow stores only their strings under that name, and finds the elements by the name of
the artifact that was iterated over, for as long as nobody reuses it. A task taken over from Metaflow gets what the
tasks after it look for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from metaflow.flow.binding import foreach_values_name, is_indexable
from metaflow.store.artifacts import Artifacts, TaskIndex, save_artifacts
from metaflow.store.blobs import Blobs
from metaflow.store.internals import ELEMENTS


def is_complete(stored: TaskIndex, frames: Sequence[Any], *, opens: bool) -> bool:
    """Tell whether an index can stand for the first attempt of a task as it is, without a look at any blob."""
    return stored.attempt == 0 and not opens and not _missing(stored, frames)


def _missing(stored: TaskIndex, frames: Sequence[Any]) -> list[int]:
    """Return the depths of the foreaches whose elements an index does not name."""
    return [depth for depth in range(len(frames)) if foreach_values_name(depth) not in stored.objects]


def with_foreach_values(
    blobs: Blobs, stored: TaskIndex, frames: Sequence[Any], before: TaskIndex, *, opened: bool, opens: bool
) -> TaskIndex:
    """Return the index of the first attempt of a task that takes over `stored`: itself if it fits as it is.

    Parameters
    ----------
    blobs : Blobs
        Where the artifacts are.
    stored : TaskIndex
        The finished task, written by whom ever.
    frames : sequence of ForeachFrame
        The foreaches around it.
    before : TaskIndex
        The first of the tasks before it, as this function returned it.
    opened : bool
        Whether `before` opened the innermost of `frames`.
    opens : bool
        Whether the task itself opens one.
    """
    if is_complete(stored, frames, opens=opens):
        return stored
    missing = _missing(stored, frames)
    index = TaskIndex(dict(stored.objects), dict(stored.info))
    for depth in missing:
        name = foreach_values_name(depth)
        source = ELEMENTS if opened and depth == len(frames) - 1 else name
        index.objects[name], index.info[name] = before.objects[source], before.info[source]
    name_elements(blobs, index)
    return index


def complete_elements(blobs: Blobs, index: TaskIndex) -> None:
    """Have the index of a task name all elements that the tasks after it look for, as far as the task has them."""
    frames = Artifacts(blobs, index).get("_foreach_stack") or ()
    for depth in _missing(index, frames):
        name, var = foreach_values_name(depth), frames[depth].var
        if var in index.objects:
            index.objects[name], index.info[name] = index.objects[var], index.info[var]
    name_elements(blobs, index)


def name_elements(blobs: Blobs, index: TaskIndex) -> None:
    """Have the index of a task that opens a foreach name its elements, rather than their strings."""
    artifacts = Artifacts(blobs, index)
    var = artifacts.get("_foreach_var")
    if var not in index.objects or index.objects.get(ELEMENTS) == index.objects[var]:
        return
    value, values = artifacts[var], artifacts.get(ELEMENTS)
    if is_indexable(value):
        index.objects[ELEMENTS], index.info[ELEMENTS] = index.objects[var], index.info[var]
    elif not _are_elements(values, elements := list(value)):
        save_artifacts(blobs, [(ELEMENTS, elements)], index)


def _are_elements(values: Any, elements: list[Any]) -> bool:
    """Tell whether `values` are not the strings of `elements`; of a set they may come in another order."""
    if not isinstance(values, list) or not all(type(value) is str for value in values):
        return values is not None
    return all(type(element) is str for element in elements) and sorted(values) == sorted(elements)
