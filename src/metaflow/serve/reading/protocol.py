"""What pages are made of: frozen values, and `RunReader`, which finds them.

The values hold plain strings and numbers, so that a page, a JSON answer and an event are three renderings of one thing.
Times are integers: milliseconds since the epoch, as in metadata. Nothing here knows HTML, HTTP or where runs are kept.
Start reading at `RunReader`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

from metaflow.metadata_provider.protocol import TaskPath
from metaflow.serve.reading.filters import RunFilter

RunState: TypeAlias = Literal["running", "successful", "failed", "interrupted", "lost", "unknown"]
"""As of `metaflow.Run.status`."""

TaskState: TypeAlias = Literal["failed", "lost", "running", "caught", "successful"]
"""As of `metaflow.Task.status`."""

RUN_STATES: tuple[RunState, ...] = ("running", "successful", "failed", "interrupted", "lost", "unknown")
TASK_STATES: tuple[TaskState, ...] = ("failed", "lost", "running", "caught", "successful")
"""In the order in which tables have the tasks: what needs a look comes first."""

Stream: TypeAlias = Literal["stdout", "stderr"]


class Failure(NamedTuple):
    """Why a run or an attempt failed.

    Attributes
    ----------
    kind : str
        Class of the failure, such as ``memory``; of a run that of the task's failure, if one is at fault.
    message : str
        A sentence without its full stop.
    hint : str or None
        What to do about it.
    where : str or None
        File and line in the user's code.
    step, task : str or None
        The task that made a run fail.
    item : str or None
        Its place in the foreaches around it: ``models[2] = xgboost``.
    """

    kind: str
    message: str
    hint: str | None = None
    where: str | None = None
    step: str | None = None
    task: str | None = None
    item: str | None = None


class RunRow(NamedTuple):
    """A run in a list.

    Attributes
    ----------
    flow, run : str
        Names.
    state : str
        How it is doing, or how it ended.
    user : str
        Who started it; empty if nobody knows.
    started : int
        When it was registered.
    ended : int or None
        When it ended; None while it goes on, and if nothing tells.
    tags, system_tags : tuple of str
        Those of people; those that were set when it began, and stay.
    failure : Failure or None
        Why it failed.
    """

    flow: str
    run: str
    state: RunState
    user: str
    started: int
    ended: int | None = None
    tags: tuple[str, ...] = ()
    system_tags: tuple[str, ...] = ()
    failure: Failure | None = None

    @property
    def project(self) -> str | None:
        """The project that the flow is deployed or developed in."""
        return self._tagged("project:")

    @property
    def branch(self) -> str | None:
        """The branch of the project."""
        return self._tagged("project_branch:")

    @property
    def is_over(self) -> bool:
        """Whether nothing about its tasks will change any more."""
        return self.state != "running" and self.state != "unknown"

    def _tagged(self, prefix: str) -> str | None:
        return next((tag.removeprefix(prefix) for tag in self.system_tags if tag.startswith(prefix)), None)


class RunPage(NamedTuple):
    """Some runs, newest first.

    Attributes
    ----------
    rows : tuple of RunRow
        The runs.
    after : str or None
        What to pass as `after` for the next page; None if this is the last.
    is_partial : bool
        Whether the search was stopped before the page was full; `after` goes on with it.
    """

    rows: tuple[RunRow, ...]
    after: str | None = None
    is_partial: bool = False


class StepCounts(NamedTuple):
    """A step of a run, as far as it has got.

    Attributes
    ----------
    name : str
        The step.
    counts : mapping of str to int
        State to number of tasks, for every state.
    started, ended : int or None
        When its first task began; when its last one ended, None while one goes on.
    """

    name: str
    counts: Mapping[TaskState, int]
    started: int | None = None
    ended: int | None = None


class Preview(NamedTuple):
    """An artifact, as far as a page shows it.

    Attributes
    ----------
    name : str
        Its name.
    type : str
        Name of its class.
    size : int
        Bytes of its pickle.
    sha : str
        SHA-1 of its pickle: equal for equal content within a flow.
    summary : str
        One line: the value itself if it is short, else what it is: ``float64 array of shape (100, 3)``.
    text : str or None
        More of the value, in several lines; None if it cannot be shown without running code.
    is_cut : bool
        Whether `text` leaves out a part.
    trouble : str or None
        Why it could not be read.
    """

    name: str
    type: str
    size: int
    sha: str
    summary: str = ""
    text: str | None = None
    is_cut: bool = False
    trouble: str | None = None


class CodeReference(NamedTuple):
    """What a run ran.

    Attributes
    ----------
    script : str
        Name of the flow file.
    sha : str or None
        Of the code package; None if none was stored.
    location : str or None
        Where the package is.
    """

    script: str
    sha: str | None = None
    location: str | None = None


class RunDetail(NamedTuple):
    """A run.

    Attributes
    ----------
    row : RunRow
        As in a list.
    graph : mapping
        The artifact ``_graph_info``, as `metaflow.cards.graph.draw_graph` takes it; empty if it is not there.
    parameters : tuple of Preview
        Its parameters, by name.
    code : CodeReference
        What it ran.
    steps : tuple of StepCounts
        The steps that have tasks, in the order in which they began.
    origin : str or None
        ``flow/run`` that it resumed.
    first_failure : TaskPath or None
        The task to look at first.
    """

    row: RunRow
    graph: Mapping[str, Any]
    parameters: tuple[Preview, ...]
    code: CodeReference
    steps: tuple[StepCounts, ...]
    origin: str | None = None
    first_failure: TaskPath | None = None


class TaskRow(NamedTuple):
    """A task in a table.

    Attributes
    ----------
    step, task : str
        Names.
    state : str
        How it is doing, or how it ended.
    started, ended : int or None
        When its latest attempt began and ended.
    attempts : int
        How many have begun.
    item : str
        Its place in the foreaches around it, such as ``models[2] = xgboost``; else empty.
    """

    step: str
    task: str
    state: TaskState
    started: int | None
    ended: int | None = None
    attempts: int = 1
    item: str = ""


class TaskTable(NamedTuple):
    """All tasks of a run, what needs a look first: by `TASK_STATES`, then by the time of their start.

    Attributes
    ----------
    rows : tuple of TaskRow
        The tasks.
    version : str
        Differs as soon as a row does.
    """

    rows: tuple[TaskRow, ...]
    version: str


class Phase(NamedTuple):
    """A part of an attempt's time.

    Attributes
    ----------
    name : str
        ``queued``, ``pulled``, ``started``, ``code``, ``data`` or ``ran``.
    seconds : float
        How long it took.
    """

    name: str
    seconds: float


class AttemptDetail(NamedTuple):
    """An attempt of a task.

    Attributes
    ----------
    number : int
        From 0.
    state : str
        How it is doing, or how it ended.
    started, ended : int or None
        When it began and ended.
    failure : Failure or None
        Why it failed, also if that was caught.
    phases : tuple of Phase
        What its time was spent on, as far as is known.
    facts : mapping of str to str
        What was recorded of it.
    """

    number: int
    state: TaskState
    started: int | None
    ended: int | None
    failure: Failure | None
    phases: tuple[Phase, ...]
    facts: Mapping[str, str]


class ArtifactRow(NamedTuple):
    """An artifact in a list; as of `Preview`."""

    name: str
    type: str
    size: int
    sha: str


class CardRow(NamedTuple):
    """A card of a task: ``hash`` names it in addresses."""

    type: str
    id: str | None
    hash: str


class TaskDetail(NamedTuple):
    """A task.

    Attributes
    ----------
    path : TaskPath
        Where it is.
    row : TaskRow
        As in a table.
    attempts : tuple of AttemptDetail
        The oldest first; empty of a task that has not begun.
    artifacts : tuple of ArtifactRow
        What the latest attempt that is done has stored, by name; without the runtime's own.
    request : mapping of str to str
        What the task asked for: backend, cpu, memory, image, ….
    place : str
        Where it ran, in a few words.
    origin : TaskPath or None
        The task that a resumed run has taken over.
    cards : tuple of CardRow
        Its cards.
    """

    path: TaskPath
    row: TaskRow
    attempts: tuple[AttemptDetail, ...]
    artifacts: tuple[ArtifactRow, ...]
    request: Mapping[str, str]
    place: str
    origin: TaskPath | None = None
    cards: tuple[CardRow, ...] = ()


class LogLine(NamedTuple):
    """A line of a log: when it was printed, if that is known, and its text with its ANSI sequences, without its end."""

    time: int | None
    text: str


class LogSlice(NamedTuple):
    """Consecutive lines of a log.

    Attributes
    ----------
    lines : tuple of LogLine
        The lines.
    start, end : str
        Positions: that of the first line; that behind the last one, which the next slice starts at.
    fraction : float
        Where in the log the first line is: 0 at its beginning, 1 at its end.
    size : int
        Bytes of the whole log as it is stored, by now.
    is_last : bool
        Whether nothing follows by now.
    is_over : bool
        Whether the attempt has ended, so that nothing will follow.
    """

    lines: tuple[LogLine, ...]
    start: str
    end: str
    fraction: float
    size: int
    is_last: bool
    is_over: bool


class LogMatches(NamedTuple):
    """Lines of a log in which a text was found.

    Attributes
    ----------
    positions : tuple of str
        Where they are, for `RunReader.log`.
    lines : tuple of LogLine
        The lines.
    is_cut : bool
        Whether there are more.
    """

    positions: tuple[str, ...]
    lines: tuple[LogLine, ...]
    is_cut: bool


class Pair(NamedTuple):
    """One thing in two runs; None where a run does not have it.

    Attributes
    ----------
    name : str
        What it is: a parameter, ``step/artifact``, a file, a step.
    left, right : str or None
        How it is shown.
    is_same : bool
        Whether it is equal in both.
    """

    name: str
    left: str | None
    right: str | None
    is_same: bool


class RunComparison(NamedTuple):
    """Two runs side by side.

    Attributes
    ----------
    left, right : RunRow
        The runs.
    parameters, code, artifacts : tuple of Pair
        What differs comes first. Of the code its files, by name and content.
    durations : tuple of Pair
        Of the run and of each step, in seconds.
    notes : tuple of str
        Sentences on what could not be compared, and why.
    """

    left: RunRow
    right: RunRow
    parameters: tuple[Pair, ...]
    code: tuple[Pair, ...]
    artifacts: tuple[Pair, ...]
    durations: tuple[Pair, ...]
    notes: tuple[str, ...] = ()


class RunReader(Protocol):
    """Finds what pages show. Read-only; may be used by several threads at once; every method may wait for a network.

    What is not there is raised as `metaflow.exception.MetaflowNotFound`, a store that does not answer as
    `StorageUnavailable`, something damaged as `DataDamaged`; one run that cannot be read spoils no list.
    """

    def flows(self) -> Sequence[str]:
        """Return the names of the flows that have runs, sorted."""

    def runs(self, wanted: RunFilter, after: str | None = None, size: int = 50) -> RunPage:
        """Return runs that a filter lets through, newest first, from the beginning or from where a page ended."""

    def run(self, flow: str, run: str) -> RunDetail:
        """Return a run."""

    def run_state(self, flow: str, run: str) -> object:
        """Return what differs as soon as something about a run or its tasks does; costs less than to read it all."""

    def task_state(self, path: TaskPath) -> object:
        """Return what differs as soon as something about a task does, its logs included."""

    def tasks(self, flow: str, run: str) -> TaskTable:
        """Return the tasks of a run."""

    def task(self, path: TaskPath) -> TaskDetail:
        """Return a task."""

    def log(
        self, path: TaskPath, attempt: int, stream: Stream, position: str | float = "", most: int = 1 << 16
    ) -> LogSlice:
        """Return lines of an attempt's log.

        Parameters
        ----------
        path : TaskPath
            The task.
        attempt : int
            From 0.
        stream : str
            Which of the two.
        position : str or float
            Where to start: a position that an earlier answer has, the beginning by default; or a fraction of the log.
        most : int
            Bytes, about.
        """

    def search_log(self, path: TaskPath, attempt: int, stream: Stream, text: str, most: int = 1000) -> LogMatches:
        """Return the lines of an attempt's log that contain `text`, whatever the case of its letters."""

    def raw_log(self, path: TaskPath, attempt: int, stream: Stream) -> Iterator[bytes]:
        """Yield what the attempt printed, in parts, for a download."""

    def preview(self, path: TaskPath, name: str, attempt: int | None = None) -> Preview:
        """Return an artifact, by default of the latest attempt that is done, without running code of its pickle."""

    def compare(self, left: tuple[str, str], right: tuple[str, str]) -> RunComparison:
        """Compare two runs, each named by flow and id."""

    def card(self, path: TaskPath, hash: str) -> str:
        """Return the page of a card: a whole HTML document, which is the user's own."""

    def card_data(self, path: TaskPath, hash: str) -> Mapping[str, Any] | None:
        """Return what a card showed last while its step ran: ``reload_token``, ``data``, ``created_on``."""
