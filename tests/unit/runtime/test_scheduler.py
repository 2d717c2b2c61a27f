"""The scheduler as a protocol: events in, exact instructions out; its promises on random flows; real runs, replayed.

Where the scheduler is meant to decide otherwise than before, `python -m support.recording` in `tests` records the real
runs anew.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaflow.compute.report import TaskReport
from metaflow.exception import MetaflowInternalError, TaskFailed
from metaflow.flow.description import describe
from metaflow.flow.lint import check_graph
from metaflow.runtime.events import (
    Cancelled,
    Event,
    Finish,
    Instruction,
    Launch,
    Retries,
    RetryDue,
    Start,
    Stop,
    TaskEnded,
    TaskRef,
    Wait,
)
from metaflow.runtime.scheduler import Scheduler
from support.recording import DIRECTORY, RUNS, event_from_json, replay, scheduler_of
from support.sketch import graph_of

PARAMETERS = TaskRef("_parameters", 0)


class Checked(Scheduler):
    """A scheduler whose state is checked after each event."""

    def handle(self, event: Event) -> list[Instruction]:
        instructions = super().handle(event)
        self.validate()
        return instructions


def scheduler(*joins: str, slots: int = 4, max_splits: int = 100, retries: Retries | None = None) -> Scheduler:
    return Checked(set(joins), slots=slots, max_splits=max_splits, retries=lambda step: retries or Retries())


def ok(*steps: str, width: int | None = None) -> TaskReport:
    return TaskReport(steps, width)


def failed(reason: str = "boom", kind: str = "failed") -> TaskReport:
    return TaskReport(failure=TaskFailed.from_record({"kind": kind, "message": reason}))


def test_linear() -> None:
    """1. start runs. 2. its end starts `end`. 3. that one's end finishes the run."""
    machine = scheduler()
    assert machine.handle(Start("start", PARAMETERS)) == [Launch(1, "start", 0, None, (PARAMETERS,))]
    assert machine.handle(TaskEnded(1, 0, ok("end"))) == [Launch(2, "end", 0, None, (TaskRef("start", 1),))]
    assert machine.handle(TaskEnded(2, 0, ok())) == [Finish(True)]


def test_a_join_gets_the_branches_in_their_order_whoever_comes_first() -> None:
    machine = scheduler("join")
    machine.handle(Start("start", PARAMETERS))
    machine.handle(TaskEnded(1, 0, ok("a", "b")))
    assert machine.handle(TaskEnded(3, 0, ok("join"))) == []
    assert machine.handle(TaskEnded(2, 0, ok("join"))) == [
        Launch(4, "join", 0, None, (TaskRef("a", 2), TaskRef("b", 3)))
    ]


def test_a_wide_foreach_starts_as_slots_come_free_and_waits_as_one_counter() -> None:
    machine = scheduler("join", slots=2, max_splits=10**6)
    machine.handle(Start("start", PARAMETERS))
    source = (TaskRef("start", 1),)
    assert machine.handle(TaskEnded(1, 0, ok("work", width=10**6))) == [
        Launch(2, "work", 0, 0, source),
        Launch(3, "work", 0, 1, source),
    ]
    assert machine.pending() == {"work": 10**6 - 2}
    assert machine.handle(TaskEnded(3, 0, ok("join"))) == [Launch(4, "work", 0, 2, source)]


def test_branches_that_have_begun_go_before_new_elements() -> None:
    machine = scheduler("join", slots=1)
    machine.handle(Start("start", PARAMETERS))
    machine.handle(TaskEnded(1, 0, ok("first", width=3)))
    assert machine.handle(TaskEnded(2, 0, ok("second"))) == [Launch(3, "second", 0, None, (TaskRef("first", 2),))]


def test_too_wide_a_foreach_fails_the_run_before_anything_starts() -> None:
    machine = scheduler("join", max_splits=10)
    machine.handle(Start("start", PARAMETERS))
    (finish,) = machine.handle(TaskEnded(1, 0, ok("work", width=11)))
    assert isinstance(finish, Finish)
    assert finish.culprit == TaskRef("start", 1)
    assert "11" in finish.reason
    assert "--max-num-splits" in finish.reason


