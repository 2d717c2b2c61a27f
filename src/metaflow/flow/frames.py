"""The loops a task stands in: one frame for each foreach around it, outermost first."""

from __future__ import annotations

import sys
from _thread import allocate_lock
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple


class ForeachFrame(NamedTuple):
    """One foreach around a task, as stored in the artifact ``_foreach_stack``.

    Attributes
    ----------
    step : str
        The step that the foreach leads to.
    var : str
        Name of the artifact that was iterated over.
    num_splits : int
        Width of the foreach.
    index : int
        Position of this task's element, from 0.
    value : str
        Start of the element's text, for logs and listings only.
    """

    step: str
    var: str
    num_splits: int
    index: int  # type: ignore[assignment]  # hides tuple.index; the name is the format's
    value: str | None = None


# Metaflow's pickles name this class as a member of the main program, and its unpickler looks for it there.
ForeachFrame.__module__ = "__main__"

MAX_VALUE_CHARACTERS = 30


def frame_value(item: object) -> str | None:
    """Return the text of a foreach element as a frame keeps it, None if it has none."""
    try:
        return str(item)[:MAX_VALUE_CHARACTERS]
    except Exception:  # noqa: BLE001 - a user's __str__ may raise anything
        return None


def place_in(frames: Sequence[ForeachFrame]) -> str:
    """Say where a task stands in the loops around it: ``models[2] = xgboost, folds[0] = 1``."""
    return ", ".join(
        f"{frame.var}[{frame.index}]" + (f" = {' '.join(frame.value.split())}" if frame.value is not None else "")
        for frame in frames
    )


class PicklableFrames:
    """While in effect, `ForeachFrame` can be pickled under the name that Metaflow gives it, in ``__main__``."""

    _lock = allocate_lock()
    _before: ClassVar[Any]
    _users = 0
    """How many are in effect: tasks of several threads may be stored at once."""

    def __enter__(self) -> None:
        cls, main = PicklableFrames, sys.modules["__main__"].__dict__
        with cls._lock:
            if not cls._users:
                cls._before = main.get("ForeachFrame", cls)
                main["ForeachFrame"] = ForeachFrame
            cls._users += 1

    def __exit__(self, *_: object) -> None:
        cls, main = PicklableFrames, sys.modules["__main__"].__dict__
        with cls._lock:
            cls._users -= 1
            if cls._users:
                return
            if cls._before is cls:
                del main["ForeachFrame"]
            else:
                main["ForeachFrame"] = cls._before
