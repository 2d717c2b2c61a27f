"""What is asked of the database: functions of a connection and names, which return documents as clients know them.

An object is found by its name or its number; `run_number` and `task_id` of a document are what it is called by. Steps,
tasks and artifacts carry the tags that their run has now. Start reading at `runs`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple, TypeAlias

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Row,
    Select,
    Table,
    and_,
    bindparam,
    case,
    cast,
    func,
    literal,
    or_,
    select,
    tuple_,
)

from metaflow.serve.database.tables import FLOWS, RUNS, STEPS, TASKS

Document: TypeAlias = dict[str, Any]
AnyRow: TypeAlias = Row[*tuple[Any, ...]]

LOST_AFTER = 90_000
"""Milliseconds without a heartbeat after which a run or task is lost."""
FAILED_AFTER = 30_000
"""As `LOST_AFTER`, of a run with an attempt that failed: mostly it has failed, too."""

_LARGEST = 2**63 - 1


class Page(NamedTuple):
    """Which part of a list is wanted, newest first: behind `(time, id)`, at most `size`."""

    size: int
    after: tuple[int, int] | None = None


class Listed(NamedTuple):
    """A part of a list, and where the next one starts, if there is more."""

    documents: list[Document]
    following: tuple[int, int] | None = None


# --- runs ------------------------------------------------------------------------------------------------------------


def flows(connection: Connection, projects: Collection[str] | None = None) -> list[Document]:
    """Return all flows, or those that have a run of one of the projects."""
    return [_flow(row) for row in connection.execute(_flows(projects).order_by(FLOWS.c.flow_id))]


def flow(connection: Connection, flow: str, projects: Collection[str] | None = None) -> Document | None:
    """Return a flow; `projects` as of `flows`."""
    row = connection.execute(_flows(projects).where(FLOWS.c.flow_id == flow)).first()
    return None if row is None else _flow(row)


def _flows(projects: Collection[str] | None) -> Select[*tuple[Any, ...]]:
    if projects is None:
        return select(FLOWS)
    return select(FLOWS).where(
        select(RUNS.c.id).where(RUNS.c.flow_id == FLOWS.c.flow_id, is_of_project(projects)).exists()
    )


def _flow(row: AnyRow) -> Document:
    return {**row._mapping, "tags": [], "system_tags": []}


def run_id(connection: Connection, flow: str, run: str) -> int | None:
    """Return the number of a run."""
    # All columns: for the id alone SQLite would go through an index that has everything, flow by flow.
    row = connection.execute(_RUN, {"flow": flow, "run": run, "number": _number(run)}).first()
    return None if row is None else int(row.id)


def runs(
    connection: Connection, flow: str, now: int, wanted: Sequence[ColumnElement[bool]] = (), page: Page | None = None
) -> Listed:
    """Return runs of a flow, newest first.

    Parameters
    ----------
    connection : Connection
        Where to ask.
    flow : str
        The flow.
    now : int
        The time in milliseconds, which tells whether a run that was heard of last at some time is lost.
    wanted : sequence of conditions
        What each of them must be; see `metaflow.serve.database.run_filters`.
    page : Page, optional
        Which part; by default all.
    """
    query = select(RUNS).where(RUNS.c.flow_id == flow, *wanted)
    return _listed(connection, query, RUNS.c, page, lambda row: _run(row, now))


def run(connection: Connection, flow: str, run: str, now: int) -> Document | None:
    """Return a run; `now` as of `runs`."""
    row = connection.execute(_RUN, {"flow": flow, "run": run, "number": _number(run)}).first()
    return None if row is None else _run(row, now)


def run_state(now: int) -> ColumnElement[str]:
    """Return the expression for how a run is doing: ``completed``, ``running``, or ``failed``, also if it is lost."""
    silence = case((RUNS.c.failed.is_(None), literal(LOST_AFTER)), else_=literal(FAILED_AFTER))
    is_running = func.coalesce(RUNS.c.heartbeat, 0) + silence >= cast(now, BigInteger)
    return case(
        (or_(RUNS.c.state == "successful", and_(RUNS.c.state.is_(None), RUNS.c.finished.is_not(None))), "completed"),
        (and_(RUNS.c.state.is_(None), is_running), "running"),
        else_="failed",
    )


def _run(row: AnyRow, now: int) -> Document:
    return {
        "flow_id": row.flow_id,
        "run_number": row.name or str(row.id),
        "run_id": row.name,
        "user_name": row.user_name,
        "tags": json.loads(row.tags),
        "system_tags": json.loads(row.system_tags),
        "ts_epoch": row.ts_epoch,
        "last_heartbeat_ts": row.heartbeat,
        "status": _status(row, now),
        "finished_at": row.ended or row.finished,
    }


def _status(row: AnyRow, now: int) -> str:
    """Return what `run_state` is of a row."""
    if row.state is not None:
        return "completed" if row.state == "successful" else "failed"
    if row.finished is not None:
        return "completed"
    return "running" if is_alive(row.heartbeat, row.failed, now) else "failed"


def is_alive(heartbeat: int | None, failed: int | None, now: int) -> bool:
    """Tell whether a run that has not ended goes on: it was heard of lately, the more so after a failure."""
    return (heartbeat or 0) + (LOST_AFTER if failed is None else FAILED_AFTER) >= now


def has_tag(tag: str) -> ColumnElement[bool]:
    """Return the condition that a run has a tag, of either kind."""
    return or_(_lists(RUNS.c.tags, tag), _lists(RUNS.c.system_tags, tag))


def is_of_project(projects: Collection[str]) -> ColumnElement[bool]:
    """Return the condition that a run is of one of the projects; its owner cannot change that."""
    return or_(*(_lists(RUNS.c.system_tags, f"project:{each}") for each in projects))


def _lists(column: Any, text: str) -> ColumnElement[bool]:
    # The lists are JSON as Python writes it: ["a", "b"]. A quotation mark in a text has a backslash before it.
    every = ", " + func.substr(column, 2, func.length(column) - 2) + ", "
    return func.replace(every, f", {json.dumps(text)}, ", "") != every


def _is_called(table: Table, name: str) -> ColumnElement[bool]:
    """Tell by its name, which may be a whole number too, or by its number if it was given no name."""
    return or_(table.c.name == bindparam(name), and_(table.c.name.is_(None), table.c.id == bindparam("number")))


def _number(text: str) -> int:
    """Return the number that a text is, 0 if it is none: that is no id."""
    number = int(text) if re.fullmatch(r"[0-9]{1,19}", text) else 0
    return number if number <= _LARGEST else 0


# Statements that are asked for all the time are made once, as that takes longer than to carry them out.
_RUN = select(RUNS).where(RUNS.c.flow_id == bindparam("flow"), _is_called(RUNS, "run"))


# --- steps and tasks -------------------------------------------------------------------------------------------------

OF_RUN = (RUNS.c.flow_id, RUNS.c.name.label("run_name"), RUNS.c.id.label("run"), RUNS.c.tags, RUNS.c.system_tags)
"""What is selected of the run that something belongs to."""
_STEPS = select(STEPS.c.step_name, STEPS.c.user_name, STEPS.c.ts_epoch, *OF_RUN).join(RUNS, RUNS.c.id == STEPS.c.run)
_TASKS = select(
    TASKS.c.id, TASKS.c.name, TASKS.c.step_name, TASKS.c.user_name, TASKS.c.ts_epoch, TASKS.c.heartbeat, *OF_RUN
).join(RUNS, RUNS.c.id == TASKS.c.run)


def steps(connection: Connection, run: int) -> list[Document]:
    """Return the steps of a run, the one that began last first."""
    query = _STEPS.where(STEPS.c.run == run).order_by(STEPS.c.ts_epoch.desc(), STEPS.c.step_name)
    return [_step(row) for row in connection.execute(query)]


def step(connection: Connection, run: int, step: str) -> Document | None:
    """Return a step."""
    row = connection.execute(_STEPS.where(STEPS.c.run == run, STEPS.c.step_name == step)).first()
    return None if row is None else _step(row)


def tasks(
    connection: Connection,
    run: int,
    step: str | None = None,
    wanted: Sequence[ColumnElement[bool]] = (),
    page: Page | None = None,
) -> Listed:
    """Return tasks of a step, or of all steps of a run, newest first."""
    query = _TASKS.where(TASKS.c.run == run, *wanted)
    if step is not None:
        query = query.where(TASKS.c.step_name == step)
    return _listed(connection, query, TASKS.c, page, _task)


def task_id(connection: Connection, run: int, step: str, task: str) -> int | None:
    """Return the number of a task."""
    names = {"run": run, "step": step, "task": task, "number": _number(task)}
    return connection.execute(_TASK_ID, names).scalar()


def task(connection: Connection, task: int) -> Document | None:
    """Return a task, by its number."""
    row = connection.execute(_TASK, {"number": task}).first()
    return None if row is None else _task(row)


_TASK = _TASKS.where(TASKS.c.id == bindparam("number"))
_TASK_ID = (
    select(TASKS.c.id)
    .where(TASKS.c.run == bindparam("run"), TASKS.c.step_name == bindparam("step"))
    .where(_is_called(TASKS, "task"))
)


def _step(row: AnyRow) -> Document:
    return {**place(row), "user_name": row.user_name, "ts_epoch": row.ts_epoch, **tags(row)}


def _task(row: AnyRow) -> Document:
    return {
        **place(row),
        "task_id": row.name or str(row.id),
        "task_name": row.name,
        "user_name": row.user_name,
        "ts_epoch": row.ts_epoch,
        "last_heartbeat_ts": row.heartbeat,
        **tags(row),
    }


def place(row: AnyRow) -> Document:
    """Return the names down to the step, of a row with `OF_RUN` and `step_name`."""
    return {"flow_id": row.flow_id, "run_number": row.run_name or str(row.run), "step_name": row.step_name}


def tags(row: AnyRow) -> Document:
    """Return the tags of a row with `OF_RUN`."""
    return {"tags": json.loads(row.tags), "system_tags": json.loads(row.system_tags)}


def _listed(
    connection: Connection,
    query: Select[*tuple[Any, ...]],
    table: Any,
    page: Page | None,
    document: Callable[[AnyRow], Document],
) -> Listed:
    query = query.order_by(table.ts_epoch.desc(), table.id.desc())
    if page is not None:
        query = query.limit(page.size + 1)
        if page.after is not None:
            query = query.where(tuple_(table.ts_epoch, table.id) < tuple_(*map(literal, page.after)))
    rows = connection.execute(query).all()
    if page is None or len(rows) <= page.size:
        return Listed([document(row) for row in rows])
    last = rows[page.size - 1]
    return Listed([document(row) for row in rows[: page.size]], (last.ts_epoch, last.id))
