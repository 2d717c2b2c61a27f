"""The recorder and the catalog of a metadata service.

A run waits for the service when it begins, as its id comes from there. All else that is recorded is put into lanes, one
for each task, and sent by threads (`sender`): what is recorded can be read, here, when it is asked for, since whoever
reads waits until what was recorded before is sent. Tasks have ids of ours, whole numbers as elsewhere; what the service
says of that of the parameters tells whether it takes them (`_agree_on_ids`).

Start reading at `ServiceMetadata.new_run` for the writing, at `ServiceMetadata.get` for the reading.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import NamedTuple, TypeVar

from metaflow import settings
from metaflow.exception import MetaflowException, MetaflowNotFound, MetaflowTaggingError, StorageUnavailable
from metaflow.metadata_provider import tags as tag_rules
from metaflow.metadata_provider.protocol import (
    PARAMETERS_STEP,
    ArtifactFact,
    Document,
    Fact,
    ListedRun,
    TaskPath,
    WholeAttempt,
    missing,
    unclaimed,
)
from metaflow.metadata_provider.service import documents
from metaflow.metadata_provider.service.connection import Answer, Connection, Unavailable
from metaflow.metadata_provider.service.sender import USUAL, Call, Pauses, Sender, given_up
from metaflow.metadata_provider.task_ids import NUMBERS, TaskId, TaskNumbering
from metaflow.settings.groups import ServiceSettings

T = TypeVar("T")

_AT_ONCE = 8
"""Calls at a time where many tasks are read."""
MOST_IN_A_PAGE = 500
"""Documents: services answer no more."""
_TAG_TRIES = 10
_BAD_NAME = frozenset({400, 422})
_NAMED = TaskNumbering(prefix="t", parameters=TaskId(0, "p"))
_COUNTED = TaskNumbering(first=2, parameters=TaskId(1))
_READ_LIMIT = 30.0
"""Seconds that a reader waits for what was recorded before."""


class ServiceMetadata:
    """Facts in a service (`metaflow.metadata_provider.protocol.Metadata`).

    Parameters
    ----------
    root : str
        Its URL.
    user : str
        Who writes: `user_name` of new documents.
    service : ServiceSettings, optional
        How it is called; by default as the settings say.
    pauses : Pauses
        Between tries.
    """

    kind = "service"
    registers_early = True

    def __init__(
        self, root: str, user: str = "", service: ServiceSettings | None = None, pauses: Pauses = USUAL
    ) -> None:
        self.root = root.rstrip("/")
        self.user = user
        self._settings = service or settings.load().service
        self.connection = Connection(self.root, self._settings.all_headers)
        self._pauses = pauses
        self._sender = Sender(self.root, self._settings.patience, _together, pauses)
        self._steps = _Steps()
        self._registered: set[TaskPath] = set()
        self._begun: dict[tuple[str, str], tuple[list[str], list[str]]] = {}  # tags of runs that have no tasks yet
        self._numberings: dict[tuple[str, str], TaskNumbering] = {}
        self._parameters: dict[tuple[str, str], str] = {}  # names of the pseudo-tasks of runs that were read
        self._last_stamp = 0
        self._lock = threading.Lock()
        self._say: Callable[[str], None] = _nobody

    def close(self) -> None:
        """Close its connections; what is called later opens new ones."""
        self.connection.close()

    # --- writing ----------------------------------------------------------------------------------------------------

    def tell(self, say: Callable[[str], None]) -> None:
        self._say = say

    def new_run(
        self,
        flow: str,
        *,
        tags: Iterable[str],
        system_tags: Iterable[str],
        claim: Callable[[str], None] = unclaimed,
    ) -> str:
        """Register a run; its id is what the service calls it.

        Raises
        ------
        metaflow.exception.StorageUnavailable
            The service does not answer for too long, or refuses.
        """
        tags, system_tags = list(tags), list(system_tags)
        self._insist(lambda again: self._register((flow,), {"flow_id": flow, "ts_epoch": self._now()}))
        document = documents.registration((flow,), self.user, tags, system_tags, self._now())
        answer = self._insist(lambda again: self._register_run(flow, document, again))
        run = documents.name_of(answer, 2)
        claim(run)
        self._begun[flow, run] = tags, system_tags
        return run

    def _register_run(self, flow: str, document: Document, again: bool) -> Document:
        if again:  # the answer was lost, perhaps the run was not
            same = ("ts_epoch", "user_name", "system_tags")
            for listed in self.newest(flow):
                found = listed.document or {}
                if all(found.get(name) == document[name] for name in same):
                    return found
                if listed.began < document["ts_epoch"]:
                    break
        answer = self.connection.call("POST", documents.creation((flow, "")), document)
        if not answer.ok:
            raise self._refusal(answer)
        registered: Document = answer.content
        return registered

    def numbering(self, flow: str, run: str) -> TaskNumbering:
        """Return how the tasks of a run are called, which the pseudo-task of its parameters tells: it is registered.

        There are services that take numbers as names; services that keep numbers for themselves and take other names;
        and services that count the tasks of a run themselves, from 1: there, tasks are registered one by one, in the
        order of their numbers.

        Raises
        ------
        metaflow.exception.StorageUnavailable
            The service does not answer for too long, or gives names that cannot be known before.
        """
        known = self._numberings.get((flow, run))
        if known is None:
            known = self._numberings[flow, run] = self._agree(flow, run)
            self._registered.add(TaskPath(flow, run, PARAMETERS_STEP, str(known.parameters)))
        return known

    def parameters(self, flow: str, run: str) -> TaskPath:
        """Return the pseudo-task of a run, which is here or was read."""
        if (flow, run) in self._begun or (flow, run) in self._numberings:
            return TaskPath(flow, run, PARAMETERS_STEP, str(self.numbering(flow, run).parameters))
        return TaskPath(*self._found((flow, run, PARAMETERS_STEP, str(NUMBERS.parameters))))

    def _agree(self, flow: str, run: str) -> TaskNumbering:
        tags, system_tags = self._begun.pop((flow, run), ([], []))
        given = ""
        for wanted in (NUMBERS, _NAMED):
            task = TaskPath(flow, run, PARAMETERS_STEP, str(wanted.parameters))
            document = documents.registration(task, self.user, tags, system_tags, self._now())
            answer = self._insist(_TaskCall(self, task, document).register)
            if not answer.ok:
                if wanted is NUMBERS and answer.status in _BAD_NAME:
                    continue
                raise self._refusal(answer)
            given = documents.name_of(answer.content, 4)
            for numbering in (wanted, _COUNTED):
                if given == str(numbering.parameters):
                    return numbering
        raise StorageUnavailable(
            f"The metadata service {self.root} gives tasks names of its own ({given}), which cannot be used here.",
            hint="`metaflow serve` is a metadata service whose tasks are called as a run calls them",
        )

    def register_task(
        self, task: TaskPath, *, tags: Iterable[str], system_tags: Iterable[str], whole: WholeAttempt | None = None
    ) -> None:
        tags, system_tags = list(tags), list(system_tags)
        if task not in self._registered:
            self._registered.add(task)
            document = documents.registration(task, self.user, tags, system_tags, self._now())
            self._sender.put(self._lane(task), _TaskCall(self, task, document))
        if whole is not None:
            artifacts = [*whole.artifacts, *whole.shared]
            self.record_artifacts(task, 0, artifacts, storage=whole.storage, tags=tags, system_tags=system_tags)
            self.record(task, 0, whole.facts)

    def record(self, task: TaskPath, attempt: int | None, facts: Sequence[Fact]) -> None:
        found = documents.fact_documents(task, attempt, facts, self.user, self._now())
        self._sender.put(self._lane(task), _Addition(self, task, "metadata", found))

    def record_artifacts(
        self,
        task: TaskPath,
        attempt: int,
        artifacts: Sequence[ArtifactFact],
        *,
        storage: tuple[str, str],
        tags: Iterable[str],
        system_tags: Iterable[str],
    ) -> None:
        found = documents.artifact_documents(
            task, attempt, artifacts, storage, self.user, tags, system_tags, self._now()
        )
        self._sender.put(self._lane(task), _Addition(self, task, "artifact", found))

    def flush(self, seconds: float | None = None, tasks: Sequence[TaskPath] | None = None) -> bool:
        if seconds is not None:
            lanes = None if tasks is None else {self._lane(task) for task in tasks}
            return self._sender.flush(seconds, lanes)
        said = False
        while not self._sender.flush(1.0):
            trouble = self._sender.trouble
            if not said and trouble is not None:
                self._say(
                    f"Waiting for the metadata service {self.root} to take what is left to record: {trouble.reason}."
                )
                said = True
        return True

    @property
    def trouble(self) -> str:
        trouble = self._sender.trouble
        if trouble is None or trouble.seconds < 5:
            return ""
        return (
            f"The metadata service {self.root} gives no answers: {trouble.reason}. The run goes on; what it records is "
            f"kept and sent when the service answers again, for {self._settings.patience:.0f} s at most."
        )

    def _lane(self, task: TaskPath) -> Hashable:
        """Return what a task's calls are ordered by: all of its run where the service counts its tasks itself."""
        return task[:2] if self._numberings.get(task[:2]) == _COUNTED else task

    def _now(self) -> int:
        """Return milliseconds since the epoch, later than all before: readers order facts by them."""
        with self._lock:
            self._last_stamp = max(time.time_ns() // 1_000_000, self._last_stamp + 1)
            return self._last_stamp

    def _register(self, path: Sequence[str], document: Document) -> Answer:
        """Register something that may be there."""
        answer = self.connection.call("POST", documents.creation(path), document)
        if not answer.ok and answer.status != 409:
            raise self._refusal(answer)
        return answer

    def _insist(self, call: Callable[[bool], T]) -> T:
        """Make a call until there is an answer; it is told whether it may have been made before."""
        begin, pause, unsure = time.monotonic(), self._pauses.first, False
        while True:
            try:
                return call(unsure)
            except Unavailable as error:
                waited, unsure = time.monotonic() - begin, unsure or error.unsure
                if waited >= self._settings.patience:
                    raise given_up(self.root, error.reason, self._settings.patience) from None
                if pause == self._pauses.first:
                    self._say(f"Waiting for the metadata service {self.root}: {error.reason}.")
                time.sleep(max(pause * random.uniform(0.6, 1.0), error.pause))
                pause = min(pause * 2, self._pauses.longest)

    def _refusal(self, answer: Answer) -> MetaflowException:
        hint = None
        if answer.status in (401, 403):
            hint = "METAFLOW_SERVICE_AUTH_KEY and METAFLOW_SERVICE_HEADERS say who is calling"
        elif answer.status == 404:
            hint = "is METAFLOW_SERVICE_URL the address of a metadata service?"
        return StorageUnavailable(
            f"The metadata service {self.root} refuses a call ({answer.status}): {answer.sentence}.", hint=hint
        )

    # --- reading ----------------------------------------------------------------------------------------------------

    def _read(self, path: str, query: Mapping[str, str | int] | None = None) -> Answer | None:
        """Make a call that reads; None if there is no such thing."""
        self._sender.flush(_READ_LIMIT)
        tries = self._settings.retries
        for number in range(1, tries + 1):
            try:
                answer = self.connection.call("GET", path, query=query)
                break
            except Unavailable as error:
                if number == tries:
                    raise StorageUnavailable(
                        f"The metadata service {self.root} cannot be read: {error.reason}.",
                        hint=f"it was tried {tries} times; METAFLOW_SERVICE_RETRY_COUNT is how often",
                    ) from None
                pause = min(self._pauses.first * 2 ** (number - 1), self._pauses.longest)
                time.sleep(max(pause * random.uniform(0.6, 1.0), error.pause))
        if answer.status == 404:
            return None
        if not answer.ok:
            raise self._refusal(answer)
        return answer

    def _pages(self, path: str, query: Mapping[str, str | int] | None = None) -> Iterator[tuple[list[Document], bool]]:
        """Yield the documents of a list, page by page, and whether the service knows pages and filters."""
        asked: dict[str, str | int] = {"_limit": self._settings.page_size, **(query or {})}
        seen: set[str] = set()
        while True:
            answer = self._read(path, asked)
            if answer is None:
                return
            found = answer.content if isinstance(answer.content, list) else []
            yield found, "x-limit" in answer.headers
            cursor = answer.headers.get("x-next-cursor", "")
            if not cursor or cursor in seen:
                return
            seen.add(cursor)
            asked["_cursor"] = cursor

    def latest_run(self, flow: str) -> str | None:
        return next((listed.run for listed in self.newest(flow)), None)

    def get(self, path: Sequence[str], attempt: int = 0) -> Document | None:
        path = self._found(path)
        if len(path) == 5:
            there = f"{documents.address(path[:4])}/attempt/{attempt}/artifacts"
            answer = self._read(there)
            found = answer.content if answer is not None else []
            return next((_shown(each, 5) for each in found if each["name"] == path[4]), None)
        answer = self._read(documents.address(path))
        return None if answer is None else _shown(answer.content, len(path))

    def _found(self, path: Sequence[str]) -> Sequence[str]:
        """Return the path that an object has in the service: the pseudo-task 0 is whichever there is."""
        if len(path) < 4 or path[2] != PARAMETERS_STEP or path[3] != "0":
            return path
        run = (path[0], path[1])
        if run not in self._parameters:
            names = self.names(path[:3])
            if not names:
                return path
            self._parameters[run] = names[0]
        return (*path[:3], self._parameters[run], *path[4:])

    def names(self, path: Sequence[str]) -> list[str]:
        return [documents.name_of(each, len(path) + 1) for each in self.children(path)]

    def children(self, path: Sequence[str]) -> Iterator[Document]:
        for page, _ in self._pages(documents.listing(path)):
            for each in page:
                yield _shown(each, len(path) + 1)

    def facts(self, path: Sequence[str], field: str | None = None) -> list[Document]:
        answer = self._read(f"{documents.address(self._found(path))}/metadata")
        found = answer.content if answer is not None else []
        found = [each for each in found if field in (None, each["field_name"])]
        return sorted(found, key=lambda each: (each["ts_epoch"], each["field_name"]))

    def facts_below(self, path: Sequence[str], fields: Collection[str]) -> Iterator[Document]:
        pages = self._pages(f"{documents.address(path)}/metadata")
        first = next(pages, None)
        if first is not None:  # a service that has them in one place
            for page, _ in chain([first], pages):
                yield from (each for each in map(_told_of, page) if each["field_name"] in fields)
            return
        steps = [path[2]] if len(path) == 3 else self.names(path)
        tasks = [(*path[:2], step, task) for step in steps for task in self.names((*path[:2], step))]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for task, found in zip(tasks, pool.map(self.facts, tasks), strict=True):
                for each in found:
                    if each["field_name"] in fields:
                        yield each | {"step_name": task[2], "task_id": task[3]}

    def newest(
        self,
        flow: str,
        before: int | None = None,
        filters: Mapping[str, str] | None = None,
        page_size: int | None = None,
    ) -> Iterator[ListedRun]:
        query: dict[str, str | int] = dict(filters or {})
        if page_size is not None:
            query["_limit"] = min(page_size, MOST_IN_A_PAGE)
        if before is not None:
            query["ts_epoch:lt"] = before
        for page, is_paged in self._pages(documents.listing((flow,)), query):
            found = [ListedRun(int(each["ts_epoch"]), documents.name_of(each, 2), _shown(each, 2)) for each in page]
            if not is_paged:
                found.sort(key=lambda each: (each.began, each.run), reverse=True)
            yield from (each for each in found if before is None or each.began < before)

    def change_tags(self, flow: str, run: str, *, add: Iterable[str], remove: Iterable[str]) -> list[str]:
        add, remove = list(add), list(remove)
        document = self.get((flow, run))
        if document is None:
            raise MetaflowNotFound(f"There is no run {flow}/{run}.")
        tag_rules.changed(document.get("tags", []), document.get("system_tags", []), add=add, remove=remove)
        body = {"tags_to_add": list(dict.fromkeys(add)), "tags_to_remove": remove}
        there = f"{documents.address((flow, run))}/tag/mutate"
        for number in range(_TAG_TRIES):
            answer = self._insist(lambda again: self.connection.call("PATCH", there, body))
            if answer.status != 409:
                break
            time.sleep(min(0.05 * 2**number, 2.0) * random.random())
        if answer.ok:
            return list(answer.content["tags"])
        if answer.status == 404:
            raise MetaflowNotFound(f"There is no run {flow}/{run}.")
        if answer.status in (401, 403):
            raise self._refusal(answer)
        raise MetaflowTaggingError(f"The metadata service {self.root} does not change the tags: {answer.sentence}.")

    # --- copies of what is elsewhere ---------------------------------------------------------------------------------

    def artifacts(self, task: Sequence[str]) -> list[Document]:
        """Return the artifacts of all attempts of a task."""
        there = documents.address(self._found(task))
        attempts = {str(fact["value"]) for fact in self.facts(task, "attempt")} | {"0"}
        answers = [self._read(f"{there}/attempt/{attempt}/artifacts") for attempt in sorted(attempts)]
        return [_shown(each, 5) for answer in answers if answer is not None for each in answer.content]

    def keep(self, path: Sequence[str], document: Document) -> None:
        """Register a flow, run, step or task as it is elsewhere, unless it is there.

        Raises
        ------
        metaflow.exception.StorageUnavailable
            The service gives ids of its own.
        """
        answer = self._insist(lambda again: self._register(path, document))
        if answer.ok and documents.name_of(answer.content, len(path)) != path[-1]:
            raise StorageUnavailable(
                f"The metadata service {self.root} gives runs and tasks ids of its own: nothing can be copied to it.",
                hint="`metaflow serve` is a metadata service that keeps ids",
            )

    def keep_facts(self, task: TaskPath, facts: Sequence[Document]) -> None:
        """Add those facts that a task does not have."""
        self._keep_all(task, "metadata", missing(facts, self.facts(task)))

    def keep_artifacts(self, task: TaskPath, artifacts: Sequence[Document]) -> None:
        """Add artifacts."""
        self._keep_all(task, "artifact", artifacts)

    def _keep_all(self, task: TaskPath, what: str, content: Sequence[Document]) -> None:
        if content:
            self._insist(lambda again: _Addition(self, task, what, list(content)).send(again=again))


class _Steps:
    """The steps that the service knows: each is registered once, before the first of its tasks."""

    def __init__(self) -> None:
        self._known: set[tuple[str, ...]] = set()
        self._lock = threading.Lock()

    def ensure(self, path: tuple[str, ...], register: Callable[[], object]) -> None:
        with self._lock:
            if path not in self._known:
                register()
                self._known.add(path)


class _TaskCall(NamedTuple):
    """Registers a task, and its step before the first of its tasks."""

    metadata: ServiceMetadata
    task: TaskPath
    document: Document

    def send(self, *, again: bool) -> None:
        answer = self.register(again)
        if not answer.ok:
            raise self.metadata._refusal(answer)
        given = documents.name_of(answer.content, 4)
        if given != self.task.task:
            raise StorageUnavailable(
                f"The metadata service {self.metadata.root} gave the task {self.task} another id, {given}.",
                hint="does another program register tasks of this run?",
            )

    def register(self, again: bool) -> Answer:
        """Return what the service says; of a task that is there, what it is."""
        metadata, step = self.metadata, {name: value for name, value in self.document.items() if name != "task_id"}
        metadata._steps.ensure(self.task[:3], lambda: metadata._register(self.task[:3], step))
        if again:
            found = metadata.connection.call("GET", documents.address(self.task))
            if found.ok:
                return found
        answer = metadata.connection.call("POST", documents.creation(self.task), self.document)
        return answer._replace(status=200, content=self.document) if answer.status == 409 else answer


class _Addition(NamedTuple):
    """Adds facts, or artifacts, to a task."""

    metadata: ServiceMetadata
    task: TaskPath
    what: str
    content: list[Document]

    def send(self, *, again: bool) -> None:
        connection, there = self.metadata.connection, f"{documents.address(self.task)}/{self.what}"
        content = self.content
        if again and self.what == "metadata":
            content = missing(content, connection.call("GET", there).content or ())
        if content:
            answer = connection.call("POST", there, content)
            if not answer.ok and answer.status != 409:
                raise self.metadata._refusal(answer)


def _together(calls: Sequence[Call]) -> list[Call]:
    """Return the calls that do what some calls in a row do: tasks, artifacts, then facts, which say what is done."""
    tasks = [call for call in calls if isinstance(call, _TaskCall)]
    merged: dict[tuple[str, TaskPath], _Addition] = {}
    for call in calls:
        if isinstance(call, _Addition):
            before = merged.get((call.what, call.task))
            merged[call.what, call.task] = (
                call if before is None else call._replace(content=[*before.content, *call.content])
            )
    return [*tasks, *(merged[key] for key in sorted(merged, key=lambda key: key[0]))]


def _shown(document: Document, depth: int) -> Document:
    """Return a document with ids as texts, those that were given before those that the service has chosen."""
    shown = dict(document)
    if depth >= 2 and "run_number" in shown:
        shown["run_number"] = str(shown.get("run_id") or shown["run_number"])
    if depth >= 4 and "task_id" in shown:
        shown["task_id"] = str(shown.get("task_name") or shown["task_id"])
    return shown


def _told_of(fact: Document) -> Document:
    return fact | {"task_id": str(fact.get("task_name") or fact["task_id"])}


def _nobody(sentence: str) -> None:
    pass