def test_a_failure_stops_the_others_and_the_first_one_is_the_culprit() -> None:
    machine = scheduler("join")
    machine.handle(Start("start", PARAMETERS))
    machine.handle(TaskEnded(1, 0, ok("a", "b")))
    assert machine.handle(TaskEnded(2, 0, failed("first"))) == [Stop(3, "first")]
    assert machine.handle(TaskEnded(3, 0, failed("killed"))) == [Finish(False, TaskRef("a", 2), "first")]


def test_a_retry_keeps_the_task_and_counts_the_attempt() -> None:
    machine = scheduler(retries=Retries(1))
    machine.handle(Start("start", PARAMETERS))
    assert machine.handle(TaskEnded(1, 0, failed())) == [Launch(1, "start", 1, None, (PARAMETERS,), 1)]
    assert machine.handle(TaskEnded(1, 1, failed("again"))) == [Finish(False, TaskRef("start", 1), "again")]


def test_a_retry_with_a_delay_waits_without_a_slot() -> None:
    machine = scheduler("join", slots=1, retries=Retries(1, delay=60))
    machine.handle(Start("start", PARAMETERS))
    machine.handle(TaskEnded(1, 0, ok("a", "b")))
    assert machine.handle(TaskEnded(2, 0, failed())) == [
        Wait(2, "a", 1, 60),
        Launch(3, "b", 0, None, (TaskRef("start", 1),), 1),
    ]
    assert machine.handle(RetryDue(2, 1)) == []
    assert machine.handle(TaskEnded(3, 0, ok("join"))) == [Launch(2, "a", 1, None, (TaskRef("start", 1),), 1)]


def attempts(retries: Retries, *kinds: str) -> list[tuple[int, bool, float]]:
    """Let a task fail with `kinds` in turn; return number, whether its code runs, and waiting time of each attempt."""
    machine = scheduler(retries=retries)
    instructions = machine.handle(Start("start", PARAMETERS))
    found: list[tuple[int, bool, float]] = []
    for kind in (*kinds, None):
        delay = 0.0
        if isinstance(instructions[0], Wait):
            delay = instructions[0].delay
            instructions = machine.handle(RetryDue(1, instructions[0].attempt))
        (instruction,) = instructions
        if isinstance(instruction, Finish):
            assert kind is None, f"finished before it could fail with {kind!r}"
            return found
        assert isinstance(instruction, Launch)
        found.append((instruction.attempt, instruction.attempt <= instruction.last_attempt, delay))
        if kind is not None:
            instructions = machine.handle(TaskEnded(1, instruction.attempt, failed(kind=kind)))
    return found


@pytest.mark.parametrize(
    ("retries", "kinds", "expected"),
    [
        (Retries(), ["killed"], [(0, True, 0)]),
        (Retries(1, fallbacks=1), ["killed"] * 3, [(0, True, 0), (1, True, 0), (2, False, 0)]),
        (Retries(2, delay=3, backoff=2), ["killed"] * 3, [(0, True, 0), (1, True, 3), (2, True, 6)]),
        (Retries(1, fallbacks=1, delay=9), ["killed"] * 3, [(0, True, 0), (1, True, 9), (2, False, 0)]),
        (Retries(3, only=frozenset({"memory"})), ["memory", "killed"], [(0, True, 0), (1, True, 0)]),
        (Retries(3, 1, only=frozenset({"memory"})), ["killed", "killed"], [(0, True, 0), (1, False, 0)]),
        (Retries(preemptions=2), ["preempted", "lost", "lost"], [(0, True, 0), (1, True, 0), (2, True, 0)]),
        (Retries(1, preemptions=1), ["lost", "killed", "lost"], [(0, True, 0), (1, True, 0), (2, True, 0)]),
        (Retries(0, 1, preemptions=1), ["lost", "killed", "lost"], [(0, True, 0), (1, True, 0), (2, False, 0)]),
    ],
)
def test_which_attempts_there_are(retries: Retries, kinds: list[str], expected: list[tuple[int, bool, float]]) -> None:
    assert attempts(retries, *kinds) == expected


