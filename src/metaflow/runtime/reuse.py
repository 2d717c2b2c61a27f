"""Whether a task has to run at all: what is asked before each launch, and the answers.

`resume` answers from an earlier run (`metaflow.runtime.resume`). Whoever answers does not block the event loop that it
is asked on.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol, TypeAlias

from metaflow.compute.report import TaskReport
from metaflow.runtime.events import Launch


class NotReused(NamedTuple):
    """The task has to run; `remark` is worth telling, if there is one."""

    remark: str = ""


class Reused(NamedTuple):
    """An earlier task stands for this one.

    Attributes
    ----------
    origin : str
        Its ``run/step/task``.
    report : TaskReport
        How it ended.
    remark : str
        What is worth telling about it.
    """

    origin: str
    report: TaskReport
    remark: str = ""


Answer: TypeAlias = NotReused | Reused


class Reuse(Protocol):
    """Where earlier tasks are looked for."""

    origin_run: str
    """The run that they come from."""

    async def ask(self, launch: Launch) -> Answer:
        """Say whether this first attempt of a task has to run; asked once, in the order of the launches."""

    async def written(self) -> None:
        """Wait until a task that runs can read all that has been reused so far; also at the end of the run.

        Raises
        ------
        metaflow.exception.StorageUnavailable
            It cannot be written.
        """
