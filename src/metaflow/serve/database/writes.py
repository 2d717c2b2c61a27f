"""What is written: each method makes one change by a connection that is in a transaction.

Registering or recording twice what is there changes nothing. What cannot be done is raised before anything is written:
`MetaflowNotFound` if the object above is not there. Start reading at `Writes.register_run`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple, TypeAlias

from sqlalchemy import Connection, Table, and_, bindparam, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from metaflow.exception import MetaflowNotFound
from metaflow.metadata_provider import tags as tag_rules
from metaflow.metadata_provider.protocol import TaskPath
from metaflow.serve.database import queries
from metaflow.serve.database.documents import ArtifactRow, FactRow, Registration
from metaflow.serve.database.tables import ARTIFACTS, FACTS, FLOWS, RUNS, STEPS, TASKS
from metaflow.store.layout import PARAMETERS

_MOST_KNOWN = 100_000
"""Numbers that are kept in memory."""


Note: TypeAlias = Callable[[Connection, int, str, FactRow], None]
"""Changes what is known of a run by a fact about a task of one of its steps."""


class Registered(NamedTuple):
    """What a registration has led to: a number, and whether it is new."""

    number: int
    is_new: bool


class Writes:
    """The changes; remembers numbers that it has looked up, which stay what they are for ever.

    Facts, artifacts and heartbeats are collected, since a hundred rows take hardly longer than one: `finish` writes
    them at the end of the transaction.
    """

    def __init__(self) -> None:
        self._known: dict[Hashable, int] = {}
        self._begin()

    def register_flow(self, connection: Connection, flow: str, given: Registration) -> bool:
        """Register a flow; tell whether it is new."""
        row = {"flow_id": flow, "user_name": given.user, "ts_epoch": given.time}
        return _add(connection, FLOWS, row, FLOWS.c.flow_id) is not None

    def register_run(self, connection: Connection, flow: str, given: Registration) -> Registered:
        """Register a run, and its flow if that is not there."""

        def found() -> int | None:
            if given.request is not None:
                return _by_request(connection, RUNS, given.request)
            return None if given.name is None else queries.run_id(connection, flow, given.name)

        self.register_flow(connection, flow, given)
        row = {
            "flow_id": flow,
            "tags": json.dumps(list(given.tags)),
            "system_tags": json.dumps(list(given.system_tags)),
            "heartbeat": given.time,
        }
        return _register(connection, RUNS, row, given, found)

    def register_step(self, connection: Connection, flow: str, run: str, step: str, given: Registration) -> bool:
        """Register a step; tell whether it is new."""
        return self._add_step(connection, self._run(connection, flow, run), step, given)

    def register_task(self, connection: Connection, flow: str, run: str, step: str, given: Registration) -> Registered:
        """Register a task, and its step if that is not there."""
        number = self._run(connection, flow, run)

        def found() -> int | None:
            if given.request is not None:
                return _by_request(connection, TASKS, given.request)
            return None if given.name is None else queries.task_id(connection, number, step, given.name)

        if (number, step) not in self._known:
            self._add_step(connection, number, step, given)
            self._know((number, step), 0)
        registered = _register(connection, TASKS, {"run": number, "step_name": step}, given, found)
        self._know((flow, run, step, given.name or str(registered.number)), registered.number)
        return registered

    def add_facts(self, connection: Connection, path: TaskPath, facts: Sequence[FactRow]) -> None:
        """Record facts about a task, and what follows from them for its run."""
        number = self._task(connection, *path)
        self._facts.extend(fact.row(number) for fact in facts)
        for fact in facts:
            note = _NOTED.get((fact.field_name, path.step == PARAMETERS))
            if note is not None:
                self._notes[note, self._run(connection, path.flow, path.run), path.step] = fact

    def add_artifacts(self, connection: Connection, path: TaskPath, artifacts: Sequence[ArtifactRow]) -> None:
        """Record artifacts of a task; of one that is there the newest word counts."""
        number = self._task(connection, *path)
        self._artifacts.extend(artifact.row(number) for artifact in artifacts)

    def heartbeat(self, connection: Connection, now: int, path: Sequence[str]) -> None:
        """Take note that a run (2 names) or task (4) was heard of."""
        if len(path) == 2:
            self._heartbeats[RUNS][self._run(connection, *path)] = now
        else:
            self._heartbeats[TASKS][self._task(connection, *path)] = now

    def finish(self, connection: Connection) -> None:
        """Write what was collected in a transaction, all of a kind at once."""
        for table, rows in ((FACTS, self._facts), (ARTIFACTS, self._artifacts)):
            if rows:
                connection.execute(_once(connection.dialect.name, table), rows)
        for (note, run, step), fact in self._notes.items():
            note(connection, run, step, fact)
        for table, heard in self._heartbeats.items():
            if heard:
                rows = [{"number": number, "now": now} for number, now in sorted(heard.items())]
                connection.execute(_HEARTBEAT[table.name], rows)
        self._begin()

    def undo(self) -> None:
        """Forget what a transaction has left that was undone: what was collected, and numbers that it may have seen."""
        self._known.clear()
        self._begin()

    def _begin(self) -> None:
        self._facts: list[dict[str, Any]] = []
        self._artifacts: list[dict[str, Any]] = []
        self._notes: dict[tuple[Note, int, str], FactRow] = {}
        self._heartbeats: dict[Table, dict[int, int]] = {RUNS: {}, TASKS: {}}

    def change_tags(
        self, connection: Connection, flow: str, run: str, *, add: Sequence[str], remove: Sequence[str]
    ) -> list[str]:
        """Remove, then add tags of a run; return those it has now.

        Raises
        ------
        MetaflowTaggingError
            A tag cannot be added or removed.
        """
        number = self._run(connection, flow, run)
        query = select(RUNS.c.tags, RUNS.c.system_tags).where(RUNS.c.id == number).with_for_update()
        user, system = map(json.loads, connection.execute(query).one())
        changed = tag_rules.changed(user, system, add=add, remove=remove)
        connection.execute(update(RUNS).where(RUNS.c.id == number).values(tags=json.dumps(changed)))
        return changed

    def _add_step(self, connection: Connection, run: int, step: str, given: Registration) -> bool:
        row = {"run": run, "step_name": step, "user_name": given.user, "ts_epoch": given.time}
        return _add(connection, STEPS, row, STEPS.c.step_name) is not None

    def _run(self, connection: Connection, flow: str, run: str) -> int:
        return self._number((flow, run), "run", lambda: queries.run_id(connection, flow, run))

    def _task(self, connection: Connection, flow: str, run: str, step: str, task: str) -> int:
        key = (flow, run, step, task)
        if key in self._known:
            return self._known[key]
        number = self._run(connection, flow, run)
        return self._number(key, "task", lambda: queries.task_id(connection, number, step, task))

    def _number(self, path: tuple[str, ...], what: str, look: Callable[[], int | None]) -> int:
        number = self._known.get(path)
        if number is None:
            number = look()
            if number is None:
                raise MetaflowNotFound(f"There is no {what} {'/'.join(path)}.")
            self._know(path, number)
        return number

    def _know(self, path: Hashable, number: int) -> None:
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[path] = number


def _note_end_step(connection: Connection, run: int, _: str, fact: FactRow) -> None:
    step = json.loads(fact.value)
    query = select(func.max(FACTS.c.ts_epoch)).join(TASKS, TASKS.c.id == FACTS.c.task)
    query = query.where(TASKS.c.run == run, TASKS.c.step_name == str(step))
    ended = query.where(FACTS.c.field_name == "attempt_ok", FACTS.c.value == '"True"').scalar_subquery()
    connection.execute(update(RUNS).where(RUNS.c.id == run).values(end_step=str(step), finished=ended))


def _note_attempt(connection: Connection, run: int, step: str, fact: FactRow) -> None:
    if fact.value != '"True"':
        connection.execute(update(RUNS).where(RUNS.c.id == run).values(failed=fact.ts_epoch))
    else:
        is_last = func.coalesce(RUNS.c.end_step, "end") == step
        connection.execute(update(RUNS).where(RUNS.c.id == run, is_last).values(finished=fact.ts_epoch))


def _note_status(connection: Connection, run: int, _: str, fact: FactRow) -> None:
    try:
        state = json.loads(json.loads(fact.value))["state"]
    except (ValueError, TypeError, KeyError):
        return  # of somebody else, who means something else
    values = {"state": str(state), "ended": fact.ts_epoch}
    connection.execute(update(RUNS).where(RUNS.c.id == run).values(values))


_NOTED: dict[tuple[str, bool], Note] = {
    ("end_step", True): _note_end_step,
    ("run-status", True): _note_status,
    ("attempt_ok", False): _note_attempt,
}
"""Facts that say something about the run: by name, and whether they are about its parameters."""

_HEARTBEAT = {
    table.name: update(table).where(table.c.id == bindparam("number")).values(heartbeat=bindparam("now"))
    for table in (RUNS, TASKS)
}


def _register(
    connection: Connection, table: Table, row: Mapping[str, Any], given: Registration, found: Callable[[], int | None]
) -> Registered:
    number = found()
    if number is not None:
        return Registered(number, False)
    row = {**row, "name": given.name, "user_name": given.user, "ts_epoch": given.time, "request": given.request}
    number = _add(connection, table, row, table.c.id)
    if number is not None:
        return Registered(number, True)
    number = found()  # another server over this database was faster
    if number is None:
        raise MetaflowNotFound(f"The name '{given.name}' is taken by a request that was sent before.")
    return Registered(number, False)


def _by_request(connection: Connection, table: Table, request: str) -> int | None:
    number: int | None = connection.execute(select(table.c.id).where(table.c.request == request)).scalar()
    return number


@cache
def _once(dialect: str, table: Table, column: Any = None) -> Any:
    """Return the statement that adds a row unless it is there; made once, as that takes longer than to carry it out."""
    insert = (postgresql.insert if dialect == "postgresql" else sqlite.insert)(table)
    if table is not ARTIFACTS:
        statement = insert.on_conflict_do_nothing()
        return statement if column is None else statement.returning(column)
    new = insert.excluded
    return insert.on_conflict_do_update(
        index_elements=table.primary_key,
        set_={column.name: new[column.name] for column in table.c if not column.primary_key},
        where=and_(table.c.sha != new.sha, table.c.ts_epoch <= new.ts_epoch),
    )


def _add(connection: Connection, table: Table, row: Mapping[str, Any], column: Any) -> Any:
    """Add a row unless it is there, and return the value of `column` in it, None if it was there."""
    return connection.execute(_once(connection.dialect.name, table, column), dict(row)).scalar()
