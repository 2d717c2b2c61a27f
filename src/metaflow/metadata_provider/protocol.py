"""What is known of runs: the contracts of the two sides of metadata, `Recorder` and `Catalog`.

Metadata are facts about flows, runs, steps, tasks and artifacts: who, when, tags, and named values. They hold no
user data; an artifact's fact is the name and hash of its blob. The dictionaries that a catalog returns are the
documents of Metaflow's metadata service, whose keys local metadata have too
(`run_number`, `step_name`, `task_id`, `tags`, `system_tags`, `user_name`, `ts_epoch` in milliseconds, …).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

from metaflow.metadata_provider.task_ids import NUMBERS, TaskNumbering

Document: TypeAlias = dict[str, Any]
"""One object as a catalog knows it."""


PARAMETERS_STEP = "_parameters"
"""The pseudo-step of a run whose only task has its parameters, as `metaflow.store.layout` calls it."""


class TaskPath(NamedTuple):
    """The names that lead to a task."""

    flow: str
    run: str
    step: str
    task: str

    def __str__(self) -> str:
        return "/".join(self)


class Fact(NamedTuple):
    """A named value about a task: Metaflow's *metadatum*.

    `name` and `type` are mostly equal (``attempt``, ``ds-root``, …); `value` is text, or a list of texts
    (``foreach-stack``).
    """

    name: str
    value: str | list[str]
    type: str


class ArtifactFact(NamedTuple):
    """Where one artifact's bytes are."""

    name: str
    sha: str
    type: str = "metaflow.artifact"
    content_type: str = "pickle-v4"


class WholeAttempt(NamedTuple):
    """All that is recorded of the only attempt of a task that is over.

    Attributes
    ----------
    facts : sequence of Fact
        Facts about it.
    artifacts : sequence of ArtifactFact
        Its artifacts that are as new as the task.
    storage : tuple of (str, str)
        Kind and root of what has the artifacts.
    origin : TaskPath, optional
        Another task of the flow.
    shared : sequence of ArtifactFact
        The other artifacts. The first attempt of `origin` has the same, and what is recorded of them there, its time
        included, may stand for what would be recorded here.
    """

    facts: Sequence[Fact]
    artifacts: Sequence[ArtifactFact]
    storage: tuple[str, str]
    origin: TaskPath | None = None
    shared: Sequence[ArtifactFact] = ()


class ListedRun(NamedTuple):
    """A run in a listing.

    Attributes
    ----------
    began : int
        When, in milliseconds since the epoch: what listings are ordered by.
    run : str
        Its id.
    document : dict or None
        As `Catalog.get` returns it, where that came with the listing.
    """

    began: int
    run: str
    document: Document | None = None


def unclaimed(run: str) -> None:
    """Leave it open who carries out a run."""


class Recorder(Protocol):
    """What a run writes.

    Promises of every implementation: a document is visible whole or not at all; registering twice what exists is no
    error and changes nothing; what is recorded can be read when the call returns, by whoever reads through the same
    object, and by others after `flush`. It may be used by several threads. Trouble that passes is waited out inside;
    what is raised is final.
    """

    kind: str
    """Name in the registry, such as ``local`` or ``service``."""

    root: str
    """Directory or URL of what it keeps."""

    registers_early: bool
    """Whether tasks are to be registered when they are launched, in the order of their ids."""

    def new_run(
        self,
        flow: str,
        *,
        tags: Iterable[str],
        system_tags: Iterable[str],
        claim: Callable[[str], None] = unclaimed,
    ) -> str:
        """Register a run under a new id and return the id.

        `claim` is called with the id before anybody can see the run: whoever carries it out says so there.
        """

    def register_task(
        self, task: TaskPath, *, tags: Iterable[str], system_tags: Iterable[str], whole: WholeAttempt | None = None
    ) -> None:
        """Register a task and its step; with `whole`, record its attempt 0 too, which is cheaper than one by one."""

    def record(self, task: TaskPath, attempt: int | None, facts: Sequence[Fact]) -> None:
        """Add facts about one attempt of a task, or about the task whatever its attempt (None)."""

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
        """Add the artifacts of one attempt; `storage` is its kind and root."""

    def numbering(self, flow: str, run: str) -> TaskNumbering:
        """Return how the tasks of a run that this recorder has registered are to be called."""

    def flush(self, seconds: float | None = None, tasks: Sequence[TaskPath] | None = None) -> bool:
        """Wait until what was recorded, of some tasks if they are given, is where it can be read; tell whether it is.

        It waits for `seconds` at most, if they are given. Recording itself waits for no network.
        """

    def tell(self, say: Callable[[str], None]) -> None:
        """Have a person told, from now on, of what is waited for; in the thread that waits."""

    @property
    def trouble(self) -> str:
        """A sentence about what keeps it from writing now; empty if nothing does."""


