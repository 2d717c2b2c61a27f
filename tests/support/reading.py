"""Runs in memory, as pages see them (`metaflow.serve.reading.protocol.RunReader`): for tests of pages.

`sample_reader` has a run of every state, one with a wide foreach that has failed in the middle, one that goes on, logs
with ANSI sequences, and names and values that are no HTML. Start there; `FakeReader` takes any others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from metaflow.exception import MetaflowNotFound
from metaflow.metadata_provider.protocol import TaskPath
from metaflow.serve.reading.filters import RunFilter
from metaflow.serve.reading.protocol import (
    RUN_STATES,
    TASK_STATES,
    ArtifactRow,
    AttemptDetail,
    CardRow,
    CodeReference,
    Failure,
    LogLine,
    LogMatches,
    LogSlice,
    Pair,
    Phase,
    Preview,
    RunComparison,
    RunDetail,
    RunPage,
    RunRow,
    StepCounts,
    Stream,
    TaskDetail,
    TaskRow,
    TaskTable,
)

START = 1_790_000_000_000
"""When the first run of `sample_reader` began."""
HOSTILE = "<script>alert('x')</script>"


@dataclass
class FakeRun:
    """A run and all that is known of it."""

    row: RunRow
    tasks: list[TaskRow] = field(default_factory=list)
    graph: Mapping[str, Any] = field(default_factory=dict)
    parameters: tuple[Preview, ...] = ()
    failures: dict[str, Failure] = field(default_factory=dict)
    """Of tasks, by ``step/task``."""
    logs: dict[str, list[str]] = field(default_factory=dict)
    """Lines, by ``step/task/attempt/stream``."""
    artifacts: dict[str, tuple[Preview, ...]] = field(default_factory=dict)
    """By ``step/task``."""
    cards: dict[str, dict[CardRow, str]] = field(default_factory=dict)
    """Pages, by ``step/task``."""


class FakeReader:
    """Runs in memory; they may be changed while it is in use."""

    def __init__(self, runs: Iterable[FakeRun] = ()) -> None:
        self.known = list(runs)

    def flows(self) -> Sequence[str]:
        return sorted({run.row.flow for run in self.known})

    def runs(self, wanted: RunFilter, after: str | None = None, size: int = 50) -> RunPage:
        rows = sorted((run.row for run in self.known if _admits(wanted, run.row)), key=_age, reverse=True)
        begin = 0 if after is None else int(after)
        return RunPage(tuple(rows[begin : begin + size]), str(begin + size) if begin + size < len(rows) else None)

    def run(self, flow: str, run: str) -> RunDetail:
        found = self._find(flow, run)
        failed = [task for task in found.tasks if task.state in ("failed", "lost")]
        by_step: dict[str, list[TaskRow]] = {}
        for task in found.tasks:
            by_step.setdefault(task.step, []).append(task)
        return RunDetail(
            row=found.row,
            graph=found.graph,
            parameters=found.parameters,
            code=CodeReference(f"{flow.lower()}.py", "c0de" * 10, "s3://bucket/code"),
            steps=tuple(_counts(step, tasks) for step, tasks in by_step.items()),
            first_failure=TaskPath(flow, run, failed[0].step, failed[0].task) if failed else None,
        )

    def run_state(self, flow: str, run: str) -> object:
        return self.run(flow, run), self.tasks(flow, run)

    def task_state(self, path: TaskPath) -> object:
        run, row = self._find_task(path)
        return row, {name: len(lines) for name, lines in run.logs.items()}

    def tasks(self, flow: str, run: str) -> TaskTable:
        rows = sorted(self._find(flow, run).tasks, key=lambda row: (TASK_STATES.index(row.state), row.started or 0))
        return TaskTable(tuple(rows), f"{hash(tuple(rows)) & 0xFFFFFFFF:x}")

    def task(self, path: TaskPath) -> TaskDetail:
        run, row = self._find_task(path)
        name = f"{path.step}/{path.task}"
        attempts = [
            AttemptDetail(
                number=number,
                state=row.state if number == row.attempts - 1 else "failed",
                started=row.started,
                ended=row.ended,
                failure=run.failures.get(name),
                phases=(Phase("queued", 1.5), Phase("pulled", 20.0), Phase("started", 0.4), Phase("ran", 60.0)),
                facts={"attempt": str(number), "ds-type": "local"},
            )
            for number in range(row.attempts)
        ]
        artifacts = tuple(ArtifactRow(*each[:4]) for each in run.artifacts.get(name, ()))
        request = {"backend": "kubernetes", "cpu": "2", "memory": "4096"}
        cards = tuple(run.cards.get(name, ()))
        return TaskDetail(path, row, tuple(attempts), artifacts, request, "pod hello-7, node-3", None, cards)

    def log(
        self, path: TaskPath, attempt: int, stream: Stream, position: str | float = "", most: int = 1 << 16
    ) -> LogSlice:
        run, row = self._find_task(path)
        lines = run.logs.get(f"{path.step}/{path.task}/{attempt}/{stream}", [])
        begin = int(position * len(lines)) if isinstance(position, float) else int(position or 0)
        end, size = begin, 0
        while end < len(lines) and size < most:
            size += len(lines[end])
            end += 1
        return LogSlice(
            lines=tuple(self._line(row, index, lines) for index in range(begin, end)),
            start=str(begin),
            end=str(end),
            fraction=begin / len(lines) if lines else 0.0,
            size=sum(map(len, lines)),
            is_last=end == len(lines),
            is_over=row.state != "running",
        )

    def search_log(self, path: TaskPath, attempt: int, stream: Stream, text: str, most: int = 1000) -> LogMatches:
        run, row = self._find_task(path)
        lines = run.logs.get(f"{path.step}/{path.task}/{attempt}/{stream}", [])
        found = [index for index, line in enumerate(lines) if text.casefold() in line.casefold()]
        shown = found[:most]
        return LogMatches(
            tuple(map(str, shown)), tuple(self._line(row, index, lines) for index in shown), len(found) > most
        )

    def raw_log(self, path: TaskPath, attempt: int, stream: Stream) -> Iterator[bytes]:
        run, _ = self._find_task(path)
        lines = run.logs.get(f"{path.step}/{path.task}/{attempt}/{stream}", [])
        return (f"{line}\n".encode() for line in lines)

    def preview(self, path: TaskPath, name: str, attempt: int | None = None) -> Preview:
        run, _ = self._find_task(path)
        for each in run.artifacts.get(f"{path.step}/{path.task}", ()):
            if each.name == name:
                return each
        raise MetaflowNotFound(f"The task {path} has no artifact '{name}'.")

    def compare(self, left: tuple[str, str], right: tuple[str, str]) -> RunComparison:
        one, other = self._find(*left), self._find(*right)
        return RunComparison(
            one.row,
            other.row,
            parameters=(Pair("alpha", "0.1", "0.2", False), Pair("seed", "7", "7", True)),
            code=(Pair("hello.py", "11ab", "22cd", False), Pair("model.py", "33ef", "33ef", True)),
            artifacts=(Pair("train/model", "aaaa", "bbbb", False), Pair("start/data", "cccc", "cccc", True)),
            durations=(Pair("run", "61.0", "75.5", False), Pair("train", "50.0", None, False)),
            notes=("Of the step 'train' 100 of 10,000 tasks were compared.",),
        )

    def card(self, path: TaskPath, hash: str) -> str:
        run, _ = self._find_task(path)
        for card, page in run.cards.get(f"{path.step}/{path.task}", {}).items():
            if card.hash == hash:
                return page
        raise MetaflowNotFound(f"The task {path} has no such card.")

    def card_data(self, path: TaskPath, hash: str) -> Mapping[str, Any] | None:
        self.card(path, hash)
        return None

    def _line(self, row: TaskRow, index: int, lines: list[str]) -> LogLine:
        return LogLine(None if row.started is None else row.started + index, lines[index])

    def _find(self, flow: str, run: str) -> FakeRun:
        for each in self.known:
            if each.row[:2] == (flow, run):
                return each
        raise MetaflowNotFound(f"There is no run {flow}/{run}.")

    def _find_task(self, path: TaskPath) -> tuple[FakeRun, TaskRow]:
        run = self._find(path.flow, path.run)
        for row in run.tasks:
            if (row.step, row.task) == (path.step, path.task):
                return run, row
        raise MetaflowNotFound(f"There is no task {path}.")


def _admits(wanted: RunFilter, row: RunRow) -> bool:
    return wanted.admits(
        row.flow,
        row.run,
        user=row.user,
        started=row.started,
        state=row.state,
        tags=(*row.tags, *row.system_tags),
    )


def _age(row: RunRow) -> tuple[int, str, str]:
    return row.started, row.flow, row.run


def _counts(step: str, tasks: list[TaskRow]) -> StepCounts:
    ends = [task.ended for task in tasks]
    known = [end for end in ends if end is not None]
    return StepCounts(
        step,
        Counter(task.state for task in tasks),
        min((task.started for task in tasks if task.started is not None), default=None),
        max(known) if len(known) == len(ends) else None,
    )


def sample_reader(tasks: int = 40, runs: int = 6) -> FakeReader:
    """Return runs of every state, newest last; the first failed in a foreach of `tasks`, the second goes on."""
    return FakeReader([_wide(tasks), *(_small(index) for index in range(1, runs))])


def _wide(width: int) -> FakeRun:
    failure = Failure("memory", "the step 'train' ran out of memory: its limit is 4096 MB", "give it more: memory=8192")
    at_fault = str(width // 2 + 2)
    blamed = failure._replace(step="train", task=at_fault, item=f"models[{width // 2}] = m{width // 2}")
    row = RunRow("TrainFlow", "101", "failed", "ann", START, START + 90_000, ("nightly", HOSTILE), (), blamed)
    items = [
        TaskRow(
            "train",
            str(index + 2),
            "failed" if str(index + 2) == at_fault else "successful",
            START + 2_000 + index,
            START + 3_000 + 7 * index,
            2 if str(index + 2) == at_fault else 1,
            f"models[{index}] = m{index}",
        )
        for index in range(width)
    ]
    start = TaskRow("start", "1", "successful", START + 500, START + 1_500)
    log = [f"\x1b[3{index % 8}mepoch {index}\x1b[0m loss={1 / (index + 1):.4f} {HOSTILE}" for index in range(3000)]
    preview = Preview("weights", "numpy.ndarray", 2400, "ab" * 20, "float64 array of shape (100, 3)")
    return FakeRun(
        row=row,
        tasks=[start, *items],
        graph=_GRAPH,
        parameters=(Preview("alpha", "float", 21, "cd" * 20, "0.1", "0.1"),),
        failures={f"train/{at_fault}": failure},
        logs={f"train/{at_fault}/1/stdout": log, f"train/{at_fault}/1/stderr": ["Traceback …", "MemoryError"]},
        artifacts={
            f"train/{at_fault}": (preview, Preview("name", "str", 30, "ef" * 20, repr(HOSTILE), HOSTILE)),
        },
        cards={f"train/{at_fault}": {CardRow("default", None, "0f" * 16): "<!doctype html><title>Card</title>"}},
    )


def _small(index: int) -> FakeRun:
    state = RUN_STATES[(index - 1) % len(RUN_STATES)]
    started = START + index * 60_000
    failure = Failure(state, f"the run was {state}", None) if state in ("failed", "interrupted", "lost") else None
    ended = None if state in ("running", "lost", "unknown") else started + 5_000
    row = RunRow("HelloFlow", str(200 + index), state, "bob", started, ended, ("daily",), ("user:bob",), failure)
    last = "running" if state in ("running", "unknown") else "successful" if state == "successful" else "failed"
    tasks = [
        TaskRow("start", "1", "successful", started + 100, started + 900),
        TaskRow("end", "2", last, started + 1_000, ended),  # type: ignore[arg-type]  # one of TASK_STATES
    ]
    return FakeRun(row, tasks, _GRAPH, logs={"start/1/0/stdout": ["hello", "world"]})


_GRAPH = {
    "start_step": "start",
    "end_step": "end",
    "steps": {
        "start": {"type": "foreach", "next": ["train"], "doc": ""},
        "train": {"type": "linear", "next": ["join"], "doc": "Train a model."},
        "join": {"type": "join", "next": ["end"], "doc": ""},
        "end": {"type": "end", "next": [], "doc": ""},
    },
}
