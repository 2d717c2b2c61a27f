"""The internal artifacts: who writes each, who reads it, whether it reaches the next task.

Beside what a user assigns, an index names artifacts of the runtime's own; all begin with an underscore, but for `name`.
Pure. Start reading at `TABLE`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeVar

_Value = TypeVar("_Value")

FAILURE = "_failure"
"""Why a failed attempt failed: `metaflow.exception.TaskFailed.record`."""

BRANCHES = "_branches"
"""The branches of splits that a task is in, where its step does not tell them."""

ELEMENTS = "_foreach_values"
"""The elements of the foreach that a task opens."""

_ELEMENTS_AT = f"{ELEMENTS}_"
"""Begins the names of the elements of the foreaches around a task; the depth follows."""


class Internal(NamedTuple):
    """One internal artifact.

    Attributes
    ----------
    name : str
        Its name, or how it begins if it ends in an underscore.
    writer : str
        ``run``: with the parameters, once; ``task``: each; ``split``: one that opens a foreach; ``branch``: one whose
        step is in several branches; ``failed``: one that failed, also if @catch let the run go on.
    has_document : bool
        Whether clients ask the metadata for it, so that it has a document there; the index has all.
    is_inherited : bool
        Whether a task finds it among its inputs, as it finds the user's artifacts.
    is_merged : bool
        Whether `merge_artifacts` takes it over, as it takes the user's artifacts.
    """

    name: str
    writer: Literal["run", "task", "split", "branch", "failed"]
    has_document: bool = False
    is_inherited: bool = False
    is_merged: bool = False


TABLE = (
    Internal(BRANCHES, "branch"),
    Internal("_catch_exception", "failed", is_inherited=True, is_merged=True),
    Internal("_configs_processed", "run", is_inherited=True),
    Internal("_current_step", "task"),
    Internal("_exception", "task", has_document=True),
    Internal(FAILURE, "failed"),
    Internal("_foreach_num_splits", "task"),
    Internal("_foreach_stack", "task", has_document=True),
    Internal(ELEMENTS, "split"),
    Internal(_ELEMENTS_AT, "task", is_inherited=True),
    Internal("_foreach_var", "task"),
    Internal("_graph_info", "run", has_document=True, is_inherited=True),
    Internal("_iteration_stack", "task"),
    Internal("_success", "task", has_document=True),
    Internal("_task_ok", "task", has_document=True),
    Internal("_transition", "task", has_document=True),
    Internal("name", "run", has_document=True, is_inherited=True),
)

_BY_NAME = {row.name: row for row in TABLE}


def find(name: str) -> Internal | None:
    """Return the row of an artifact; None if it is the user's own."""
    return _BY_NAME.get(_ELEMENTS_AT if name.startswith(_ELEMENTS_AT) else name)


def has_document(name: str) -> bool:
    """Tell whether the metadata has a document of this artifact: the user's own, and what clients ask for."""
    row = find(name)
    return not name.startswith("_") if row is None else row.has_document


def inherited(values: Mapping[str, _Value]) -> dict[str, _Value]:
    """Return those of a task's artifacts that the next task finds among its inputs."""
    return {name: value for name, value in values.items() if (row := find(name)) is None or row.is_inherited}


def mergeable(values: Mapping[str, _Value]) -> dict[str, _Value]:
    """Return those of a task's artifacts that a join may merge."""
    return {name: value for name, value in values.items() if (row := find(name)) is None or row.is_merged}
