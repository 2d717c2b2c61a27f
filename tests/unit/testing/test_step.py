"""`run_step`: what a step sees, what it leaves, how it fails, and what it does not touch."""

from __future__ import annotations

import asyncio
import doctest
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest

from metaflow import Config, FlowSpec, Parameter, card, current, project, step
from metaflow.cards import Markdown
from metaflow.exception import (
    CommandException,
    InvalidConfig,
    InvalidNextException,
    InvalidTestSetup,
    MetaflowExceptionWrapper,
    TimeoutException,
    UnhandledInMergeArtifactsException,
    UnpicklableArtifact,
)
from metaflow.testing import Foreach, StepResult, run_step
from unit.testing import flows
from unit.testing.flows import Base, Child, Chosen, Decorated, Small, Training

# --- what comes in, and what a step leaves ---------------------------------------------------------------------------


def test_the_first_step_has_parameters_and_opens_a_foreach() -> None:
    result = run_step(Training.start, params={"title": "t"})
    assert dict(result.artifacts) == {"models": ["a", "b"], "items": {"kept": True}}
    assert (result.next, result.foreach, result.condition) == (("fit",), ["a", "b"], None)
    assert result["items"] == {"kept": True}
    assert result.models == ["a", "b"]
    assert "items" in result
    assert result.ok


def test_an_input_is_not_the_tests_own_object() -> None:
    items: dict[str, Any] = {"mine": 1}
    result = run_step(Training.fit, inputs={"items": items}, input="b", params={"rate": 2})
    assert items == {"mine": 1}
    assert result["items"] == {"mine": 1, "seen": "b"}
    assert result.loss == 2.0
    assert result.foreach == range(3)


def test_what_a_step_does_not_touch_comes_through() -> None:
    result = run_step(Training.left, inputs={"best": 3, "other": [1]})
    assert dict(result.artifacts) == {"best": 3, "other": [1], "side": "left"}


def test_a_step_in_two_foreaches() -> None:
    result = run_step(Training.fold, foreach=[Foreach(["a", "b"], 1), Foreach(range(3), 2)])
    assert result.place == [(1, 2, "b"), (2, 3, 2)]


def test_the_join_of_a_foreach_within_another() -> None:
    result = run_step(
        Training.folded, inputs=[{"place": 1, "loss": 5}, {"place": 2, "loss": 5}], foreach=Foreach(["a", "b"], 0)
    )
    assert (result.places, result.loss, result.next) == ([1, 2], 5, ("joined",))


def test_a_join_of_branches_has_them_by_name_in_the_order_of_the_split() -> None:
    result = run_step(Training.both, inputs={"right": {"side": "r", "x": 1}, "left": {"side": "l", "x": 1}})
    assert result.sides == ("l", "r", ["l", "r"])
    assert result.x == 1
    with pytest.raises(UnhandledInMergeArtifactsException, match="x"):
        run_step(Training.both, inputs={"right": {"side": "r", "x": 1}, "left": {"side": "l", "x": 2}})


@pytest.mark.parametrize("sides", ["rl", "l"])
def test_a_join_of_a_case(sides: str) -> None:
    names = {"l": "left", "r": "right"}
    result = run_step(Chosen.end, inputs={names[side]: {"side": side} for side in sides})
    assert result.sides == sorted(sides)


def test_a_switch() -> None:
    result = run_step(Training.decide, inputs={"rounds": 2})
    assert (result.next, result.condition, result.choice) == (("end",), "choice", "done")
    assert run_step(Training.decide).next == ("decide",)


def test_results_are_inputs_of_the_next_step() -> None:
    start = run_step(Training.start, params={"title": "t", "learning-rate": 4})
    fitted = [run_step(Training.fit, inputs=start, foreach=Foreach(start.foreach or (), index)) for index in range(2)]
    assert [each.loss for each in fitted] == [4.0, 8.0]
    folds = [
        run_step(Training.fold, inputs=fitted[1], foreach=Foreach(fitted[1].foreach or (), index)) for index in range(3)
    ]
    assert folds[2].place == [(1, 2, "b"), (2, 3, 2)]
    folded = [run_step(Training.folded, inputs=folds)]
    assert folded[0].loss == 8.0
    assert run_step(Training, "folded", inputs=folds).current["parameter_names"] == ["rate", "name_of_run", "table"]
    parted = run_step(Training.parted, inputs=run_step(Training.joined, inputs=folded))
    sides = [run_step(each, inputs=parted) for each in (Training.left, Training.right)]
    both = run_step(Training.both, inputs=sides)
    assert both.best == 8.0
    again = run_step(Training.decide, inputs=both)
    again = run_step(Training.decide, inputs=again)
    assert again.rounds == 2


