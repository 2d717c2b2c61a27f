"""The metadata service: what each of its calls does, from checked input to a document (docs/decisions/0039).

A method takes the names in the path, the query and the body, and returns an `Answer`; HTTP is in
`metaflow.serve.rest`. Start reading at `MetadataService.register_run`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection

from metaflow.exception import MetaflowNotFound
from metaflow.metadata_provider.protocol import TaskPath
from metaflow.metadata_provider.tags import check_first_tags, check_tags
from metaflow.serve.changes import Changes, Path
from metaflow.serve.database import contents, queries
from metaflow.serve.database.documents import ArtifactRow, FactRow, Registration
from metaflow.serve.database.place import Database
from metaflow.serve.database.queries import Listed
from metaflow.serve.rest import listing
from metaflow.serve.rest.input import LATEST, Fields, Refused, name, objects

T = TypeVar("T")

HEARTBEAT_SECONDS = 10
"""When the next heartbeat is due."""
_MOST_ATTEMPTS = 100_000


class Call(NamedTuple):
    """A request, taken apart.

    Attributes
    ----------
    path : mapping of str to str
        The names in the path.
    query : sequence of (str, str)
        The parameters.
    body : object
        The parsed body.
    key : str or None
        The header ``Idempotency-Key``.
    projects : frozenset of str or None
        Only runs of these projects may be seen or changed; None for all.
    """

    path: Mapping[str, str]
    query: Sequence[tuple[str, str]] = ()
    body: Any = None
    key: str | None = None
    projects: frozenset[str] | None = None


class Answer(NamedTuple):
    """What is answered: JSON text, and headers beside the usual ones."""

    content: bytes
    status: int = 200
    headers: Mapping[str, str] = {}


class MetadataService:
    """The calls of the metadata service.

    Parameters
    ----------
    database : Database
        Where runs are kept.
    changes : Changes
        Hears of everything that is written.
    clock : callable
        Returns the time in milliseconds.
    """

    def __init__(self, database: Database, changes: Changes, clock: Callable[[], int]) -> None:
        self._database = database
        self._changes = changes
        self._clock = clock

    async def check(self, call: Call) -> None:
        """Check that the run in the path of a call is of its projects.

        Raises
        ------
        MetaflowNotFound
            It is not; whether there is such a run is not told.
        """
        projects = call.projects
        if projects is None:
            return
        names = _names(call)
        if len(names) > 1:
            flow, run, now = *names[:2], self._clock()
            document = await asyncio.wrap_future(self._database.ask(lambda c: queries.run(c, flow, run, now)))
            _there(document if _is_of(projects, document) else None, "run", flow, run)

    # --- flows and runs ----------------------------------------------------------------------------------------------

    async def flows(self, call: Call) -> Answer:
        return await self._found(lambda c: queries.flows(c, call.projects))

    async def flow(self, call: Call) -> Answer:
        (flow,) = _names(call)
        return await self._found(lambda c: _there(queries.flow(c, flow, call.projects), "flow", flow))

    async def register_flow(self, call: Call) -> Answer:
        (flow,) = _names(call)
        given = self._registration(call)

        def job(c: Connection) -> Answer:
            is_new = self._database.writes.register_flow(c, flow, given)
            return _registered(queries.flow(c, flow), is_new, f"The flow {flow}")

        return await self._written(job, (flow,))

    async def runs(self, call: Call) -> Answer:
        (flow,) = _names(call)
        now = self._clock()
        page, wanted = listing.page_of(call.query), listing.run_conditions(call.query, now)
        if call.projects is not None:
            wanted.append(queries.is_of_project(call.projects))
        return await self._page(lambda c: queries.runs(c, flow, now, wanted, page))

    async def run(self, call: Call) -> Answer:
        flow, run = _names(call)
        now = self._clock()
        return await self._found(lambda c: _there(queries.run(c, flow, run, now), "run", flow, run))

    async def register_run(self, call: Call) -> Answer:
        (flow,) = _names(call)
        fields = Fields(call.body)
        given = self._registration(call, fields, "run_number")
        given = given._replace(
            tags=check_first_tags(fields.strings("tags")), system_tags=check_tags(fields.strings("system_tags"))
        )
        if not _is_of(call.projects, {"system_tags": given.system_tags}):
            raise Refused("This token is for runs of some projects only, and this one is of none of them.", 403)
        now = self._clock()

        def job(c: Connection) -> Answer:
            number, is_new = self._database.writes.register_run(c, flow, given)
            document = queries.run(c, flow, str(number) if given.name is None else given.name, now)
            if not _is_of(call.projects, document):
                raise Refused(f"The run {flow}/{given.name} is of another project.", 403)
            # A registration that comes twice is one: whoever sent it has missed the first answer.
            is_repeated = not is_new and given.request is not None
            return _registered(document, is_new or is_repeated, f"The run {flow}/{given.name}")

        return await self._written(job, (flow,))

    async def heartbeat(self, call: Call) -> Answer:
        path = _names(call)
        now = self._clock()

        await asyncio.wrap_future(self._database.write(lambda c: self._database.writes.heartbeat(c, now, path)))
        return _json({"wait_time_in_seconds": HEARTBEAT_SECONDS})

    async def change_tags(self, call: Call) -> Answer:
        flow, run = _names(call)
        fields = Fields(call.body)
        add, remove = fields.strings("tags_to_add"), fields.strings("tags_to_remove")

        def job(c: Connection) -> Answer:
            return _json({"tags": self._database.writes.change_tags(c, flow, run, add=add, remove=remove)})

        return await self._written(job, (flow, run))

    # --- steps and tasks ---------------------------------------------------------------------------------------------

    async def steps(self, call: Call) -> Answer:
        flow, run = _names(call)
        return await self._found(lambda c: queries.steps(c, _run(c, flow, run)))

    async def step(self, call: Call) -> Answer:
        flow, run, step = _names(call)
        return await self._found(lambda c: _there(queries.step(c, _run(c, flow, run), step), "step", flow, run, step))

    async def register_step(self, call: Call) -> Answer:
        flow, run, step = _names(call)
        given = self._registration(call)

        def job(c: Connection) -> Answer:
            is_new = self._database.writes.register_step(c, flow, run, step, given)
            return _registered(queries.step(c, _run(c, flow, run), step), is_new, f"The step {flow}/{run}/{step}")

        return await self._written(job, (flow, run, step))

    async def tasks(self, call: Call) -> Answer:
        flow, run, step = _names(call)
        page, wanted = listing.page_of(call.query), listing.task_conditions(call.query)
        return await self._page(lambda c: queries.tasks(c, _run(c, flow, run), step, wanted, page))

    async def tasks_of_run(self, call: Call) -> Answer:
        flow, run = _names(call)
        page, wanted = listing.page_of(call.query), listing.task_conditions(call.query)
        return await self._page(lambda c: queries.tasks(c, _run(c, flow, run), None, wanted, page))

    async def task(self, call: Call) -> Answer:
        path = _names(call)
        return await self._found(lambda c: queries.task(c, _task(c, *path)))

    async def register_task(self, call: Call) -> Answer:
        flow, run, step = _names(call)
        given = self._registration(call, Fields(call.body), "task_id")

        def job(c: Connection) -> Answer:
            number, is_new = self._database.writes.register_task(c, flow, run, step, given)
            is_repeated = not is_new and given.request is not None
            what = f"The task {flow}/{run}/{step}/{given.name}"
            return _registered(queries.task(c, number), is_new or is_repeated, what)

        return await self._written(job, (flow, run, step))

    async def filtered_tasks(self, call: Call) -> Answer:
        flow, run, step = _names(call)
        given = dict(call.query)
        field, text = given.get("metadata_field_name"), given.get("pattern")
        if any("\0" in each for each in (field or "", text or "")):
            raise Refused("A parameter must not have a NUL character.")
        pattern = None if text is None else listing.pattern(text)
        return await self._found(lambda c: contents.tasks_with(c, _run(c, flow, run), step, field, pattern))

    # --- facts and artifacts -----------------------------------------------------------------------------------------

    async def facts(self, call: Call) -> Answer:
        path = _names(call)
        field = dict(call.query).get("field_name")
        return await self._found(lambda c: contents.facts(c, _task(c, *path), field))

    async def facts_below(self, call: Call) -> Answer:
        flow, run, step = _run_or_step(call)
        fields = [value for key, value in call.query if key == "field_name"] or None
        return await self._found(lambda c: list(contents.facts_below(c, _run(c, flow, run), step, fields)))

    async def add_facts(self, call: Call) -> Answer:
        path = TaskPath(*_names(call))
        facts = [
            FactRow(
                fields.string("field_name"),
                fields.string("type", ""),
                fields.document("value"),
                json.dumps(fields.strings("tags")),
                fields.string("user_name", ""),
                fields.integer("ts_epoch", LATEST, self._clock()),
            )
            for fields in objects(call.body)
        ]
        return await self._received(lambda c: self._database.writes.add_facts(c, path, facts), path, len(facts))

    async def artifacts(self, call: Call) -> Answer:
        path = _names(call)
        attempt = _attempt(call)
        return await self._found(lambda c: contents.artifacts(c, _run(c, *path[:2]), path[2], _task(c, *path), attempt))

    async def artifacts_below(self, call: Call) -> Answer:
        flow, run, step = _run_or_step(call)
        return await self._found(lambda c: contents.artifacts(c, _run(c, flow, run), step))

    async def artifact(self, call: Call) -> Answer:
        *path, artifact = _names(call)
        attempt = _attempt(call)

        def query(c: Connection) -> Any:
            return _there(contents.artifact(c, _task(c, *path), artifact, attempt), "artifact", *path, artifact)

        return await self._found(query)

    async def add_artifacts(self, call: Call) -> Answer:
        path = TaskPath(*_names(call))
        artifacts = [
            ArtifactRow(
                fields.integer("attempt_id", _MOST_ATTEMPTS, 0),
                fields.string("name"),
                fields.string("content_type", ""),
                fields.string("type", ""),
                fields.string("sha", ""),
                fields.string("ds_type", ""),
                fields.string("location", "", most=5000),
                fields.string("user_name", ""),
                fields.integer("ts_epoch", LATEST, self._clock()),
            )
            for fields in objects(call.body)
        ]
        return await self._received(
            lambda c: self._database.writes.add_artifacts(c, path, artifacts), path, len(artifacts)
        )

    # --- how ---------------------------------------------------------------------------------------------------------

    def _registration(self, call: Call, fields: Fields | None = None, own: str | None = None) -> Registration:
        fields = fields or Fields(call.body)
        return Registration(
            user=fields.string("user_name", ""),
            time=fields.integer("ts_epoch", LATEST, self._clock()),
            name=fields.identifier(own) if own is not None else None,
            request=None if call.key is None else name(call.key, "request"),
        )

    async def _found(self, query: Callable[[Connection], Any]) -> Answer:
        """Answer with what a query finds; made JSON in the thread that asks."""
        return await asyncio.wrap_future(self._database.ask(lambda c: _json(query(c))))

    async def _page(self, query: Callable[[Connection], Listed]) -> Answer:
        def answer(c: Connection) -> Answer:
            documents, following = query(c)
            headers = {"X-Limit": str(listing.LARGEST_SIZE)}
            if following is not None:
                headers["X-Next-Cursor"] = listing.cursor(following)
            return _json(documents)._replace(headers=headers)

        return await asyncio.wrap_future(self._database.ask(answer))

    async def _received(self, job: Callable[[Connection], None], path: Path, count: int) -> Answer:
        await asyncio.wrap_future(self._database.write(job))
        self._changes.publish(path)
        return _json({"received": count})

    async def _written(self, job: Callable[[Connection], Answer], path: Path) -> Answer:
        answer = await asyncio.wrap_future(self._database.write(job))
        self._changes.publish(path)
        return answer


_LEVELS = ("flow", "run", "step", "task", "artifact")


def _names(call: Call) -> tuple[str, ...]:
    return tuple(name(call.path[level], level) for level in _LEVELS if level in call.path)


def _run_or_step(call: Call) -> tuple[str, str, str | None]:
    flow, run, *step = _names(call)
    return flow, run, step[0] if step else None


def _is_of(projects: frozenset[str] | None, run: Mapping[str, Any] | None) -> bool:
    if projects is None or run is None:
        return True
    return any(f"project:{project}" in run["system_tags"] for project in projects)


def _attempt(call: Call) -> int | None:
    return Fields(call.path).integer("attempt", _MOST_ATTEMPTS) if "attempt" in call.path else None


def _run(connection: Connection, flow: str, run: str) -> int:
    return _there(queries.run_id(connection, flow, run), "run", flow, run)


def _task(connection: Connection, flow: str, run: str, step: str, task: str) -> int:
    number = queries.task_id(connection, _run(connection, flow, run), step, task)
    return _there(number, "task", flow, run, step, task)


def _there(found: T | None, what: str, *path: str) -> T:
    if found is None:
        raise MetaflowNotFound(f"There is no {what} {'/'.join(path)}.")
    return found


def _json(value: Any, status: int = 200) -> Answer:
    return Answer(json.dumps(value).encode(), status)


def _registered(document: Any, is_new: bool, what: str) -> Answer:
    if is_new:
        return _json(document)
    return _json({"message": f"{what} exists.", **document}, 409)