class WritesAtOnce:
    """What there is to say of a recorder that has written when its methods return (`Recorder`)."""

    registers_early = False

    def numbering(self, flow: str, run: str) -> TaskNumbering:
        return NUMBERS

    def flush(self, seconds: float | None = None, tasks: Sequence[TaskPath] | None = None) -> bool:
        return True

    def tell(self, say: Callable[[str], None]) -> None:
        pass

    @property
    def trouble(self) -> str:
        return ""


class Catalog(Protocol):
    """What a client reads, and the tags, which it may change.

    Promises of every implementation: a document is whole or not there, and one that is damaged is raised as
    `metaflow.exception.DataDamaged`, which names its place; tag changes are atomic for readers.
    """

    kind: str
    """As of the recorder that has written it."""

    root: str
    """As of the recorder that has written it."""

    def latest_run(self, flow: str) -> str | None:
        """Return the id of the run that was registered last, None if there is none."""

    def get(self, path: Sequence[str], attempt: int = 0) -> Document | None:
        """Return the document of a flow, run, step or task (1 to 4 names) or of an attempt's artifact (5), or None."""

    def names(self, path: Sequence[str]) -> list[str]:
        """Return the names one level below `path` (0 to 3 names), in no particular order."""

    def children(self, path: Sequence[str]) -> Iterable[Document]:
        """Yield the documents one level below `path` (0 to 3 names), in no particular order."""

    def facts(self, path: Sequence[str], field: str | None = None) -> list[Document]:
        """Return the facts of a task (4 names), or those named `field`, oldest first.

        A fact is a document with `field_name`, `value`, `type`, `tags` and `ts_epoch`; the tag ``attempt_id:N`` says
        of which attempt it is.
        """

    def newest(
        self,
        flow: str,
        before: int | None = None,
        filters: Mapping[str, str] | None = None,
        page_size: int | None = None,
    ) -> Iterable[ListedRun]:
        """Yield the runs of a flow, newest first; only those that began before a time in milliseconds, if one is given.

        Made for the first few of very many: no document is read that did not come with the listing. `filters`, as
        `metaflow.client.run_filters` has them, may narrow the listing where that saves reading; `page_size` is the most
        that is read together, where that matters.
        """

    def facts_below(self, path: Sequence[str], fields: Collection[str]) -> Iterable[Document]:
        """Yield the facts with one of the names `fields` of all tasks of a run (2 names) or a step (3 names).

        They come in any order; `step_name` and `task_id` say of which task each is.
        """

    def change_tags(self, flow: str, run: str, *, add: Iterable[str], remove: Iterable[str]) -> list[str]:
        """Remove, then add user tags of a run in one step; return those it has now.

        Raises
        ------
        metaflow.exception.MetaflowTaggingError
            A tag to remove is a system tag, or a tag is not valid.
        """


class Metadata(Recorder, Catalog, Protocol):
    """Both sides of one place, as an implementation in the registry has them."""


def missing(facts: Iterable[Document], known: Iterable[Document]) -> list[Document]:
    """Return the facts that are not among `known`."""
    there = [_identity(fact) for fact in known]
    return [fact for fact in facts if _identity(fact) not in there]


def _identity(fact: Document) -> tuple[object, ...]:
    """Return what tells a fact of a task from all its others."""
    return fact["field_name"], fact["ts_epoch"], fact["value"], fact.get("tags")