def test_what_is_printed_is_kept_and_printed(capsys: pytest.CaptureFixture[str]) -> None:
    result = run_step(Training.end, inputs={"best": 1, "rounds": 2})
    assert (result.stdout, result.stderr) == ("best 1\n", "rounds 2\n")
    assert capsys.readouterr() == ("best 1\n", "rounds 2\n")


def test_included_files_and_strings_are_read_as_on_a_command_line(tmp_path: Path) -> None:
    class Including(FlowSpec):
        table = Training.__dict__["table"]
        count = Parameter("count", default=1)

        @step
        def start(self) -> None:
            self.seen = (self.table, self.count)
            self.next(self.start)

    (tmp_path / "table.csv").write_text("a,b\r\n")
    result = run_step(Including, "start", params={"table": tmp_path / "table.csv", "count": "3"}, check=False)
    assert result.seen == ("a,b\n", 3)


def test_configs_are_values_texts_or_files(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"cpu": 4, "word": "file"}')
    words = [
        run_step(Decorated.start, config=config).word
        for config in (
            {},
            {"config": {"cpu": 1, "word": "value"}},
            {"config": '{"cpu": 1, "word": "text"}'},
            {"config": tmp_path / "config.json"},
        )
    ]
    assert words == ["hello", "value", "text", "file"]


def test_configs_come_along_with_a_result(tmp_path: Path) -> None:
    class Needing(FlowSpec):
        needed = Config("needed", required=True)

        @step
        def start(self) -> None:
            self.next(self.end)

        @step
        def end(self) -> None:
            self.key = self.needed.key

    start = run_step(Needing.start, config={"needed": {"key": 1}})
    assert run_step(Needing.end, inputs=start).key == 1
    assert run_step(Needing.end, inputs={}, config={"needed": {"key": 2}}).key == 2
    with pytest.raises(InvalidConfig, match="required"):
        run_step(Needing.end)


def test_mutators_make_the_flow_whatever_decorators_are_wrapped_around_it() -> None:
    assert run_step(Decorated.start).added_too == "by a mutator"
    assert run_step(Decorated.start, params={"added": "here"}).added_too == "here"


def test_a_flows_own_init_is_its_beginning_without_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class WithInit(Base):
        def __init__(self, use_cli: bool = True) -> None:
            self.greeting = "hello"
            super().__init__(use_cli)

        @step
        def end(self) -> None:
            self.said = self.greeting

    monkeypatch.setattr(sys, "argv", ["pytest", "--no-such-option"])
    assert run_step(WithInit.end).said == "hello"


# --- current ---------------------------------------------------------------------------------------------------------


class Standing(FlowSpec):
    alpha = Parameter("alpha", default=1)

    @step
    def start(self) -> None:
        self.seen = {name: getattr(current, name) for name in ("flow_name", "pathspec", "retry_count", "username")}
        self.tags = sorted(current.tags)
        self.parameters = current.parameter_names
        self.steps = list(current.graph["steps"])
        self.project = current.get("project_name")
        self.next(self.end)

    @step
    def end(self) -> None: ...


def test_current_says_where_the_step_stands_and_nothing_afterwards() -> None:
    result = run_step(Standing.start)
    assert result.seen == {
        "flow_name": "Standing",
        "pathspec": "Standing/test/start/1",
        "retry_count": 0,
        "username": "tester",
    }
    assert (result.tags, result.parameters, result.steps, result.project) == ([], ["alpha"], ["start", "end"], None)
    assert result.current["step_name"] == "start"
    assert not current.is_running_flow
    assert current.run_id is None


