"""What a run says, and how often."""

from __future__ import annotations

from metaflow.runtime.clock import Clock
from metaflow.runtime.console import SilentConsole, TaskLabel
from metaflow.runtime.messages import Messages


class Written(SilentConsole):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def status(self, label: TaskLabel, text: str) -> None:
        self.lines.append(f"{label.task}: {text}")


def label(task: int) -> TaskLabel:
    return TaskLabel("7", "train", task, "waiting")


def test_what_many_tasks_wait_for_is_said_once() -> None:
    console = Written()
    messages = Messages("7", console, ["train"], Clock(), lambda: ({}, {}))
    for task in (1, 2, 3):
        messages.task_waits(label(task), "RUNNABLE in the queue q")
    messages.task_waits(label(2), "all machines are busy")
    messages.task_waits(label(1), "all machines are busy")
    assert console.lines == ["1: Task is waiting: RUNNABLE in the queue q", "2: Task is waiting: all machines are busy"]
    for task in (1, 2, 3):
        messages.task_starts(label(task), 0)
    messages.task_waits(label(4), "RUNNABLE in the queue q")
    assert console.lines[-1] == "4: Task is waiting: RUNNABLE in the queue q"
