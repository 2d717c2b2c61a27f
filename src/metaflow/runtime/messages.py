"""What a person is told while a run lives: all sentences of the engine, and how far each step is.

It decides nothing, and knows neither launchers nor the scheduler. How the lines look is `metaflow.runtime.console`'s
matter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from metaflow.compute.endings import AttemptResult
from metaflow.exception import MetaflowException, StorageUnavailable, TaskFailed
from metaflow.runtime.clock import Clock
from metaflow.runtime.console import Console, StepCount, TaskLabel
from metaflow.runtime.events import Finish, Launch, Wait


class Messages:
    """The voice of one run.

    Parameters
    ----------
    run : str
        Its id.
    console : Console
        Where the lines go.
    steps : sequence of str
        The flow's, in their order.
    clock : Clock
        The time.
    occupied : callable
        Returns the numbers of running and of waiting tasks, each by step.
    """

    def __init__(
        self,
        run: str,
        console: Console,
        steps: Sequence[str],
        clock: Clock,
        occupied: Callable[[], tuple[Mapping[str, int], Mapping[str, int]]],
    ) -> None:
        self._run = run
        self._console = console
        self._steps = steps
        self._clock = clock
        self._occupied = occupied
        self._began = clock.elapsed()
        self._done: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self._waiting: dict[int, str] = {}

    def close(self) -> None:
        """Print all that is left."""
        self._console.close()

    # --- the run ----------------------------------------------------------------------------------------------------

    def run_starts(self) -> None:
        self._console.run(f"Workflow starts (run-id {self._run}).")

    def run_ends(self, finish: Finish) -> None:
        if finish.ok:
            seconds = self._clock.elapsed() - self._began
            self._console.run(f"Workflow done in {seconds:.2f} s: {_tasks(sum(self._done.values()))}.")
        else:
            self._console.run("Workflow failed.")

    def interrupted(self, how: str, running: int, can_hurry: bool) -> None:
        again = " Once more ends them sooner." if can_hurry else ""
        self._console.run(f"Interrupted ({how}): stopping {running} running tasks.{again}")

    def warning(self, sentence: str) -> None:
        self._console.run(f"Warning: {sentence}")

    def trouble(self, error: BaseException) -> None:
        hint = f" ({error.hint})" if isinstance(error, MetaflowException) and error.hint else ""
        self._console.run(f"{error}{hint}")

    # --- tasks ------------------------------------------------------------------------------------------------------

    def remark(self, remark: str) -> None:
        if remark:
            self._console.run(remark)

    def taken_over(self, launch: Launch, origin: str) -> None:
        self._console.run(f"[{self._run}/{launch.step}/{launch.task}] Task taken over from {origin}.")
        self._done[launch.step] += 1

    def retry(self, wait: Wait) -> None:
        self._console.run(f"Task {wait.task} of the step {wait.step} will be tried again in {wait.delay:.0f} s.")

    def task_waits(self, label: TaskLabel, reason: str) -> None:
        """Say why a task waits, unless others are known to wait for the same."""
        is_known = reason in self._waiting.values()
        self._waiting[label.task] = reason
        if not is_known:
            self._console.status(label, f"Task is waiting: {reason}")

    def task_starts(self, label: TaskLabel, attempt: int) -> None:
        self._waiting.pop(label.task, None)
        self._console.status(label, "Task starts." if attempt == 0 else "Task starts (retry).")
        self._console.progress(self._counts)

    def output(self, label: TaskLabel, lines: Iterable[bytes], moment: float) -> None:
        self._console.task(label, [line.decode("utf-8", "replace") for line in lines], moment)

    def task_done(self, label: TaskLabel, seconds: float, width: int | None) -> None:
        self._waiting.pop(label.task, None)
        self._done[label.step] += 1
        foreach = f" It opens a foreach of {_tasks(width)}." if width is not None else ""
        self._console.status(label, f"Task done in {seconds:.2f} s.{foreach}")
        self._console.progress(self._counts)

    def task_failed(self, label: TaskLabel, result: AttemptResult, trouble: StorageUnavailable | None) -> None:
        failure = result.report.failure
        if not result.is_told and failure is not None:
            # The process died without a word; say it where its words would be.
            self._console.task(label, lines_of(failure), self._clock.now())
        if trouble is not None:
            self._console.status(label, f"Its end could not be recorded. {trouble.message}")
        place = failure.values.get("foreach") if failure is not None else None
        self._console.status(label, f"Task failed ({place})." if place else "Task failed.")
        self._count_failure(label)

    def task_stopped(self, label: TaskLabel) -> None:
        self._console.status(label, "Task ended, since the run ends.")
        self._count_failure(label)

    def _count_failure(self, label: TaskLabel) -> None:
        self._waiting.pop(label.task, None)
        self._failed[label.step] += 1
        self._console.progress(self._counts)

    def _counts(self) -> list[StepCount]:
        running, waiting = self._occupied()
        return [
            StepCount(name, self._done[name], running.get(name, 0), waiting.get(name, 0), self._failed[name])
            for name in self._steps
        ]


def lines_of(failure: TaskFailed) -> list[str]:
    """Return what is printed, and stored as the task's log, of a failure of which the task itself said nothing."""
    lines = [f"{failure.message[0].upper()}{failure.message[1:]}."]
    return [*lines, f"    hint: {failure.hint}"] if failure.hint else lines


def _tasks(number: int) -> str:
    return "1 task" if number == 1 else f"{number} tasks"
