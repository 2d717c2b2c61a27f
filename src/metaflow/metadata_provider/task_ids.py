"""Ids of tasks: numbers in the order in which a run's tasks begin, and what they are called. Pure.

Mostly a task is called by its number. A metadata service that keeps numbers for itself takes names which are none, so
there the fifth task of a run is called ``t5``, in the service and in the storage alike.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_NUMBERED = re.compile(r"[pt]?([0-9]+)")


class TaskId(int):
    """A task's number in its run; its text is what the task is called.

    Parameters
    ----------
    number : int
        The number.
    prefix : str
        What goes before it in the name.
    """

    prefix: str

    def __new__(cls, number: int, prefix: str = "") -> TaskId:
        made = super().__new__(cls, number)
        made.prefix = prefix
        return made

    def __str__(self) -> str:
        return f"{self.prefix}{int(self)}"

    def __format__(self, specification: str) -> str:
        return format(str(self), specification)


class TaskNumbering(NamedTuple):
    """How the tasks of a run are called.

    Attributes
    ----------
    first : int
        Number of the first one; the others count on from it.
    prefix : str
        What goes before the numbers.
    parameters : TaskId
        The pseudo-task that has the run's parameters.
    """

    first: int = 1
    prefix: str = ""
    parameters: TaskId = TaskId(0)

    def id(self, number: int) -> TaskId:
        """Return the id of a task."""
        return TaskId(number, self.prefix)


NUMBERS = TaskNumbering()
"""Tasks are called 1, 2, …, wherever nobody else has a say in it."""


def parse(name: str) -> TaskId | None:
    """Return the id of which `name` is the text; None if it is another's, as orchestrators have them."""
    found = _NUMBERED.fullmatch(name)
    return TaskId(int(found[1]), name[: found.start(1)]) if found else None


def in_order(name: str) -> tuple[int, str]:
    """Return what sorts names of tasks by their numbers, and others by their text."""
    id = parse(name)
    return (id, "") if id is not None else (0, name)
