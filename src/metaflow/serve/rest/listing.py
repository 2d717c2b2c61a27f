"""Pages and filters of lists, as a query string asks for them: ``_limit``, ``_cursor``, ``status:eq=failed``. Pure.

The grammar is that of Metaflow's service from version 2.6.1 on (docs/decisions/0039). Start at `run_conditions`.
"""

from __future__ import annotations

import base64
import json
import operator
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, or_

from metaflow.serve.database.queries import Page, has_tag, run_state
from metaflow.serve.database.tables import RUNS, TASKS
from metaflow.serve.rest.input import LATEST, Refused

DEFAULT_SIZE = 50
LARGEST_SIZE = 500
_MOST_WILDCARDS = 4
_STATES = ("running", "completed", "failed")
_COMPARED: dict[str, Callable[[Any, Any], Any]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}


def page_of(query: Sequence[tuple[str, str]]) -> Page | None:
    """Return the page that a query asks for, None if it asks for all."""
    given = dict(query)
    if "_limit" not in given and "_cursor" not in given:
        return None
    size = _whole("_limit", given.get("_limit", str(DEFAULT_SIZE)))
    if size == 0:
        raise Refused("_limit must be at least 1.")
    after = given.get("_cursor")
    return Page(min(size, LARGEST_SIZE), None if after is None else _position(after))


def cursor(position: tuple[int, int]) -> str:
    """Return the text that stands for a position in a list."""
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")


def _position(text: str) -> tuple[int, int]:
    try:
        time, number = json.loads(base64.b64decode(text.encode("ascii") + b"==", b"-_", validate=False))
        if not all(type(each) is int and 0 <= each < 2**63 for each in (time, number)):
            raise ValueError(text)
    except (ValueError, TypeError, RecursionError):
        raise Refused("_cursor is not one that this service has given.") from None
    return time, number


def run_conditions(query: Sequence[tuple[str, str]], now: int) -> list[ColumnElement[bool]]:
    """Return what a query asks of runs; `now` in milliseconds."""
    return [_run_condition(field, operation, value, now) for field, operation, value in _filters(query)]


def task_conditions(query: Sequence[tuple[str, str]]) -> list[ColumnElement[bool]]:
    """Return what a query asks of tasks."""
    columns = {"ts_epoch": TASKS.c.ts_epoch, "user_name": TASKS.c.user_name, "task_name": TASKS.c.name}
    return [_compared(columns, field, operation, value) for field, operation, value in _filters(query)]


def _filters(query: Iterable[tuple[str, str]]) -> list[tuple[str, str, str]]:
    found = []
    for key, value in query:
        field, colon, operation = key.partition(":")
        if colon:
            found.append((field, operation, value))
        elif key not in ("_limit", "_cursor"):
            raise Refused(f"There is no parameter '{key[:40]}' here; filters are written field:operator=value.")
        if "\0" in value:
            raise Refused(f"{key} must not have a NUL character.")
    return found


def _run_condition(field: str, operation: str, value: str, now: int) -> ColumnElement[bool]:
    if field == "_tags" and operation in ("any", "all"):
        return (or_ if operation == "any" else and_)(*map(has_tag, value.split(",")))
    if field == "user" and operation == "eq":
        return or_(*(has_tag(f"user:{each}") for each in value.split(",")))
    if field == "status" and operation in ("eq", "ne"):
        wanted = value.split(",")
        unknown = [each for each in wanted if each not in _STATES]
        if unknown:
            raise Refused(f"status:{operation} takes {', '.join(_STATES)}, not '{unknown[0][:40]}'.")
        state = run_state(now)
        return state.in_(wanted) if operation == "eq" else state.not_in(wanted)
    columns = {"ts_epoch": RUNS.c.ts_epoch, "user_name": RUNS.c.user_name, "run_id": RUNS.c.name}
    return _compared(columns, field, operation, value)


def _compared(columns: dict[str, Any], field: str, operation: str, value: str) -> ColumnElement[bool]:
    if field not in columns or operation not in _COMPARED:
        raise Refused(f"There is no filter '{field[:40]}:{operation[:40]}' here.")
    compare, column = _COMPARED[operation], columns[field]
    values = [_whole(field, each) if field == "ts_epoch" else each for each in value.split(",")]
    condition: ColumnElement[bool] = or_(*(compare(column, each) for each in values))
    return condition


def _whole(field: str, text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", text) or int(text) > LATEST:
        raise Refused(f"{field} must be a whole number, not '{text[:40]}'.")
    return int(text)


def pattern(text: str) -> re.Pattern[str]:
    """Return a regular expression that can be matched in no time worth mentioning.

    Raises
    ------
    Refused
        It is none, or one that might take for ever: a repetition in a repetition, or too many of them.
    """
    if len(text) > 1000:
        raise Refused("The pattern has more than 1000 characters.")
    try:
        compiled = re.compile(text)
        wildcards = _wildcards(re._parser.parse(text))  # type: ignore[attr-defined]
    except (re.error, RecursionError, OverflowError):
        raise Refused("The pattern is not a regular expression.") from None
    if wildcards > _MOST_WILDCARDS:
        raise Refused("The pattern has too many repetitions, or one within another: matching it might take for ever.")
    return compiled


def _wildcards(parsed: Iterable[Any]) -> int:
    """Count the repetitions of a parsed pattern; those in others count more than are allowed."""
    count = 0
    for what, argument in parsed:
        name = str(what)
        if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            inner = _wildcards(argument[2])
            count += (1 if argument[1] > 20 else 0) + (inner + _MOST_WILDCARDS if inner and argument[1] > 1 else inner)
        elif name == "BRANCH":
            count += sum(map(_wildcards, argument[1]))
        elif name == "SUBPATTERN":
            count += _wildcards(argument[3])
        elif name in ("ASSERT", "ASSERT_NOT"):
            count += _wildcards(argument[1])
        elif name in ("GROUPREF_EXISTS", "ATOMIC_GROUP"):
            count += _MOST_WILDCARDS + 1
    return count
