"""What decides in place of the scheduler, where only one task runs."""

from __future__ import annotations

from metaflow.compute.report import TaskReport
from metaflow.exception import StepRaised
from metaflow.runtime.events import Cancelled, Finish, Launch, RetryDue, Start, Stop, TaskEnded, TaskRef
from metaflow.runtime.spin import OneTask

LAUNCH = Launch(0, "train", 0, None, (TaskRef("start", 1),))
START = Start("start", TaskRef("_parameters", 0))
FAILED = TaskEnded(0, 0, TaskReport(failure=StepRaised("ValueError: no")))


def test_one_task_runs_and_nothing_follows_it() -> None:
    one = OneTask(LAUNCH)
    assert one.handle(START) == [LAUNCH]
    assert one.pending() == {}
    assert one.handle(RetryDue(0, 1)) == []
    assert one.handle(TaskEnded(0, 0, TaskReport(("end",), 3))) == [Finish(True)]


def test_a_failure_is_the_end() -> None:
    one = OneTask(LAUNCH)
    one.handle(START)
    assert one.handle(FAILED) == [Finish(False, TaskRef("train", 0), "ValueError: no")]


def test_it_is_cancelled_before_and_while_it_runs() -> None:
    assert OneTask(LAUNCH).handle(Cancelled("Ctrl-C")) == [Finish(False, reason="Ctrl-C")]
    one = OneTask(LAUNCH)
    one.handle(START)
    assert one.handle(Cancelled("Ctrl-C")) == [Stop(0, "Ctrl-C")]
    assert one.handle(FAILED) == [Finish(False, TaskRef("train", 0), "Ctrl-C")]