def test_current_can_be_said() -> None:
    given = {"run_id": 7, "task_id": 5, "retry_count": 2, "tags": ["b", "a"], "project_name": "p", "username": "ann"}
    result = run_step(Standing.start, current=given)
    assert result.seen["pathspec"] == "Standing/7/start/5"
    assert (result.seen["retry_count"], result.tags, result.project) == (2, ["a", "b"], "p")
    assert result.seen["username"] == "ann"


@project(name="fraud")
class Projected(FlowSpec):
    @step
    def start(self) -> None:
        self.seen = (current.project_name, current.branch_name, current.is_production)
        self.next(self.end)

    @step
    def end(self) -> None: ...


def test_current_has_what_decorators_of_the_flow_add() -> None:
    assert run_step(Projected.start).seen == ("fraud", "user.tester", False)
    assert run_step(Projected.start, current={"is_production": True}).seen == ("fraud", "user.tester", True)


# --- decorators ------------------------------------------------------------------------------------------------------


def test_without_decorators_the_steps_code_is_alone() -> None:
    assert run_step(Decorated.say, inputs={"word": "a"}).word == "a"
    assert run_step(Decorated.start).variable is None
    with pytest.raises(ValueError, match=r"^caught$"):
        run_step(Decorated.caught)


def test_decorators_are_wrapped_around_it_if_asked_for() -> None:
    assert run_step(Decorated.say, inputs={"word": "a"}, decorators=True).word == "A"
    assert run_step(Decorated.say, inputs={"word": "a"}, decorators=("shouted",)).word == "A"
    assert run_step(Decorated.start, decorators=True).variable == "set"
    assert "STEP_TEST_VARIABLE" not in os.environ
    caught = run_step(Decorated.caught, decorators=("catch",), check=False)
    assert caught.ok
    assert caught.before == 1
    assert isinstance(caught["failure"], MetaflowExceptionWrapper)
    assert caught.next == ("mutated",) if caught.next else True


def test_retries_come_at_once() -> None:
    flows.tries.clear()
    result = run_step(Decorated.unsteady, decorators="retry")
    assert (flows.tries, result.attempts) == ([0, 1, 2], 3)
    assert result.stdout == "attempt 0\nattempt 1\nattempt 2\n"
    assert run_step(Decorated.mutated, decorators=True).attempts == 2
    with pytest.raises(ConnectionError):
        run_step(Decorated.unsteady)


def test_a_step_that_takes_too_long() -> None:
    fast = run_step(Decorated.slow, inputs={"seconds": 0}, decorators=True)
    assert fast.ok
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    with pytest.raises(TimeoutException):
        run_step(Decorated.slow, inputs={"seconds": 60}, decorators=True)


# --- failing ---------------------------------------------------------------------------------------------------------


class Failing(FlowSpec):
    needed = Parameter("needed", required=True)

    @step
    def start(self) -> None:
        self.before = [1]
        self.fail(self.needed)
        self.next(self.middle)

    def fail(self, how: Any) -> None:
        if isinstance(how, str):
            getattr(self, how)
        raise {1: ValueError("one"), 2: SystemExit(3), 3: KeyboardInterrupt()}[how]

    @step
    def middle(self) -> None:
        self.value = threading.Lock()
        self.next(self.end)

    @step
    def end(self) -> None:
        self.total = self.missing + 1


def test_it_is_the_users_own_exception_with_the_users_own_lines() -> None:
    with pytest.raises(ValueError, match=r"^one$") as caught:
        run_step(Failing, "start", params={"needed": 1})
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert names[-2:] == ["start", "fail"]
    assert not {"_call", "_run_code", "run", "attempt"} & set(names)


def test_what_failed_can_be_looked_at() -> None:
    result = run_step(Failing.end, inputs={"missing": "text"}, check=False)
    assert isinstance(result.exception, TypeError)
    assert result.failure is not None
    assert (result.ok, result.next, result.failure.kind) == (False, (), "user code")
    assert result.missing == "text"


@pytest.mark.parametrize(("how", "kind"), [(2, SystemExit), (3, KeyboardInterrupt)])
def test_what_ends_a_process_is_raised(how: int, kind: type[BaseException]) -> None:
    class Leaving(Failing):
        needed = Parameter("needed", default=how)

    with pytest.raises(kind):
        run_step(Leaving, "start")


