"""`run_flow`: a whole flow in this process, and what is said of how it ended."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from metaflow import FlowSpec, Parameter, current, retry, step
from metaflow.exception import CommandException, InvalidFlow, InvalidNextException, InvalidTestSetup
from metaflow.testing import FlowResult, run_flow, run_step
from unit.testing.flows import Chosen, Small, Training


def test_all_steps_run_in_the_order_of_the_scheduler() -> None:
    result = run_flow(Training, params={"title": "t", "learning-rate": "2"})
    assert (result.status, result.ok, result.exception, result.failure) == ("successful", True, None, None)
    assert [len(result[name]) for name in ("fit", "fold", "folded", "decide", "end")] == [2, 6, 2, 3, 1]
    assert result.artifacts["best"] == 2.0
    assert [each.place for each in result["fold"]][-1] == [(1, 2, "b"), (2, 3, 2)]
    assert result["both"][0].sides == ("left", "right", ["left", "right"])
    assert [each.next for each in result["decide"]] == [("decide",), ("decide",), ("end",)]
    assert (result.stdout, result.stderr) == ("best 2.0\n", "rounds 3\n")
    assert repr(result) == "FlowResult(Training: successful, 20 tasks)"
    assert [each.current["task_id"] for each in result.tasks] == [str(number) for number in range(1, 21)]
    assert not current.is_running_flow


class Unsteady(FlowSpec):
    how = Parameter("how", default="")

    @retry(times=1)
    @step
    def start(self) -> None:
        self.attempt = current.retry_count
        if self.attempt == 0 or self.how == "always":
            raise ConnectionError("not yet")
        self.items = range(101 if self.how == "wide" else 2)
        self.next(self.each, foreach="items")

    @step
    def each(self) -> None:
        if self.how == "later" and self.input == 1:
            raise ValueError("second")
        self.next(self.join)

    @step
    def join(self, inputs: Any) -> None:
        self.next(self.end)

    @step
    def end(self) -> None: ...


def test_retries_count() -> None:
    result = run_flow(Unsteady)
    assert (result["start"][0].attempts, result["start"][0].attempt) == (2, 1)
    with pytest.raises(ConnectionError):
        run_flow(Unsteady, decorators=False)


def test_what_made_it_fail() -> None:
    result = run_flow(Unsteady, params={"how": "later"}, check=False)
    assert (result.status, str(result.exception), dict(result.artifacts)) == ("failed", "second", {})
    assert result.failure is not None
    assert result.failure.message == "ValueError: second"
    assert [each.ok for each in result["each"]] == [True, False]
    assert result["join"] == ()
    with pytest.raises(ValueError, match="second"):
        run_flow(Unsteady, params={"how": "later"})
    assert run_flow(Unsteady, params={"how": "always"}, check=False)["start"][0].attempts == 2


def test_a_foreach_that_is_too_wide() -> None:
    with pytest.raises(InvalidNextException, match="101 elements"):
        run_flow(Unsteady, params={"how": "wide"})
    assert run_flow(Unsteady, params={"how": "wide"}, max_num_splits=101).ok


no_flow: Any = print


class Wrong(FlowSpec):
    @step
    def start(self) -> None:
        self.next(self.nowhere)

    @step
    def end(self) -> None: ...


@pytest.mark.parametrize(
    ("test", "kind", "words"),
    [
        (lambda: run_flow(Wrong), InvalidFlow, "nowhere"),
        (lambda: run_flow(Training), InvalidTestSetup, "'title' is required"),
        (lambda: run_flow(Training, params={"titel": 1}), CommandException, "no parameter 'titel'"),
        (lambda: run_flow(no_flow), InvalidTestSetup, "takes a flow, not"),
        (lambda: run_flow(Small, current={"task_id": 1}), InvalidTestSetup, r"current\.task_id"),
        (lambda: run_flow(Small, home="/", current={"run_id": 1}), InvalidTestSetup, r"current\.run_id"),
        (lambda: run_flow(Small)["strat"], InvalidTestSetup, "no step 'strat'"),
        (lambda: run_flow(Small, decorators=("retyr",)), InvalidTestSetup, "The flow Small has no decorator 'retyr'"),
    ],
)
def test_what_cannot_be_run(test: Any, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        test()


def test_a_run_that_is_kept(tmp_path: Path) -> None:
    result = run_flow(Small, home=tmp_path)
    assert result.run_id.isdecimal()
    assert (tmp_path / ".metaflow" / "Small" / "latest_run").read_text() == result.run_id
    assert run_step(Small.join, inputs=result["double"]).all == [0, 2]
    assert run_flow(Small).run_id == "test"


def test_several_at_once() -> None:
    def one(count: int) -> FlowResult:
        return run_flow(Small, params={"count": count})

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(one, range(1, 9)))
    assert [each.artifacts["all"] for each in results] == [[2 * n for n in range(count)] for count in range(1, 9)]
    assert [each.stdout for each in results] == [f"all {each.artifacts['all']}\n" for each in results]


@pytest.mark.parametrize(("kind", "sides"), [("both", ["l", "r"]), ("one", ["l"])])
def test_a_case_of_several_steps(kind: str, sides: list[str]) -> None:
    assert run_flow(Chosen, params={"kind": kind})["end"][0].sides == sides