def test_cancelling_stops_what_runs_and_forgets_what_waits() -> None:
    machine = scheduler("join", slots=1)
    machine.handle(Start("start", PARAMETERS))
    machine.handle(TaskEnded(1, 0, ok("work", width=5)))
    assert machine.handle(Cancelled("interrupted")) == [Stop(2, "interrupted")]
    assert machine.handle(TaskEnded(2, 0, failed())) == [Finish(False, None, "interrupted")]


def test_a_task_that_ended_well_after_cancelling_does_not_start_anything() -> None:
    machine = scheduler()
    machine.handle(Start("start", PARAMETERS))
    machine.handle(Cancelled("interrupted"))
    assert machine.handle(TaskEnded(1, 0, ok("end"))) == [Finish(False, None, "interrupted")]


def test_events_that_cannot_be_are_bugs() -> None:
    machine = scheduler()
    machine.handle(Start("start", PARAMETERS))
    with pytest.raises(MetaflowInternalError, match="does not run"):
        machine.handle(TaskEnded(7, 0, ok()))


def test_a_list_of_one_is_a_split_of_one() -> None:
    machine = Checked({"join"}, slots=4, max_splits=100, lists_of_one={("start", "a")})
    machine.handle(Start("start", PARAMETERS))
    assert machine.handle(TaskEnded(1, 0, ok("a"))) == [Launch(2, "a", 0, None, (TaskRef("start", 1),))]
    assert machine.handle(TaskEnded(2, 0, ok("join"))) == [Launch(3, "join", 0, None, (TaskRef("a", 2),))]


def test_branches_of_one_split_that_choose_different_joins() -> None:
    machine = scheduler("j", "k")
    machine.handle(Start("start", PARAMETERS))
    machine.handle(TaskEnded(1, 0, ok("a", "b")))
    machine.handle(TaskEnded(2, 0, ok("j")))
    (finish,) = machine.handle(TaskEnded(3, 0, ok("k")))
    assert isinstance(finish, Finish)
    assert finish.culprit == TaskRef("b", 3)
    assert "'a' to 'j', and 'b' to 'k'" in finish.reason


# --- random flows ---------------------------------------------------------------------------------------------------


Move = tuple[str, tuple[tuple[str, ...], ...]]
"""What a step does when it ends: a kind, and the ways that it can go."""


class Flow:
    """A random well-formed flow: what each step does when it ends, and which steps are joins.

    Built from blocks: a block leads from its first step to the step that comes after it. What opens a split leads to a
    join, which may be `end`, may close several splits of which one runs, and may open another one itself.
    """

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.joins: set[str] = set()
        self.lists_of_one: set[tuple[str, str]] = set()
        self.moves: dict[str, Move] = {"end": ("end", ())}
        self.count = 0
        last = "end"
        if draw(st.booleans()):
            self.joins.add("end")
            last = self.name()
            self.moves[last] = self.opening(draw(st.sampled_from(["split", "foreach", "list"])), "end", depth=0)
        self.start = self.one("linear", self.block(last, depth=0), depth=0)

    def name(self) -> str:
        self.count += 1
        return f"s{self.count}"

    def block(self, after: str, depth: int) -> str:
        kinds = ["linear", "linear", "switch", "loop"]
        kinds += ["split", "foreach", "foreach", "list", "join"] if depth < 3 else []
        first = after
        for _ in range(self.draw(st.integers(1, 3 if depth < 2 else 1))):
            first = self.one(self.draw(st.sampled_from(kinds)), first, depth)
        return first

    def one(self, kind: str, after: str, depth: int) -> str:
        step = self.name()
        if kind in ("split", "foreach", "list"):
            self.moves[step] = self.opening(kind, self.join(("linear", ((after,),))), depth)
        elif kind == "join":
            opening = self.draw(st.sampled_from(["split", "foreach", "list"]))
            last = self.join(("linear", ((after,),)))
            self.moves[step] = self.opening("split", self.join(self.opening(opening, last, depth)), depth)
        elif kind == "switch":
            self.moves[step] = (kind, ((self.one("linear", after, depth),), (after,)))
        elif kind == "loop":
            self.moves[step] = (kind, ((step,), (after,)))
        else:
            self.moves[step] = (kind, ((after,),))
        return step

    def join(self, move: Move) -> str:
        join = self.name()
        self.joins.add(join)
        self.moves[join] = move
        return join

    def opening(self, kind: str, join: str, depth: int) -> Move:
        """Return a move that opens a split, which `join` closes."""
        if kind == "foreach":
            return kind, ((self.block(join, depth + 1),),)
        many = tuple(self.block(join, depth + 1) for _ in range(self.draw(st.integers(2, 3))))
        if kind == "split":
            return kind, (many,)
        one, choice = self.block(join, depth + 1), self.name()
        self.lists_of_one.add((choice, one))
        self.moves[choice] = (kind, (many, (one,), (one, many[0])))
        return "linear", ((choice,),)

    def sketch(self) -> str:
        """Return it as `support.sketch` reads it."""
        parts = [f"start > {self.start}"]
        for step, (kind, ways) in self.moves.items():
            signature = f"{step}(inputs)" if step in self.joins else step
            if kind in ("switch", "loop", "list"):
                cases = (f"[{','.join(way)}]" if kind == "list" else way[0] for way in ways)
                parts.append(f"{signature} > ? v {' '.join(f'{key}:{case}' for key, case in enumerate(cases))}")
            elif kind == "end":
                parts.append(signature)
            else:
                parts.append(f"{signature} > {', '.join(ways[0])}{' * xs' if kind == 'foreach' else ''}")
        return "; ".join(parts)


