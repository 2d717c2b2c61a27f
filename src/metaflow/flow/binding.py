"""What connects a flow instance to a task: what comes in, and where the step goes.

`metaflow.runtime.task` makes a `Binding` before the step and reads it afterwards; `metaflow.flow.spec` uses it while
the step runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from metaflow.flow.frames import ForeachFrame

if TYPE_CHECKING:
    from metaflow.flow.spec import FlowSpec

INTERNAL = frozenset({"_binding"})
"""Names in an instance's ``__dict__`` that are ours and never artifacts."""

_IMMUTABLE = frozenset({int, float, complex, bool, str, bytes, range, type(None)})
_IMMUTABLE_BY_NAME = frozenset(
    {
        ("datetime", "date"), ("datetime", "datetime"), ("datetime", "timedelta"), ("decimal", "Decimal"),
        ("fractions", "Fraction"), ("uuid", "UUID"), ("pathlib", "PosixPath"), ("pathlib", "PurePosixPath"),
    }
)  # fmt: skip


class Transition:
    """Where a step goes: the successors, and what the foreach runs over.

    Attributes
    ----------
    steps : tuple of str
        Names of the successors; of a switch, those of the case chosen.
    foreach : str or None
        Name of the artifact that is iterated over.
    values : sequence or None
        Its elements, indexable from 0.
    recursive : bool
        Whether one of the cases of the switch is the step itself.
    condition : str or None
        Name of the artifact that the switch looks at.
    """

    __slots__ = ("condition", "foreach", "recursive", "steps", "values")

    def __init__(
        self,
        steps: tuple[str, ...],
        foreach: str | None = None,
        values: Sequence[Any] | None = None,
        *,
        recursive: bool = False,
        condition: str | None = None,
    ) -> None:
        self.steps = steps
        self.foreach = foreach
        self.values = values
        self.recursive = recursive
        self.condition = condition


class Changes(NamedTuple):
    """What was read from an instance that can change in place, and what was set on it or deleted.

    Attributes
    ----------
    attributes : dict of str to object
        Artifacts: name to value.
    deleted : set of str
        Artifacts that are gone.
    parameters : dict of str to object
        Values of parameters.
    elements : dict of int to object
        Foreach elements, by depth.
    """

    attributes: dict[str, Any]
    deleted: set[str]
    parameters: dict[str, Any]
    elements: dict[int, Any]


class Binding:
    """What connects a flow instance to a task.

    Parameters
    ----------
    step : str
        The step's name.
    artifacts : mapping of str to object
        The artifacts that come in; loading happens in ``[]``.
    keys : mapping of str to str
        Name to content hash of those of them that a join may merge.
    frames : list of ForeachFrame
        The foreaches around the task, outermost first.
    is_join : bool
        Whether the step takes inputs.

    Attributes
    ----------
    deleted : set of str
        Incoming artifacts that the step deleted.
    merged : dict of str to FlowSpec
        Artifacts taken over unread by `merge_artifacts`: name to the input that has it.
    parameters : dict of str to object
        Values of parameters that were read.
    unchanging : dict of str to object
        Incoming artifacts that were read and cannot be changed in place, so that they are not saved again.
    transition : Transition or None
        What `next` noted.
    remedy : str or None
        What helps where an artifact is missing, if that is not plain.
    """

    __slots__ = (
        "artifacts", "deleted", "frames", "is_join", "keys", "merged", "parameters", "remedy", "step", "transition",
        "unchanging", "values",
    )  # fmt: skip

    def __init__(
        self,
        step: str,
        artifacts: Mapping[str, Any],
        keys: Mapping[str, str],
        frames: list[ForeachFrame],
        is_join: bool = False,
    ) -> None:
        self.step = step
        self.artifacts = artifacts
        self.keys = keys
        self.frames = frames
        self.is_join = is_join
        self.deleted: set[str] = set()
        self.merged: dict[str, FlowSpec] = {}
        self.unchanging: dict[str, Any] = {}
        self.parameters: dict[str, Any] = {}
        self.transition: Transition | None = None
        self.remedy: str | None = None
        self.values: dict[int, Any] = {}

    def element(self, depth: int) -> Any:
        """Return the foreach element of the frame at `depth`."""
        if depth not in self.values:
            frame, name = self.frames[depth], foreach_values_name(depth)
            if name not in self.artifacts:
                raise AttributeError(f"what the foreach over self.{frame.var} runs over is not known here")
            self.values[depth] = self.artifacts[name][frame.index]
        return self.values[depth]

    def changes(self, attributes: Mapping[str, Any]) -> Changes:
        """Return what another instance of the same task needs in order to stand for this one, with these attributes."""
        return Changes(
            {name: value for name, value in attributes.items() if name not in INTERNAL},
            self.deleted,
            {name: value for name, value in self.parameters.items() if not is_immutable(value)},
            {depth: value for depth, value in self.values.items() if not is_immutable(value)},
        )

    def adopt(self, changes: Changes) -> None:
        """Go on from what was noted for another instance; its attributes are the instance's own."""
        self.deleted.update(changes.deleted)
        self.parameters.update(changes.parameters)
        self.values.update(changes.elements)


def foreach_values_name(depth: int) -> str:
    """Return the internal artifact that holds the elements of the foreach at `depth`, for all steps inside it."""
    return f"_foreach_values_{depth}"


def is_immutable(value: Any) -> bool:
    """Tell whether a value is known to be unable to change in place, and all that it holds."""
    rest = [value]
    while rest:
        each = rest.pop()
        kind = type(each)
        if kind in _IMMUTABLE:
            continue
        if kind is frozenset or (isinstance(each, tuple) and not hasattr(each, "__dict__")):  # also a named tuple
            rest.extend(each)
        elif (kind.__module__, kind.__qualname__) not in _IMMUTABLE_BY_NAME and not _is_numpy_scalar(kind):
            return False
    return True


def _is_numpy_scalar(kind: type) -> bool:
    if kind.__module__ != "numpy" or kind.__name__ == "void":  # a record of a structured array
        return False
    return any(base.__name__ == "generic" for base in kind.__mro__)


def is_indexable(value: Any) -> bool:
    """Tell whether ``value[0] … value[len - 1]`` are its elements, so that it need not be copied into a list."""
    if type(value) in (list, tuple, range, str, bytes):
        return True
    return type(value).__name__ == "ndarray" and type(value).__module__ == "numpy" and value.ndim > 0
