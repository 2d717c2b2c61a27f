"""Every kind of failure in every shape of flow, and what the client reads afterwards.

One run goes through all failures of a shape, caught or passing when tried again; one more for each way to fail for
good. Start reading at `test_failures_that_a_run_survives`.
"""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest

from metaflow import Task
from support.interpreter import is_ours
from support.present import present
from support.site import Site

SHAPES = ["linear", "branch", "foreach", "nested", "switch", "recursion"]
KINDS = ["raised", "timed out", "killed", "memory"]
CASES = [(when, kind) for when in ("once", "always") for kind in KINDS]
TYPES = {"raised": "builtins.ValueError", "timed out": ".TimeoutException", "memory": "builtins.MemoryError"}
CLASSES = {"raised": "user code", "timed out": "timeout", "killed": "killed", "memory": "memory"}
RAISES = {"raised": "raise ValueError(", "timed out": "time.sleep(60)", "memory": "bytearray(4"}
SAYS = {
    "raised": "ValueError: it never works",
    "timed out": "longer than its @timeout of 0.6 s",
    "killed": "SIGKILL",
    "memory": "MemoryError",
}

HEAD = """
import os, resource, signal, time
from metaflow import FlowSpec, catch, current, retry, step, timeout

CASES = {cases!r}
CAUGHT = {caught}

class FailuresFlow(FlowSpec):
    def note(self, name, value):
        setattr(self, name + "_" + current.step_name, value)

    def misbehave(self, when, kind):
        if when == "never":
            return
        self.note("case", (when, kind))
        self.note("before", current.retry_count)
        print("attempt", current.retry_count, flush=True)
        if when == "always" or current.retry_count == 0:
            if kind == "raised":
                raise ValueError("it never works")
            if kind == "timed out":
                time.sleep(60)
            if kind == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            if kind == "memory":
                resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
                bytearray(4 << 30)
        self.note("after", current.retry_count)
"""

CATCH = "@catch(var='failure', print_exception=False)"
GUARDS = """
@retry(times=1, minutes_between_retries=0)
@timeout(seconds=0.6)
@step
"""

TAIL = """
    @step
    def end(self):
        pass

if __name__ == "__main__":
    FailuresFlow()
"""


def steps(shape: str, guard: str, cases: list[tuple[str, str]]) -> str:
    """Return the steps of a flow in which the steps called `work…` go through the cases."""
    names = [f"work{number}" for number in range(len(cases))]
    if shape == "linear":
        after = dict(zip(names, [*names[1:], "end"], strict=True))
        work = "".join(
            f"{guard}def {name}(self):\n    self.misbehave{case}\n    self.next(self.{after[name]})\n"
            for name, case in zip(names, cases, strict=True)
        )
        return "@step\ndef start(self):\n    self.next(self.work0)\n" + work
    join = "@step\ndef join(self, inputs):\n    self.next(self.end)\n"
    if shape == "branch":
        work = "".join(
            f"{guard}def {name}(self):\n    self.misbehave{case}\n    self.next(self.join)\n"
            for name, case in zip(names, cases, strict=True)
        )
        branches = ", ".join(f"self.{name}" for name in [*names, "good"])
        good = "@step\ndef good(self):\n    self.next(self.join)\n"
        return f"@step\ndef start(self):\n    self.next({branches})\n{work}{good}{join}"
    first = "@step\ndef start(self):\n    self.cases = CASES\n    self.next(self.{}, foreach='cases')\n"
    work = guard + "def work(self):\n    self.misbehave(*self.{})\n    self.next(self.{})\n"
    if shape == "foreach":
        return first.format("work") + work.format("input", "join") + join
    if shape == "nested":
        return (
            "@step\ndef start(self):\n    self.whens = sorted({when for when, _ in CASES})\n"
            "    self.next(self.middle, foreach='whens')\n"
            "@step\ndef middle(self):\n    self.cases = [case for case in CASES if case[0] == self.input]\n"
            "    self.next(self.work, foreach='cases')\n"
            + work.format("input", "join")
            + "@step\ndef join(self, inputs):\n    self.next(self.outer)\n"
            "@step\ndef outer(self, inputs):\n    self.next(self.end)\n"
        )
    if shape == "switch":
        return (
            first.format("choose")
            + "@retry(times=1)\n@step\ndef choose(self):\n    self.chosen = self.input\n"
            + "    if current.retry_count == 0 and self.input[0] == 'once':\n"
            + "        raise ValueError('it never works')\n"
            + "    self.choice = self.input[1] != 'nothing'\n"
            + "    self.next({True: self.work, False: self.other}, condition='choice')\n"
            + work.format("chosen", "join")
            + "@step\ndef other(self):\n    self.next(self.join)\n"
            + join
        )
    assert shape == "recursion"
    # @catch cannot stand on a step that repeats itself: what fails for good is a step after it, if it is to be caught.
    fails_in_turn_2 = "self.input if self.turns == 2 and (not CAUGHT or self.input[0] == 'once') else ('never', '')"
    return (
        "@step\ndef start(self):\n    self.cases, self.turns = CASES, 0\n    self.next(self.work, foreach='cases')\n"
        + guard.replace(CATCH, "")
        + f"def work(self):\n    self.turns += 1\n    self.misbehave(*({fails_in_turn_2}))\n"
        + "    self.choice = self.turns < 2\n"
        + "    self.next({True: self.work, False: self.worked}, condition='choice')\n"
        + guard
        + "def worked(self):\n    self.misbehave(*(self.input if self.input[0] == 'always' else ('never', '')))\n"
        + "    self.next(self.join)\n"
        + join
    )