@st.composite
def flows(draw: st.DrawFn) -> Flow:
    return Flow(draw)


class Simulation:
    """Plays engine: ends running tasks in random order, well or badly, and checks each instruction."""

    def __init__(self, flow: Flow, data: st.DataObject, *, slots: int, failures: float, retries: int) -> None:
        self.flow, self.data, self.slots, self.failures = flow, data, slots, failures
        self.machine = Checked(
            flow.joins,
            slots=slots,
            max_splits=100,
            retries=lambda step: Retries(retries),
            lists_of_one=flow.lists_of_one,
        )
        self.running: dict[int, Launch] = {}
        self.launched: Counter[tuple[int, int]] = Counter()
        self.succeeded: dict[int, Launch] = {}
        self.uses: dict[int, int] = {}  # by task: how many take its results, if not one
        self.tokens: Counter[str] = Counter()
        self.loops: Counter[int] = Counter()
        self.finish: Finish | None = None
        self.failed = False

    def play(self) -> None:
        self.carry_out(self.machine.handle(Start(self.flow.start, PARAMETERS)))
        for _ in range(5000):
            if self.finish is not None:
                return
            assert self.running, "nothing runs and the run has not ended: a deadlock"
            task = self.data.draw(st.sampled_from(sorted(self.running)))
            launch = self.running.pop(task)
            fails = self.data.draw(st.floats(0, 1)) < self.failures
            report = failed() if fails else self.end(launch)
            self.failed = self.failed or fails
            self.carry_out(self.machine.handle(TaskEnded(task, launch.attempt, report)))
        raise AssertionError("the run did not end")

    def end(self, launch: Launch) -> TaskReport:
        self.succeeded[launch.task] = launch
        kind, ways = self.flow.moves[launch.step]
        if kind == "end":
            return ok()
        if kind == "loop":
            return ok(*ways[self.data.draw(st.integers(0, 2)) > 0])
        way = ways[0] if len(ways) == 1 else self.data.draw(st.sampled_from(ways))
        self.uses[launch.task] = self.data.draw(st.integers(1, 4)) if kind == "foreach" else len(way)
        return ok(*way, width=self.uses[launch.task] if kind == "foreach" else None)

    def carry_out(self, instructions: Sequence[object]) -> None:
        for instruction in instructions:
            if isinstance(instruction, Launch):
                assert self.finish is None
                self.launched[instruction.task, instruction.attempt] += 1
                assert self.launched[instruction.task, instruction.attempt] == 1, "an attempt started twice"
                for ref in instruction.inputs:
                    assert ref == PARAMETERS or self.succeeded[ref.id].step == ref.step, "an input had not succeeded"
                self.running[instruction.task] = instruction
                assert len(self.running) <= self.slots
            elif isinstance(instruction, Finish):
                assert not self.running, "the run ended while a task ran"
                self.finish = instruction


