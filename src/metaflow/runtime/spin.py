"""One task alone, as the engine carries it out: what decides, and what is told."""

from __future__ import annotations

from typing import assert_never

from metaflow.runtime.events import (
    Cancelled,
    Event,
    Finish,
    Instruction,
    Launch,
    RetryDue,
    Start,
    Stop,
    TaskEnded,
    TaskRef,
)
from metaflow.runtime.messages import Messages


class OneTask:
    """Decides what runs: one attempt of one task (`metaflow.runtime.engine.Scheduling`).

    Parameters
    ----------
    launch : Launch
        The task.
    """

    def __init__(self, launch: Launch) -> None:
        self._launch = launch
        self._is_running = False
        self._cancelled = ""

    def pending(self) -> dict[str, int]:
        return {}

    def handle(self, event: Event) -> list[Instruction]:
        match event:
            case Start():
                self._is_running = True
                return [self._launch]
            case TaskEnded(_, _, report):
                if report.failure is None:
                    return [Finish(True)]
                reason = self._cancelled or report.failure.message
                return [Finish(False, TaskRef(self._launch.step, self._launch.task), reason)]
            case Cancelled(reason):
                self._cancelled = reason
                return [Stop(self._launch.task, reason)] if self._is_running else [Finish(False, reason=reason)]
            case RetryDue():
                return []
            case _ as never:
                assert_never(never)


class SpinMessages(Messages):
    """Says nothing of a run, since there is none."""

    def run_starts(self) -> None:
        pass

    def run_ends(self, finish: Finish) -> None:
        pass
