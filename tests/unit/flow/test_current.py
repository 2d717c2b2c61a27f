"""`current`: inside and outside of a run, and what is computed when somebody asks."""

from __future__ import annotations

import contextvars
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from metaflow.flow.current import Current, CurrentTask

CORE = (
    "flow_name", "run_id", "step_name", "task_id", "retry_count", "origin_run_id", "namespace", "username",
    "parameter_names", "tempdir", "graph", "tags",
)  # fmt: skip


@pytest.fixture
def inside() -> Current:
    current = Current()
    current._set(
        {
            "flow_name": "F", "run_id": "7", "step_name": "start", "task_id": "1", "retry_count": 0,
            "origin_run_id": None, "namespace": "user:ada", "username": "ada", "parameter_names": ["alpha"],
            "tempdir": "/tmp", "tags": frozenset({"t"}),
        }
    )  # fmt: skip
    return current


def test_outside_of_a_run() -> None:
    current = Current()
    assert not current.is_running_flow
    assert (current.pathspec, current.run, current.task) == (None, None, None)
    for name in CORE:
        assert getattr(current, name) is None
        assert name not in current
        assert current.get(name, "default") == "default"


@pytest.mark.parametrize("name", [*CORE, "pathspec", "task", "run", "is_running_flow"])
def test_where_a_task_stands_cannot_be_set(inside: Current, name: str) -> None:
    with pytest.raises(AttributeError, match=name):
        setattr(inside, name, "elsewhere")


def test_what_is_said_beside_can_be_set(inside: Current) -> None:
    inside.mine = 3
    assert inside.mine == 3


def test_inside_of_a_run(inside: Current) -> None:
    assert inside.is_running_flow
    assert inside.pathspec == "F/7/start/1"
    assert (inside.retry_count, inside.origin_run_id, inside.parameter_names) == (0, None, ["alpha"])
    assert inside.tags == {"t"}
    assert inside.get("run_id") == "7"
    assert inside.get("retry_count", 5) == 0
    assert "retry_count" in inside
    assert "origin_run_id" not in inside


@pytest.mark.parametrize("name", ["card", "checkpoint", "anything", "__wrapped__", "_private"])
def test_what_a_decorator_would_bring_is_not_there_without(name: str, inside: Current) -> None:
    for current in (Current(), inside):
        assert not hasattr(current, name)
        assert name not in current
        assert current.get(name) is None
        with pytest.raises(AttributeError, match=name):
            getattr(current, name)


def test_a_decorator_may_bring_something(inside: Current) -> None:
    inside._set({"card": ["component"]})
    assert inside.card == ["component"]
    assert "card" in dir(inside)


def test_what_is_lazy_is_computed_once(inside: Current) -> None:
    calls = []

    def compute() -> dict[str, int]:
        calls.append(1)
        return {"steps": 3}

    inside._set_lazily("graph", compute)
    assert calls == []
    assert inside.graph == {"steps": 3}
    assert inside.graph is inside.graph
    assert calls == [1]


def test_what_is_lazy_is_listed_without_being_computed(inside: Current) -> None:
    inside._set_lazily("card", lambda: 1 / 0)
    assert "card" in dir(inside)


def test_a_lazy_attribute_that_failed_fails_again(inside: Current) -> None:
    inside._set_lazily("graph", lambda: 1 / 0)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            inside.graph


def test_names_are_listed(inside: Current) -> None:
    assert {*CORE, "is_running_flow", "pathspec", "run", "task", "get"} <= set(dir(inside))
    assert dir(inside) == sorted(set(dir(inside)))


def test_half_made_copies_do_not_recurse() -> None:
    """Pickle and copy ask an object without a state for attributes."""
    assert not hasattr(Current.__new__(Current), "card")


def stand(current: Current, run: str, meet: Barrier) -> list[object]:
    """Stand at a place of one's own while another thread does; return what is seen from here and from a pool."""
    with current._within(CurrentTask()):
        current._set({"run_id": run})
        current.mine = run
        meet.wait(60)
        seen = [current.run_id, current.mine, contextvars.copy_context().run(lambda: current.run_id)]
        with ThreadPoolExecutor(1) as pool:
            seen.append(pool.submit(lambda: current.run_id).result())
        meet.wait(60)
    return [*seen, current.run_id]


def test_tasks_that_share_a_process_stand_each_at_a_place_of_its_own(inside: Current) -> None:
    meet = Barrier(2)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda run: stand(inside, run, meet), ["a", "b"])
    assert first == ["a", "a", "a", "7", "7"]  # which of the two its pool belongs to cannot be told
    assert second == ["b", "b", "b", "7", "7"]
    assert not hasattr(inside, "mine")


def test_a_thread_that_a_step_starts_stands_where_the_only_one_does(inside: Current) -> None:
    assert stand(inside, "a", Barrier(1)) == ["a", "a", "a", "a", "7"]