@settings(max_examples=40, deadline=None)
@given(flow=flows())
def test_the_rules_accept_each_of_these_flows(flow: Flow) -> None:
    with TemporaryDirectory() as directory:
        graph = graph_of(Path(directory), flow.sketch())
    check_graph(graph)
    assert graph.lists_of_one == flow.lists_of_one
    assert describe(graph)["steps"].keys() == graph.nodes.keys()


@settings(max_examples=150, deadline=None)
@given(flow=flows(), data=st.data(), slots=st.integers(1, 5))
def test_every_flow_runs_to_its_end(flow: Flow, data: st.DataObject, slots: int) -> None:
    simulation = Simulation(flow, data, slots=slots, failures=0, retries=0)
    simulation.play()
    assert simulation.finish == Finish(True)
    steps = Counter(launch.step for launch in simulation.succeeded.values())
    assert steps["end"] == 1
    for launch in simulation.succeeded.values():
        if launch.step in flow.joins:
            assert len(set(launch.inputs)) == len(launch.inputs)
        else:
            assert len(launch.inputs) == 1
    consumed = Counter(ref for launch in simulation.succeeded.values() for ref in launch.inputs)
    for launch in simulation.succeeded.values():  # each task's results go on as often as its transition says
        expected = 0 if launch.step == "end" else simulation.uses.get(launch.task, 1)
        assert consumed[TaskRef(launch.step, launch.task)] == expected


@settings(max_examples=150, deadline=None)
@given(flow=flows(), data=st.data(), slots=st.integers(1, 5), retries=st.integers(0, 2))
def test_every_run_ends_whatever_fails(flow: Flow, data: st.DataObject, slots: int, retries: int) -> None:
    simulation = Simulation(flow, data, slots=slots, failures=0.2, retries=retries)
    simulation.play()
    assert simulation.finish is not None
    if not simulation.failed:
        assert simulation.finish.ok
    if not simulation.finish.ok:
        assert simulation.finish.culprit is not None
    attempts = Counter(task for task, _ in simulation.launched)
    assert max(attempts.values()) <= retries + 1


@settings(max_examples=100, deadline=None)
@given(flow=flows(), data=st.data(), slots=st.integers(1, 5), patience=st.integers(0, 20))
def test_cancelling_at_any_moment_ends_the_run(flow: Flow, data: st.DataObject, slots: int, patience: int) -> None:
    simulation = Simulation(flow, data, slots=slots, failures=0, retries=0)
    simulation.carry_out(simulation.machine.handle(Start(flow.start, PARAMETERS)))
    for _ in range(patience):
        if simulation.finish is not None:
            return
        task = data.draw(st.sampled_from(sorted(simulation.running)))
        launch = simulation.running.pop(task)
        simulation.carry_out(simulation.machine.handle(TaskEnded(task, launch.attempt, simulation.end(launch))))
    if simulation.finish is not None:
        return
    stops = simulation.machine.handle(Cancelled("enough"))
    assert {stop.task for stop in stops if isinstance(stop, Stop)} == set(simulation.running)
    for task, launch in list(simulation.running.items()):
        del simulation.running[task]
        simulation.carry_out(simulation.machine.handle(TaskEnded(task, launch.attempt, failed("killed"))))
    assert simulation.finish == Finish(False, None, "enough")


@pytest.mark.parametrize("name", RUNS)
def test_a_real_run_is_replayed(name: str) -> None:
    replay(DIRECTORY / f"{name}.json")


def test_the_story_of_a_task_is_in_an_internal_error() -> None:
    recording = json.loads((DIRECTORY / "retry.json").read_text())
    scheduler = scheduler_of(recording)
    for event, _ in recording["turns"]:
        scheduler.handle(event_from_json(event))
    story = scheduler.story(2)
    assert [line.partition("(")[0] for line in story] == ["Launch", "TaskEnded", "Launch", "TaskEnded"]
    with pytest.raises(MetaflowInternalError, match=r"an event came after the end of the run(.|\n)*Finish"):
        scheduler.handle(event_from_json(recording["turns"][0][0]))
