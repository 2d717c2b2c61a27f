"""`Step` and `Task`: what ran, how it ended, what it printed, and where its data came from."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from metaflow.client import lineage
from metaflow.client.artifacts import DataArtifact, MetaflowData
from metaflow.client.objects import Container, moment
from metaflow.client.status import is_over, task_state
from metaflow.exception import StepRaised, TaskFailed, TaskLost
from metaflow.store.artifacts import Artifacts, TaskStore, load_artifact
from metaflow.store.internals import FAILURE
from metaflow.store.layout import STREAMS
from metaflow.store.logs import stored
from metaflow.store.logs.lines import Line

if TYPE_CHECKING:
    from metaflow.client.code import MetaflowCode
    from metaflow.metadata_provider.protocol import Document
    from metaflow.store.artifacts import TaskIndex
    from metaflow.store.blobs import Blobs
    from metaflow.store.protocol import Storage


class Metadata(NamedTuple):
    """One fact about a task.

    Attributes
    ----------
    name, type : str
        What it is about; mostly equal.
    value : str or list of str
        What it says.
    created_at : int
        When it was recorded, in milliseconds since the epoch.
    task : Task
        The task.
    """

    name: str
    value: Any
    created_at: int
    type: str
    task: Task


class Step(Container["Task"], depth=3):
    """A step of a run: iterate for its tasks, the latest first, or take one by its id.

    Parameters
    ----------
    pathspec : str
        ``Flow/run/step``.
    """

    __slots__ = ()

    def tasks(self, *tags: str) -> Iterator[Task]:
        """Yield the tasks, the latest first; none if the run does not have all of `tags`."""
        return self._children(*tags)

    @property
    def task(self) -> Task | None:
        """One of the tasks, for steps that have only one; None if none has started."""
        return next(self._children(), None)

    @property
    def finished_at(self) -> datetime | None:
        """When the last of the tasks ended, in local time; None while one has not."""
        times = [task.finished_at for task in self]
        known = [time for time in times if time is not None]
        return max(known) if known and len(known) == len(times) else None

    @property
    def environment_info(self) -> dict[str, Any] | None:
        """What is known of the environment of the tasks; None without a code package."""
        task = self.task
        return None if task is None else task.environment_info

    @property
    def parent_steps(self) -> Iterator[Step]:
        """The steps of the run that lead to this one."""
        return lineage.parent_steps(self)

    @property
    def child_steps(self) -> Iterator[Step]:
        """The steps of the run that this one leads to."""
        return lineage.child_steps(self)

    @property
    def control_task(self) -> Task | None:
        """The task that leads the others of a ``num_parallel`` step; None in other steps."""
        return next(self.control_tasks(), None)

    def control_tasks(self, *tags: str) -> Iterator[Task]:
        """Yield the tasks that lead the others of a ``num_parallel`` step."""
        for task in self._children(*tags):
            if any(fact["value"] == "control_task" for fact in task._facts("internal_task_type")):
                yield task

    @property
    def origin_pathspec(self) -> str | None:
        """Path of the step in the run that was resumed; None if the run began anew."""
        origin = self.parent.origin_pathspec
        return f"{origin}/{self.id}" if origin else None


class Task(Container[DataArtifact], depth=4):
    """A task: iterate for its artifacts, or take one by its name.

    Parameters
    ----------
    pathspec : str
        ``Flow/run/step/task``.
    attempt : int, optional
        Which attempt, from 0; by default the latest, for data the latest that has ended.
    """

    __slots__ = ()

    @property
    def successful(self) -> bool:
        """Whether the step's code ran to its end without an exception."""
        return bool(self._internal("_success"))

    @property
    def finished(self) -> bool:
        """Whether the task is over and the run could go on after it."""
        return bool(self._internal("_task_ok"))

    @property
    def finished_at(self) -> datetime | None:
        """When the attempt ended, well or not, in local time; None if it did not."""
        attempt = self._attempt
        if attempt is None:
            attempt = max(self._attempts().done, default=0)
        verdict = self._site.catalog.get((*self._components, "_task_ok"), attempt)  # what Metaflow's client goes by
        if verdict is not None:
            return moment(verdict["ts_epoch"])
        ends = self._facts("attempt-done")
        return moment(ends[-1]["ts_epoch"]) if ends else None

    @property
    def exception(self) -> Any:
        """Why the attempt failed, as `metaflow.exception.MetaflowExceptionWrapper`; None if it did not.

        Its `type` is that of the exception that the step raised, or of `failure` where the process died without one.
        """
        return self._internal("_exception")

    @property
    def failure(self) -> TaskFailed | None:
        """Why the attempt failed, also if that was caught: a class, a sentence, what is known. Not in Metaflow.

        One of the subclasses of `metaflow.exception.TaskFailed`: `kind` is the name of its class, `message` the
        sentence, `hint` what to do; `values` what else is known, such as ``peak_mb``, ``signal``, ``exit_code``, also
        there as attributes. None if the attempt did not fail.
        """
        stored = self._stored()
        attempts = self._attempts()
        number = max(attempts.begun, default=0) if self._attempt is None else self._attempt
        if stored is not None and stored[0].attempt == number:
            values = Artifacts(stored[1], stored[0])
            record = values.get(FAILURE)
            if record is not None:
                return TaskFailed.from_record(record)
            if values.get("_success"):
                return None
            error = values.get("_exception") or values.get("_catch_exception")  # Metaflow stores no more
            return StepRaised(f"{error.type}: {error.exception}") if error is not None else None
        if number in attempts.begun and number not in attempts.done and self._is_orphan():
            run: Any = self._run
            reason = f": {run.failure.message}" if run.failure is not None else ""
            return TaskLost(f"the step '{self.parent.id}' did not finish{reason}")
        return None

    @property
    def status(self) -> str:
        """How the task stands, in one word. Not in Metaflow.

        ``running``, or waiting for its next attempt; ``successful``; ``caught`` if it failed and the run went on;
        ``failed``; ``lost`` if its run ended while it ran.
        """
        return task_state(
            successful=self.successful,
            finished=self.finished,
            is_orphan=self._is_orphan,
            is_done=lambda: self._attempts().is_latest_done,
        )

    def _is_orphan(self) -> bool:
        """Tell whether the run that the task belongs to has ended."""
        run: Any = self._run
        return is_over(run._lease_status())

    @property
    def current_attempt(self) -> int:
        """The number of the attempt: the one asked for, or the latest that has begun."""
        if self._attempt is not None:
            return self._attempt
        return max(self._attempts().begun, default=0)

    @property
    def index(self) -> int | None:
        """The position in the innermost foreach around the task; None outside of any."""
        frames = self._internal("_foreach_stack")
        return frames[-1].index if frames else None

    @property
    def runtime_name(self) -> str | None:
        """Who ran it: ``dev`` for runs from a command line."""
        for tag in self.system_tags:
            if tag.startswith("runtime:"):
                return tag.removeprefix("runtime:")
        return None

    @property
    def data(self) -> MetaflowData:
        """The artifacts, as attributes that load when they are touched."""
        return MetaflowData(self, self._stored())

    @property
    def artifacts(self) -> Any:
        """The artifacts as a named tuple of `DataArtifact`."""
        found = self.data._artifacts
        names: Any = namedtuple("MetaflowArtifacts", list(found), rename=True)  # type: ignore[misc]
        return names(*found.values())

    def _children(self, *tags: str) -> Iterator[DataArtifact]:
        return iter(self.data._artifacts.values()) if self.tags.issuperset(tags) else iter(())

    def _stored(self) -> tuple[TaskIndex, Blobs] | None:
        """What the attempt has stored, and where; None if it has not ended."""
        return self._site.index(self._components, self._attempt)

    def _internal(self, name: str) -> Any:
        stored = self._stored()
        if stored is None or name not in stored[0].objects:
            return None
        return load_artifact(stored[1], stored[0].objects[name], name)

    @property
    def metadata(self) -> list[Metadata]:
        """All that was recorded about the task, or about the attempt if one was asked for, oldest first.

        Of a copy made by `resume` also what is known of its origin only.
        """
        facts = self._facts()
        known = {fact["field_name"]: fact["value"] for fact in facts}
        origin, seen = self._origin_components(known), {self._components}
        while origin is not None and origin not in seen:  # the origin may be a copy itself
            seen.add(origin)
            older = self._site.catalog.facts(origin)
            facts = [fact for fact in older if fact["field_name"] not in known] + facts
            origin = self._origin_components({fact["field_name"]: fact["value"] for fact in older})
            known |= {fact["field_name"]: fact["value"] for fact in facts}
        return [
            Metadata(fact["field_name"], fact["value"], fact["ts_epoch"], fact.get("type", ""), self) for fact in facts
        ]

    @property
    def metadata_dict(self) -> dict[str, Any]:
        """The latest value of each name in `metadata`."""
        return {fact.name: fact.value for fact in self.metadata}

    def _facts(self, field: str | None = None) -> list[Document]:
        facts = self._site.catalog.facts(self._components, field)
        if self._attempt is None:
            return facts
        label = f"attempt_id:{self._attempt}"
        return [fact for fact in facts if label in (tags := fact.get("tags", ())) or not tags]

    def _origin(self, field: str) -> str | None:
        values = [fact["value"] for fact in self._facts(field) if fact["value"] not in (None, "None")]
        return values[-1] if values else None

    def _origin_components(self, facts: Mapping[str, Any]) -> tuple[str, str, str, str] | None:
        run, task = facts.get("origin-run-id"), facts.get("origin-task-id")
        if run in (None, "None") or task in (None, "None"):
            return None
        return self._components[0], str(run), self._components[2], str(task)

    @property
    def origin_pathspec(self) -> str | None:
        """Path of the task that `resume` copied; None if the task ran."""
        facts = {name: self._origin(name) for name in ("origin-task-id", "origin-run-id")}
        origin = self._origin_components(facts)
        return "/".join(origin) if origin else None

    @property
    def parent_tasks(self) -> Iterator[Task]:
        """The tasks whose data this one got."""
        return lineage.parent_tasks(self)

    @property
    def child_tasks(self) -> Iterator[Task]:
        """The tasks that got this one's data."""
        return lineage.child_tasks(self)

    @property
    def parent_task_pathspecs(self) -> Iterator[str]:
        """The paths of `parent_tasks`."""
        return (task.pathspec for task in self.parent_tasks)

    @property
    def child_task_pathspecs(self) -> Iterator[str]:
        """The paths of `child_tasks`."""
        return (task.pathspec for task in self.child_tasks)

    @property
    def code(self) -> MetaflowCode | None:
        """The code package that the task ran; None if none was stored."""
        packages = self._facts("code-package")
        if not packages:
            return None
        from metaflow.client.code import MetaflowCode

        return MetaflowCode(self._site.storage_of(self._components), self._components[0], packages[-1]["value"])

    @property
    def environment_info(self) -> dict[str, Any] | None:
        """What is known of the environment that the task ran in; None without a code package."""
        code = self.code
        return None if code is None else code.info

    @property
    def stdout(self) -> str:
        """What the task printed, with replacement characters where it is no UTF-8."""
        return self._text("stdout")

    @property
    def stderr(self) -> str:
        """What the task printed to its error stream, with replacement characters where it is no UTF-8."""
        return self._text("stderr")

    @property
    def stdout_size(self) -> int:
        """Bytes that the output takes in the storage; more than the text has."""
        return self._log_size("stdout")

    @property
    def stderr_size(self) -> int:
        """Bytes that the error stream takes in the storage; more than the text has."""
        return self._log_size("stderr")

    def loglines(
        self, stream: str, as_unicode: bool = True, meta_dict: Mapping[str, Any] | None = None
    ) -> Iterator[tuple[datetime | None, Any]]:
        """Yield the lines of a log, in the order in which they were printed.

        Parameters
        ----------
        stream : str
            ``stdout`` or ``stderr``.
        as_unicode : bool
            Yield texts, with replacement characters where a line is no UTF-8; if False, bytes.
        meta_dict : mapping, optional
            Its ``attempt`` says which attempt, in place of the task's.

        Yields
        ------
        tuple
            When the line was printed (UTC, without a time zone in the object; None if it is not known), and the line.
        """
        if stream not in STREAMS:
            raise ValueError(f"There is no stream '{stream}'; there are: {', '.join(STREAMS)}.")
        attempt = None if meta_dict is None else meta_dict.get("attempt")
        for line in self._lines(stream, None if attempt is None else int(attempt)):
            yield line.time, line.text.decode(errors="replace") if as_unicode else line.text

    def _text(self, stream: str) -> str:
        lines = self._lines(stream)
        return b"".join(line.text + b"\n" for line in lines).decode(errors="replace")

    def _lines(self, stream: str, attempt: int | None = None) -> list[Line]:
        storage, latest = self._place_of_logs()
        return stored.read(storage, self.pathspec, latest if attempt is None else attempt, stream)

    def _log_size(self, stream: str) -> int:
        storage, latest = self._place_of_logs()
        return stored.size(storage, self.pathspec, latest, stream)

    def _place_of_logs(self) -> tuple[Storage, int]:
        attempts = self._attempts()
        attempt = max(attempts.begun, default=0) if self._attempt is None else self._attempt
        return attempts.storage, attempt

    def _attempts(self) -> _Attempts:
        storage = self._site.storage
        begun, done = TaskStore(storage, self.pathspec).attempts()
        if not begun:
            storage = self._site.storage_of(self._components)
            begun, done = TaskStore(storage, self.pathspec).attempts()
        return _Attempts(storage, begun, done)


class _Attempts(NamedTuple):
    """The attempts of a task that have begun, those that are done, and where they are."""

    storage: Storage
    begun: list[int]
    done: list[int]

    @property
    def is_latest_done(self) -> bool:
        return bool(self.done) and self.done[-1] == self.begun[-1]
