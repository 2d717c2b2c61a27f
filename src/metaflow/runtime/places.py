"""Where tasks stand: in which element of each foreach and, where the step does not tell it, in which branches.

Where tasks of several branches of a split come to one step, each for itself
(`metaflow.flow.splits.in_several_branches`), only the branches tell them apart. They are stored with such tasks, so
that `resume` finds the counterpart of each. Pure. Start reading at `Places.of`.
"""

from __future__ import annotations

from typing import NamedTuple

from metaflow.flow.graph import Graph
from metaflow.flow.splits import in_several_branches
from metaflow.runtime.events import Launch


class Place(NamedTuple):
    """What tells the tasks of one step apart, but for the turns of a recursion.

    Attributes
    ----------
    elements : tuple of int
        Position of the element in each foreach around the task, outermost first.
    branches : tuple of str
        The first step of its branch in each other split, outermost first; empty if the step alone tells them.
    """

    elements: tuple[int, ...] = ()
    branches: tuple[str, ...] = ()


class Places:
    """The places of a run's tasks, as they are launched.

    Parameters
    ----------
    graph : Graph
        The flow.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._in_several = in_several_branches(graph)
        self._frames: dict[int, tuple[int | str, ...]] = {0: ()}
        """By task id: element or branch in each split around it; 0 is the parameters."""

    def __bool__(self) -> bool:
        """Whether there is a step that does not tell its tasks' branches."""
        return bool(self._in_several)

    def of(self, launch: Launch) -> Place:
        """Return the place of a task that is about to start; it has been asked for those before it already."""
        frames = self._frames[launch.task] = self._around(launch)
        return Place(
            tuple(frame for frame in frames if isinstance(frame, int)),
            tuple(frame for frame in frames if isinstance(frame, str)) if launch.step in self._in_several else (),
        )

    def _around(self, launch: Launch) -> tuple[int | str, ...]:
        source = launch.inputs[0]
        frames = self._frames[source.id]
        if launch.split_index is not None:
            return (*frames, launch.split_index)
        if self._graph[launch.step].is_join:
            return frames[:-1]
        ways = self._graph[source.step].ways if source.id else ()
        opens = any(way.is_split and launch.step in way.steps for way in ways)
        return (*frames, launch.step) if opens else frames
