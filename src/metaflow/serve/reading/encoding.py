"""The values of `metaflow.serve.reading.protocol` as JSON, for scripts of pages. Pure.

A value is an object with the names of its attributes. Only the table of tasks, of which a run may have ten thousand, is
packed: a list for each column, names of steps and states by their place in a list, times from a common base.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from metaflow.serve.reading.protocol import TASK_STATES, TaskRow, TaskTable

_COMPACT = (",", ":")


def encode(value: Any) -> bytes:
    """Return a value of the protocol as JSON in UTF-8."""
    return json.dumps(plain(value), separators=_COMPACT, ensure_ascii=False).encode("utf-8", "replace")


def plain(value: Any) -> Any:
    """Return a value of the protocol as dictionaries, lists, strings and numbers."""
    if isinstance(value, TaskTable):
        return {"version": value.version, **columns(value.rows)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: plain(each) for name, each in value._asdict().items()}
    if isinstance(value, Mapping):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(each) for each in value]
    return value


def columns(rows: Iterable[TaskRow]) -> dict[str, Any]:
    """Return rows of tasks as columns.

    Returns
    -------
    dict
        ``steps`` and ``states``: names; ``base``: milliseconds since the epoch; and of each task: ``id``; ``step`` and
        ``state``, as indexes into the names; ``started`` and ``ended``, in milliseconds after the base, or null;
        ``attempts``; ``item``.
    """
    rows = list(rows)
    steps = {name: index for index, name in enumerate(dict.fromkeys(row.step for row in rows))}
    states = {name: index for index, name in enumerate(TASK_STATES)}
    base = min((row.started for row in rows if row.started is not None), default=0)
    return {
        "steps": list(steps),
        "states": list(states),
        "base": base,
        "id": [row.task for row in rows],
        "step": [steps[row.step] for row in rows],
        "state": [states[row.state] for row in rows],
        "started": [None if row.started is None else row.started - base for row in rows],
        "ended": [None if row.ended is None else row.ended - base for row in rows],
        "attempts": [row.attempts for row in rows],
        "item": [row.item for row in rows],
    }