def test_an_interrupt_is_never_only_a_result() -> None:
    with pytest.raises(KeyboardInterrupt):
        run_step(Failing, "start", params={"needed": 3}, check=False)


def test_what_cannot_be_an_artifact_fails_as_the_task_would() -> None:
    with pytest.raises(UnpicklableArtifact, match=r"self\.value.*lock"):
        run_step(Failing.middle)
    with pytest.raises(UnpicklableArtifact, match=r"self\.model") as caught:
        run_step(Failing.end, inputs={"model": threading.Lock()})
    assert "have been pickled" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("test", "note"),
    [
        (lambda: run_step(Failing.end), "give inputs={'missing': …}"),
        (lambda: run_step(Failing.end, inputs={"missin": 1}), "did you mean self.missin?"),
        (lambda: run_step(Failing.start), "give params={'needed': …}"),
        (lambda: run_step(Training.joined, inputs=[{"los": 1}]), "did you mean self.los?"),
        (lambda: run_step(Training.joined, inputs=[{}]), "in the dictionary of each input"),
    ],
)
def test_what_a_step_lacks_is_named_with_the_way_to_give_it(test: Any, note: str) -> None:
    with pytest.raises(AttributeError) as caught:
        test()
    assert note in "".join(caught.value.__notes__)


def test_a_step_that_goes_nowhere_or_where_it_cannot() -> None:
    class Nowhere(Base):
        @step
        def start(self) -> None: ...

    with pytest.raises(InvalidNextException, match=r"without calling self\.next"):
        run_step(Nowhere.start)


def one_fold() -> StepResult:
    return run_step(Training.fold, foreach=[Foreach(["a"]), Foreach([1])])


def failed() -> StepResult:
    return run_step(Small.join, inputs=[{}], check=False)


@pytest.mark.parametrize(
    ("test", "words", "hint"),
    [
        (lambda: run_step(Training), "names no step", "start, fit"),
        (lambda: run_step(Training, "trian"), "no step 'trian'", ""),
        (lambda: run_step(Training, "foldd"), "no step 'foldd'", "did you mean 'folded'|'fold'"),
        (lambda: run_step(print), "print is none", "@step"),
        (lambda: list(map(run_step, [Base.start])), "Several flows have this step 'start': Base", r"\(Base, 'start'\)"),
        (lambda: run_step(Training.end, "end"), "the name 'end'", ""),
        (lambda: run_step(Training.fit), r"foreach over self\.models", "input=element"),
        (lambda: run_step(Training.fold, input=1), r"over self\.models and self\.folds", "one for each"),
        (lambda: run_step(Training.end, input=1), "in no foreach", ""),
        (lambda: run_step(Training.fit, foreach=Foreach(["a"], 1)), "1 elements, and none with the index 1", ""),
        (lambda: run_step(Training.fit, input=1, foreach=Foreach([1])), "input= and foreach=", ""),
        (lambda: run_step(Training.start, inputs={"x": 1}), "begins the flow", "params="),
        (lambda: run_step(Training.end, inputs=[{}]), "is no join", "one dictionary"),
        (lambda: run_step(Training.end, inputs={"rate": 1}), "'rate'.* is a parameter", "params="),
        (lambda: run_step(Training.end, inputs={"limit": 1}), "'limit'.* attribute of the flow's class", ""),
        (lambda: run_step(Training.end, inputs={"a/b": 1}), "'a/b' cannot be the name", ""),
        (lambda: run_step(Decorated.end, inputs={"config": 1}), "'config'.* is a config", "config="),
        (lambda: run_step(Training.joined, inputs={"x": 1}), "the tasks of a foreach", "a list"),
        (lambda: run_step(Training.joined), "the tasks of a foreach", "a list"),
        (lambda: run_step(Training.both, inputs=[{}, {}]), "what left and right have left", "'left': {…}"),
        (lambda: run_step(Training.both, inputs={"left": {}}), "left and right have left, and is given left", ""),
        (lambda: run_step(Training.both, inputs={"left": {}, "lift": {}}), "is given left, lift", ""),
        (lambda: run_step(Decorated.say, decorators=("retyr",)), "no decorator 'retyr'", "there are: .*shouted"),
        (lambda: run_step(Training.end, current={"step_name": "x"}), r"current\.step_name", ""),
        (lambda: run_step(Training.end, current={"run_id": "a/b"}), r"current\.run_id", ""),
        (lambda: run_step(Training.end, inputs=run_step(Training.decide)), "went to decide, and not to 'end'", ""),
        (lambda: run_step(Child, "end", inputs=run_step(Training.decide)), "one of the flow Training", ""),
        (lambda: run_step(Training.fit, foreach=cast("Any", ["a"])), "takes a Foreach", ""),
        (lambda: run_step(Small.double, inputs=run_step(Small.start)), "'start' has opened", "result.foreach, index"),
        (lambda: run_step(Small.double, inputs=run_step(Small.start), input=1), "'start' has opened", ""),
        (lambda: run_step(Training.folded, inputs=[one_fold(), {}]), "all results, or all", ""),
        (lambda: run_step(Training.folded, inputs=[one_fold()], input=1), "says itself which foreach", ""),
        (lambda: run_step(Small.end, inputs=failed()), "'join' has failed", ""),
    ],
)
def test_what_does_not_fit_is_one_sentence(test: Any, words: str, hint: str) -> None:
    with pytest.raises(InvalidTestSetup, match=words) as caught:
        test()
    assert re.search(hint, str(caught.value.hint))
    assert caught.value.hint is None or f"hint: {caught.value.hint}" in caught.value.__notes__  # which pytest shows


