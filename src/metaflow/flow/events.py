"""What has triggered a run: `current.trigger`, in tasks of a run that another one, or an event, has started."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple

from metaflow import registry


class MetaflowEvent(NamedTuple):
    """One event.

    Attributes
    ----------
    name : str
        ``metaflow.FLOW.STEP`` for the end of a run.
    id : str
        Which one it is; of the end of a run the pathspec of its last task.
    timestamp : datetime
        When it happened.
    type : str
        ``run`` for the end of a run.
    """

    name: str
    id: str
    timestamp: datetime
    type: str


class Trigger:
    """What has triggered a run; read from the metadata when it is asked for.

    Parameters
    ----------
    pathspecs : sequence of str
        The runs that did, ``Flow/run``.
    """

    def __init__(self, pathspecs: Sequence[str]) -> None:
        self._pathspecs = tuple(dict.fromkeys(pathspecs))

    @property
    def event(self) -> MetaflowEvent:
        """The latest event."""
        return self.events[0]

    @cached_property
    def events(self) -> list[MetaflowEvent]:
        """All events, the latest first."""
        return [event for run in self.runs for event in _ends_of(run)]

    @property
    def run(self) -> Any:
        """The latest run, a `metaflow.Run`."""
        return self.runs[0]

    @cached_property
    def runs(self) -> list[Any]:
        """All runs, each a `metaflow.Run`, the latest first."""
        open_run = registry.load("client object", "Run")
        runs = [open_run(pathspec, _namespace_check=False) for pathspec in self._pathspecs]
        return sorted(runs, key=_time_of, reverse=True)

    def __getitem__(self, flow: str) -> Any:
        """Return the latest run of a flow; raise KeyError if none of that flow is here."""
        for run in self.runs:
            if run.path_components[0] == flow:
                return run
        raise KeyError(flow)

    def __contains__(self, flow: object) -> bool:
        return any(pathspec.partition("/")[0] == flow for pathspec in self._pathspecs)

    def __iter__(self) -> Iterator[MetaflowEvent]:
        return iter(self.events)

    def __repr__(self) -> str:
        return f"Trigger({list(self._pathspecs)!r})"


def _time_of(run: Any) -> datetime:
    return run.finished_at or run.created_at  # type: ignore[no-any-return]


def _ends_of(run: Any) -> list[MetaflowEvent]:
    """Return the event of a run's end, under the name of its last step and under ``end``."""
    flow, task = run.path_components[0], run.end_task
    steps = dict.fromkeys([task.path_components[2], "end"] if task is not None else ["end"])
    ended = (task or run).pathspec
    return [MetaflowEvent(f"metaflow.{flow}.{step}", ended, _time_of(run), "run") for step in steps]
