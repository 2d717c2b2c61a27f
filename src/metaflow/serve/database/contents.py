"""What is asked of tasks' facts and artifacts. As `metaflow.serve.database.queries`, whose rules of names hold here."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from typing import Any

from sqlalchemy import Connection, and_, func, select, true

from metaflow.serve.database.queries import OF_RUN, AnyRow, Document, place, tags
from metaflow.serve.database.tables import ARTIFACTS, FACTS, RUNS, TASKS

_OF_TASK = (TASKS.c.step_name, TASKS.c.id.label("number"), TASKS.c.name.label("task_name"), *OF_RUN)
_FACTS = select(
    FACTS.c.id,
    FACTS.c.field_name,
    FACTS.c.type,
    FACTS.c.value,
    FACTS.c.tags.label("fact_tags"),
    FACTS.c.user_name,
    FACTS.c.ts_epoch,
    *_OF_TASK,
)
_JOINED_FACTS = _FACTS.join(TASKS, TASKS.c.id == FACTS.c.task).join(RUNS, RUNS.c.id == TASKS.c.run)
_ARTIFACTS = (
    select(ARTIFACTS, *_OF_TASK).join(TASKS, TASKS.c.id == ARTIFACTS.c.task).join(RUNS, RUNS.c.id == TASKS.c.run)
)


def facts(connection: Connection, task: int, field: str | None = None) -> list[Document]:
    """Return the facts of a task, or those of one name, the oldest first."""
    query = _JOINED_FACTS.where(FACTS.c.task == task)
    if field is not None:
        query = query.where(FACTS.c.field_name == field)
    return [_fact(row) for row in connection.execute(query.order_by(FACTS.c.ts_epoch, FACTS.c.id))]


def facts_below(
    connection: Connection, run: int, step: str | None = None, fields: Collection[str] | None = None
) -> Iterator[Document]:
    """Yield the facts of all tasks of a run or step, or those of some names, in any order."""
    query = _JOINED_FACTS.where(TASKS.c.run == run)
    if step is not None:
        query = query.where(TASKS.c.step_name == step)
    if fields is not None:
        query = query.where(FACTS.c.field_name.in_(fields))
    for row in connection.execute(query):
        yield _fact(row)


def artifacts(
    connection: Connection, run: int, step: str | None = None, task: int | None = None, attempt: int | None = None
) -> list[Document]:
    """Return the artifacts of a run, step or task: of each task those of an attempt, by default of the latest."""
    query = _ARTIFACTS.where(TASKS.c.run == run)
    if step is not None:
        query = query.where(TASKS.c.step_name == step)
    if task is not None:
        query = query.where(ARTIFACTS.c.task == task)
    if attempt is not None:
        query = query.where(ARTIFACTS.c.attempt_id == attempt)
    else:
        others = ARTIFACTS.alias()
        latest = select(func.max(others.c.attempt_id)).where(others.c.task == ARTIFACTS.c.task).scalar_subquery()
        query = query.where(ARTIFACTS.c.attempt_id == latest)
    return [_artifact(row) for row in connection.execute(query.order_by(ARTIFACTS.c.task, ARTIFACTS.c.name))]


def artifact(connection: Connection, task: int, name: str, attempt: int | None = None) -> Document | None:
    """Return an artifact of an attempt, by default of the latest that has any; None if that has not this one."""
    wanted: Any = attempt
    if attempt is None:
        wanted = select(func.max(ARTIFACTS.c.attempt_id)).where(ARTIFACTS.c.task == task).scalar_subquery()
    query = _ARTIFACTS.where(ARTIFACTS.c.task == task, ARTIFACTS.c.name == name, ARTIFACTS.c.attempt_id == wanted)
    row = connection.execute(query).first()
    return None if row is None else _artifact(row)


def tasks_with(
    connection: Connection, run: int, step: str, field: str | None, pattern: re.Pattern[str] | None
) -> list[str]:
    """Return the paths of the tasks of a step that have a fact of this name whose value matches the pattern."""
    query = select(TASKS.c.id, *_OF_TASK, FACTS.c.value).join(RUNS, RUNS.c.id == TASKS.c.run)
    query = query.outerjoin(FACTS, and_(FACTS.c.task == TASKS.c.id, FACTS.c.field_name == field if field else true()))
    found: dict[str, None] = {}
    for row in connection.execute(query.where(TASKS.c.run == run, TASKS.c.step_name == step).order_by(TASKS.c.id)):
        if row.value is None:
            if field is not None or pattern is not None:
                continue
        elif pattern is not None and not pattern.search(_text(row.value)):
            continue
        found["/".join(_path(row).values())] = None
    return list(found)


def _text(value: str) -> str:
    """Return a value as patterns see it: a string as it is, everything else as JSON."""
    return json.loads(value) if value.startswith('"') else value


def _path(row: AnyRow) -> Document:
    return {**place(row), "task_id": row.task_name or str(row.number)}


def _fact(row: AnyRow) -> Document:
    return {
        "id": row.id,
        **_path(row),
        "field_name": row.field_name,
        "type": row.type,
        "value": json.loads(row.value),
        "tags": json.loads(row.fact_tags),
        "system_tags": [],
        "user_name": row.user_name,
        "ts_epoch": row.ts_epoch,
    }


def _artifact(row: AnyRow) -> Document:
    return {
        **_path(row),
        "attempt_id": row.attempt_id,
        "name": row.name,
        "content_type": row.content_type,
        "type": row.type,
        "sha": row.sha,
        "ds_type": row.ds_type,
        "location": row.location,
        "user_name": row.user_name,
        "ts_epoch": row.ts_epoch,
        **tags(row),
    }