@pytest.mark.parametrize(
    ("params", "words"),
    [({"rat": 1}, "no parameter 'rat'"), ({"learning-rate": "fast"}, "'fast' is not"), ({"table": "no.csv"}, "no.csv")],
)
def test_parameters_are_checked_as_on_a_command_line(params: dict[str, Any], words: str) -> None:
    with pytest.raises(CommandException, match=words) as caught:
        run_step(Training.end, params=params)
    assert "python" not in str(caught.value.hint)


def test_configs_are_checked_as_for_a_run() -> None:
    with pytest.raises(InvalidConfig, match="'config'"):
        run_step(Decorated.start, config={"config": "{"})
    with pytest.raises(CommandException, match="no such config"):
        run_step(Decorated.start, config={"other": {}})


def test_a_step_of_a_base_class_is_run_in_the_flow_that_is_named() -> None:
    assert run_step(Child, "start").who == "Child"
    assert run_step(Child.start).who == "Child"
    assert (
        run_step(
            Base.start,
            params={},
        ).who
        == "Base"
    )
    assert run_step(flows.Child.start).who == "Child"
    assert run_step(Child.end).ended
    assert run_step(Child(use_cli=False).start).who == "Child"


# --- what it does not touch ------------------------------------------------------------------------------------------


def test_results_show_what_they_have() -> None:
    result = run_step(Training.left, inputs={"best": 3})
    assert repr(result) == "StepResult(Training.left: next=('both',), artifacts: best, side)"
    assert {"best", "side", "stdout"} <= set(dir(result))
    with pytest.raises(AttributeError, match="no artifact 'bets'; did you mean 'best'"):
        result.bets
    with pytest.raises(KeyError):
        result["rate"]


def test_tasks_in_threads_do_not_meet() -> None:
    meet = threading.Barrier(2)

    class Meeting(FlowSpec):
        me = Parameter("me", default=0)

        @step
        def start(self) -> None:
            print("first", self.me)
            meet.wait(60)
            self.seen = (current.run_id, self.me)
            print("second", self.me)
            meet.wait(60)
            self.next(self.start)

    def one(number: int) -> StepResult:
        return run_step(Meeting, "start", params={"me": number}, current={"run_id": number}, check=False)

    out = sys.stdout
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(one, range(2)))
    assert [each.seen for each in results] == [("0", 0), ("1", 1)]
    assert [each.stdout for each in results] == ["first 0\nsecond 0\n", "first 1\nsecond 1\n"]
    assert sys.stdout is out
    assert not current.is_running_flow