def source(shape: str, cases: list[tuple[str, str]], *, caught: bool) -> str:
    guard = (CATCH if caught else "") + GUARDS
    return HEAD.format(cases=cases, caught=caught) + textwrap.indent(steps(shape, guard, cases), "    ") + TAIL


def line_of(path: Path, words: str) -> int:
    return next(number for number, line in enumerate(path.read_text().splitlines(), 1) if words in line)


def facts(task: Any, name: str) -> list[str]:
    """Return the values of a fact of a task, in order."""
    found = [fact for fact in task.metadata if fact.name == name]
    return [fact.value for fact in sorted(found, key=lambda fact: fact.created_at)]


def attempts(task: Any) -> list[Any]:
    """Return each attempt of a task as the client shows it."""
    from metaflow import Task

    number = task.current_attempt
    return [Task(task.pathspec, attempt=attempt) for attempt in range(number + 1)]


def is_of_type(failure: Any, kind: str) -> bool:
    return str(failure.type).endswith(TYPES[kind])


def own(task: Any) -> dict[str, Any]:
    """Return what the step has noted in this task, not in one before."""
    end = f"_{task.parent.id}"
    return {artifact.id.removesuffix(end): artifact.data for artifact in task if artifact.id.endswith(end)}


def check_failed_attempt(task: Any, kind: str, number: int) -> None:
    """Check one attempt that failed and after which another one followed, or none."""
    artifacts = own(task)
    assert not task.successful
    assert task.stdout == f"attempt {number}\n"
    if kind == "killed":
        assert artifacts == {}
        if is_ours():
            assert task.exception.type == "metaflow.exception.TaskKilled"
            assert "SIGKILL" in task.exception.exception
        else:
            assert task.exception is None
    else:
        assert artifacts.keys() == {"case", "before"}
        assert artifacts["before"] == number
        assert is_of_type(task.exception, kind)
    if is_ours():
        assert SAYS[kind] in task.stderr
        assert SAYS[kind] in task.failure.message
        assert present(task.failure).kind == CLASSES[kind]
        assert task.failure.record() in [json.loads(record) for record in facts(task, "failure")]


def check_passed(task: Any, kind: str) -> None:
    """Check a task that failed once, and then did not."""
    first, last = attempts(task)
    check_failed_attempt(first, kind, 0)
    for view in (last, task):
        assert view.successful
        assert view.finished
        assert view.exception is None
        assert view.stdout == "attempt 1\n"
        assert view.stderr == ""
        assert own(view) == {"case": ("once", kind), "before": 1, "after": 1}
        assert "failure" not in view or view["failure"].data is None
    assert facts(task, "attempt") == ["0", "1"]
    if is_ours():
        assert facts(task, "attempt_ok") == ["False", "True"]
        assert task.failure is None
        assert task.status == "successful"
        assert facts(task, "retry-reason") == [f"{present(first.failure).kind}: {first.failure.message}"]
        assert facts(task, "minutes_between_retries") == ["0"]


def check_caught(task: Any, kind: str) -> None:
    """Check a task that failed in all its attempts, and was caught."""
    first, second, *fallback = attempts(task)
    check_failed_attempt(first, kind, 0)
    assert len(fallback) == (kind == "killed")
    failure = task["failure"].data
    if fallback:
        check_failed_attempt(second, kind, 1)
        assert own(task) == {}
        assert task.stdout == ""
        if is_ours():
            assert failure.type == "metaflow.exception.TaskKilled"
            assert failure.exception == second.failure.message
    else:
        assert task.stdout == "attempt 1\n"
        assert own(task) == {"case": ("always", kind), "before": 1}
        assert is_of_type(failure, kind)
        assert "misbehave" in failure.stacktrace or kind == "timed out"
    assert task.finished
    assert not task.successful
    assert task.exception is None
    assert facts(task, "attempt") == ["0", "1", "2"][: 2 + len(fallback)]
    if is_ours():
        assert facts(task, "attempt_ok") == [*["False"] * (1 + len(fallback)), "True"]
        assert present(task.failure).kind == CLASSES[kind]
        assert task.status == "caught"


@pytest.mark.parametrize("shape", SHAPES)
def test_failures_that_a_run_survives(one_site: Site, shape: str) -> None:
    check_survived(one_site, shape)


def test_failures_that_a_run_survives_in_both_ways_to_make_a_task(site: Site) -> None:
    check_survived(site, "linear")