def test_a_step_may_run_an_event_loop_also_under_an_asynchronous_test() -> None:
    async def seven() -> int:
        await asyncio.sleep(0)
        return 7 if current.run_id == "test" else 0

    class Asynchronous(FlowSpec):
        @step
        def start(self) -> None:
            print("in a loop")
            self.number = asyncio.run(seven())
            self.next(self.end)

        @step
        def end(self) -> None: ...

    async def test() -> StepResult:
        return run_step(Asynchronous.start)

    for result in (run_step(Asynchronous.start), asyncio.run(test())):
        assert (result.number, result.stdout) == (7, "in a loop\n")


def test_a_step_that_runs_a_step() -> None:
    class Outer(FlowSpec):
        @step
        def start(self) -> None:
            print("outer")
            inner = run_step(Training.end, inputs={"best": 1, "rounds": 1})
            self.seen = (inner.stdout, current.flow_name)
            self.next(self.end)

        @step
        def end(self) -> None: ...

    result = run_step(Outer.start)
    assert result.seen == ("best 1\n", "Outer")
    assert result.stdout == "outer\n"


QUIET = """
import os, sys
from unit.testing.flows import Small, Training
from metaflow.testing import run_flow, run_step
run_step(Small.double, input=1)
seen = []
def hook(event, arguments):
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        seen.append((event, arguments[0]))
    if event.startswith(("os.", "subprocess", "socket")) and event not in ("os.listdir", "os.scandir"):
        seen.append((event, *arguments))
sys.addaudithook(hook)
run_step(Small.double, input=1)
run_step(Training.both, inputs={"left": {"side": 1, "x": 1}, "right": {"side": 2, "x": 1}})
run_flow(Small)
run_step(Small.end, inputs={"all": "x" * 3_000_000, "noise": os.urandom(3_000_000)})
print(seen)
"""


def test_nothing_is_written_and_no_process_is_started() -> None:
    tests = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-B", "-c", QUIET],
        capture_output=True, text=True, cwd="/", env={**os.environ, "PYTHONPATH": str(tests)},
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_examples_of_the_docstrings_run() -> None:
    from metaflow.testing import flow as flow_module
    from metaflow.testing import step as step_module

    names = {"FlowSpec": FlowSpec, "Parameter": Parameter, "step": step}
    for module in (step_module, flow_module):
        done = doctest.testmod(module, extraglobs=names)
        assert done.attempted
        assert not done.failed


def test_errors_can_be_pickled_for_xdist() -> None:
    with pytest.raises(InvalidTestSetup) as caught:
        run_step(Training)
    assert pickle.loads(pickle.dumps(caught.value)).hint == caught.value.hint


def test_a_join_has_the_parameters_of_the_results_before_it() -> None:
    class Rated(Small):
        @step
        def join(self, inputs: Any) -> None:
            self.counts = (self.count, [each.count for each in inputs])
            self.next(self.end)

    start = run_step(Rated, "start", params={"count": 3})
    each = [run_step(Rated, "double", inputs=start, foreach=Foreach(start.foreach or (), n)) for n in range(3)]
    assert run_step(Rated.join, inputs=each).counts == (3, [3, 3, 3])
    assert run_step(Rated.join, inputs=each, params={"count": 1}).counts == (1, [1, 1, 1])


def test_an_artifact_with_the_name_of_an_attribute_is_not_mistaken_for_it() -> None:
    result = run_step(Training.left, inputs={"failure": "an artifact", "step": 3})
    assert (result["failure"], result.ended.failure, result["step"], result.ended.step) == (
        "an artifact",
        None,
        3,
        "left",
    )
    for name in ("failure", "step"):
        with pytest.raises(AttributeError, match=rf"result\['{name}'\], .* result\.ended\.{name}"):
            getattr(result, name)
    assert result.side == "left"
    assert repr(result).startswith("StepResult(Training.left: ")


def test_a_small_flow_in_a_small_class() -> None:
    assert run_step(Small.join, inputs=[{"doubled": 1}, {"doubled": 2}]).all == [1, 2]


class WithCards(FlowSpec):
    @card(type="blank", id="a")
    @card(type="not_here", id="b")
    @step
    def start(self) -> None:
        current.card["a"].append(Markdown("x"), id="m")
        current.card["a"].refresh()
        self.ids = list(current.card["a"].components)


def test_a_step_with_cards_can_append_to_them() -> None:
    assert run_step(WithCards.start).ids == ["m"]