def check_survived(site: Site, shape: str) -> None:
    finished = site.run_flow(source(shape, CASES, caught=True), "run").succeeded()
    run = finished.run
    assert run.successful
    seen = []
    for task in (task for step in run if step.id.startswith("work") for task in step):
        noted = [own(attempt)["case"] for attempt in attempts(task) if own(attempt)]
        if task.successful and not noted:
            assert task.current_attempt == 0  # a turn before the one that fails
            continue
        case = noted[0] if noted else ("always", "killed")  # which leaves nothing that says so
        seen.append(case)
        (check_passed if case[0] == "once" else check_caught)(task, case[1])
    assert sorted(seen) == sorted(CASES)
    if shape == "switch":
        assert sorted(task.current_attempt for task in run["choose"]) == sorted(
            int(when == "once") for when, _ in CASES
        )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_failures_that_end_the_run(one_site: Site, shape: str, kind: str) -> None:
    check_ended(one_site, shape, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_failures_that_end_the_run_in_both_ways_to_make_a_task(site: Site, kind: str) -> None:
    check_ended(site, "linear", kind)


def check_ended(site: Site, shape: str, kind: str) -> None:
    finished = site.run_flow(source(shape, [("always", kind)], caught=False), "run").failed()
    assert finished.returncode == 1
    assert "Workflow failed." in finished.stdout
    run = finished.run
    assert not run.successful
    assert not run.finished
    reached = {step.id for step in run}
    assert not reached & {"join", "end"}
    assert present(run["start"].task).successful
    (task,) = [task for name in reached if name.startswith("work") for task in run[name] if not task.successful]
    first, last = attempts(task)
    check_failed_attempt(first, kind, 0)
    check_failed_attempt(last, kind, 1)
    check_failed_attempt(task, kind, 1)
    assert facts(task, "attempt") == ["0", "1"]
    if is_ours():
        assert facts(task, "attempt_ok") == ["False", "False"]
        assert task.status == "failed"
        assert run.status == "failed"
        values = {"step": task.parent.id, "task": task.id, "cause": CLASSES[kind]}
        if kind != "killed":
            values["where"] = f"{finished.flow_file}:{line_of(finished.flow_file, RAISES[kind])}"
        told = dict(present(run.failure).values)
        place = told.pop("foreach", "")
        assert told == values
        assert f"[{task.index}]" in str(place) if place else task.index is None or kind == "killed"
        ending = finished.stdout[finished.stdout.rindex("Workflow failed.") :] + finished.stderr
        assert values.get("where", "") in ending
        assert SAYS[kind] in ending
        assert f"Step {task.parent.id} (task-id {task.id}) failed{f': {place}' if place else ''}." in ending


SIBLINGS = """
import os, signal, time
from metaflow import FlowSpec, step

class SiblingsFlow(FlowSpec):
    @step
    def start(self):
        self.numbers = list(range(4))
        self.next(self.work, foreach="numbers")

    @step
    def work(self):
        open(f"begun-{self.input}", "w").close()
        while len([name for name in os.listdir(".") if name.startswith("begun-")]) < 4:
            time.sleep(0.01)
        if self.input != 2:
            time.sleep(60)
        os.kill(os.getpid(), signal.SIGBUS)
        self.next(self.join)

    @step
    def join(self, inputs):
        self.next(self.end)

    @step
    def end(self):
        pass

if __name__ == "__main__":
    SiblingsFlow()
"""


@pytest.mark.ours
def test_the_first_cause_is_named_and_not_what_it_took_along(site: Site) -> None:
    finished = site.run_flow(SIBLINGS, "run").failed()
    ending = finished.stderr[finished.stderr.index("    the step 'work'") :]
    assert "SIGBUS" in ending
    assert "hint: a file that it had mapped became shorter" in ending
    (culprit,) = re.findall(r"Step work \(task-id (\d+)\) failed", ending)
    assert finished.stdout.count("Task failed (numbers[2]).") == 1
    assert f"Step work (task-id {culprit}) failed: numbers[2]." in ending
    assert finished.stdout.count("Task ended, since the run ends.") == 3
    run = finished.run
    kinds = {task.index: present(task.failure).kind for task in run["work"]}
    assert kinds == {0: "cancelled", 1: "cancelled", 2: "crashed", 3: "cancelled"}
    assert [task.id for task in run["work"] if present(task.failure).kind == "crashed"] == [culprit]
    assert present(run.failure).values == {
        "step": "work",
        "task": culprit,
        "cause": "crashed",
        "foreach": "numbers[2]",
    }


@pytest.mark.ours
def test_a_step_that_leaves_by_itself_when_its_container_is_ended(one_site: Site) -> None:
    """The supervisor makes the file; the step's own end, also one that @catch would take, does not count."""
    source = """
        import os, sys
        from metaflow import FlowSpec, catch, retry, step

        ENDED = os.environ["MILLRACE_TERMINATION"]

        class Leaves(FlowSpec):
            @catch(var="failure")
            @retry(times=1, only=["exited"])
            @step
            def start(self):
                if not os.path.exists(ENDED):
                    open(ENDED, "w").close()
                    self.saved = "work"
                    sys.exit(9)
                os.remove(ENDED)
                self.next(self.end)

            @step
            def end(self):
                pass

        if __name__ == "__main__":
            Leaves()
    """
    finished = one_site.run_flow(source, "run", env={"MILLRACE_TERMINATION": str(one_site.home / "ended")}).succeeded()
    task = finished.task("start")
    assert task["failure"].data is None
    one_site.look()
    first = Task(task.pathspec, attempt=0)
    assert first["saved"].data == "work"
    assert "exit status 143" in present(first.failure).message
    assert "sys.exit(9)" in first.stderr
