"""The shapes a flow can have: lines, branches, foreach, joins, switch, recursion and what they make of each other."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from metaflow import Step
from support.present import present
from support.site import Site
from support.sketch import traced


def test_a_line_of_steps_passes_its_artifacts_on(site: Site) -> None:
    finished = site.run_flow("linear.py", "run").succeeded()
    end = finished.values("end")
    assert end["history"] == ["start", "middle", "end"]
    assert (end["answer"], end["doubled"], end["changed"]) == (42, 84, "second")
    assert [step.id for step in finished.run] == ["end", "middle", "start"]
    assert finished.run.successful


def test_first_and_last_steps_of_any_name(one_site: Site) -> None:
    finished = one_site.run_flow("own_limits.py", "run").succeeded()
    run, end_task = finished.run, present(finished.run.end_task)
    assert (run.successful, run.finished, run.status, finished.data.total) == (True, True, "successful", 3)
    assert (end_task.parent.id, end_task.finished_at) == ("finish", run.finished_at)
    assert "HOOK True 3" in finished.stdout
    facts = present(Step(f"{run.pathspec}/_parameters").task).metadata_dict
    assert (facts["start_step"], facts["end_step"]) == ("begin", "finish")
    node_info = finished.task("begin")["_graph_info"].data["steps"]["begin"]["node_info"]
    assert {"owner": "ann", "sizes": [1, 2]}.items() <= node_info.items()
    logs = one_site.run_flow("own_limits.py", "logs", f"{finished.run_id}/finish").succeeded()
    assert logs.stdout == "finished\n"

    failed = one_site.run_flow("own_limits.py", "run", env={"FAIL": "1"}).failed()
    assert (failed.run.successful, failed.run.finished, failed.run.status) == (False, False, "failed")
    one_site.run_flow("own_limits.py", "resume").succeeded()
    resumed = present(one_site.flow("OwnLimits").latest_successful_run)
    assert (resumed.origin_pathspec, present(resumed.data).total) == (failed.run.pathspec, 3)


def test_a_flow_of_one_step_of_any_name(one_site: Site) -> None:
    finished = one_site.run_flow("only_step.py", "run").succeeded()
    assert finished.run.successful
    assert finished.data.answer == 42


def test_branches_nest_and_join(one_site: Site) -> None:
    finished = one_site.run_flow("branches.py", "run").succeeded()
    inner = finished.values("inner_join")
    assert inner["by_name"] == (11, 20, 30)
    assert inner["iterated"] == inner["indexed"] == [11, 20, 30]
    assert inner["length"] == 3
    assert inner["twice"] == [3, 3]
    assert inner["paths"] == [
        "start>right>one>after_one",
        "start>right>three",
        "start>right>two",
    ]
    assert inner["inherited"] is False
    assert inner["no_such_branch"] is False
    assert "path" not in inner
    outer = finished.values("outer_join")
    assert outer["values"] == (1, 61)
    assert outer["by_name"] == (11, 20, 30)


FOREACH: dict[str, list[Any]] = {
    "list": ["a", "b", "c"],
    "tuple": ["a", "b", "c"],
    "range": [3, 4, 5],
    "str": ["a", "b", "c"],
    "bytes": [97, 98],
    "numpy": [0.0, 1.5, 3.0],
    "sequence": ["item 0", "item 1", "item 2"],
    "iterable": ["x", "y", "z"],
    "one": ["single"],
    "none": [None, None],
}


@pytest.mark.parametrize("kind", FOREACH)
def test_foreach_takes_every_iterable(one_site: Site, kind: str) -> None:
    _check_foreach(one_site, kind, FOREACH[kind])


@pytest.mark.ours
@pytest.mark.parametrize(
    ("kind", "items"), [("dict", ["k", "l"]), ("keys", ["k", "l"]), ("generator", ["a", "b", "c"])]
)
def test_foreach_takes_what_has_no_index_or_no_pickle(one_site: Site, kind: str, items: list[Any]) -> None:
    _check_foreach(one_site, kind, items)


@pytest.mark.ours
def test_foreach_over_a_set_sees_each_member_once(site: Site) -> None:
    """Members of a set come in another order in each process that is no fork of a common parent."""
    seen = site.run_flow("foreach.py", "run", "--kind", "set").succeeded().values("end")["seen"]
    assert sorted(item for _, item, _ in seen) == ["a", "b", "c"]


def test_foreach_over_rows_of_an_array(one_site: Site) -> None:
    seen = one_site.run_flow("foreach.py", "run", "--kind", "matrix").succeeded().values("end")["seen"]
    assert [item.tolist() for _, item, _ in seen] == [[1.0, 0.0], [0.0, 1.0]]


def test_foreach_in_both_ways_to_make_a_task(site: Site) -> None:
    _check_foreach(site, "list", FOREACH["list"])


def _check_foreach(site: Site, kind: str, items: list[Any]) -> None:
    finished = site.run_flow("foreach.py", "run", "--kind", kind).succeeded()
    end = finished.values("end")
    join = finished.values("join")
    wide = len(items)
    assert join["length"] == wide
    assert join["order"] == list(range(wide))
    assert join["seen_after"] == list(enumerate(items))
    assert join["inputs_seen"] == items
    assert [(index, item) for index, item, _ in join["seen"]] == list(enumerate(items))
    assert [stack for _, _, stack in join["seen"]] == [[(index, wide, item)] for index, item in enumerate(items)]
    assert join["first"] == join["seen"][0]
    assert join["outside"] == (None, None, [])
    assert "things" not in join
    assert end["seen"] == join["seen"]
    assert sorted(present(task.index) for task in finished.run["work"]) == list(range(wide))


def test_foreach_and_branches_nest(one_site: Site) -> None:
    assert one_site.run_flow("nested.py", "run").succeeded().values("end")["rows"] == NESTED


@pytest.mark.ours
def test_the_outer_item_is_known_after_an_inner_join_that_merges_nothing(one_site: Site) -> None:
    assert one_site.run_flow("nested.py", "run", "--merge", "false").succeeded().values("end")["rows"] == NESTED


NESTED = [
    (
        [[(0, 2, "a"), (0, 1, 0)]],
        [("a", 0, 0)],
        (0, "a"),
        [(0, 2, "a")],
        [(0, 2, "a")],
        (0, "a"),
    ),
    (
        [[(1, 2, "bb"), (0, 2, 0)], [(1, 2, "bb"), (1, 2, 1)]],
        [("bb", 0, 0), ("bb", 1, 1)],
        (1, "bb"),
        [(1, 2, "bb")],
        [(1, 2, "bb")],
        (1, "bb"),
    ),
]


@pytest.mark.ours
def test_inputs_have_a_length_and_slices(one_site: Site) -> None:
    source = """
        from metaflow import FlowSpec, step

        class LengthFlow(FlowSpec):
            @step
            def start(self):
                self.items = range(4)
                self.next(self.work, foreach="items")

            @step
            def work(self):
                self.x = self.input
                self.next(self.join)

            @step
            def join(self, inputs):
                self.length = len(inputs)
                self.last = inputs[-1].x
                self.some = [one.x for one in inputs[1:3]]
                self.next(self.end)

            @step
            def end(self):
                pass

        if __name__ == "__main__":
            LengthFlow()
    """
    end = one_site.run_flow(source, "run").succeeded().values("end")
    assert (end["length"], end["last"], end["some"]) == (4, 3, [1, 2])


@pytest.mark.parametrize(
    ("value", "went"),
    [("3", "number>more"), ("true", "truth"), ("2.5", "fraction"), ('"word"', "text")],
)
def test_switch_takes_one_way_by_key_of_any_type(one_site: Site, value: str, went: str) -> None:
    finished = one_site.run_flow("switch.py", "run", "--value", value).succeeded()
    assert finished.values("end")["kept"][0] == went
    ran = {step.id for step in finished.run}
    assert ran == {"start", "meet", "end", *went.split(">")}


def test_switch_in_both_ways_to_make_a_task(site: Site) -> None:
    assert site.run_flow("switch.py", "run").succeeded().values("end")["kept"] == ("text", "word")


def test_switch_without_a_matching_key_fails(one_site: Site) -> None:
    finished = one_site.run_flow("switch.py", "run", "--value", '"elsewhere"').failed()
    assert "elsewhere" in finished.stdout
    assert "RuntimeError" in finished.stdout
    task = finished.task("start")
    assert task.successful is False
    assert task.exception.type.endswith("RuntimeError")


def test_recursion_carries_artifacts_over_and_keeps_each_iteration(one_site: Site) -> None:
    finished = one_site.run_flow("recursion.py", "run", "--times", "4").succeeded()
    end = finished.values("end")
    assert end["count"] == 4
    tasks = sorted(finished.run["loop"], key=lambda task: int(task.id))
    assert [task["count"].data for task in tasks] == [1, 2, 3, 4]
    assert end["trail"] == [task.id for task in tasks]


def test_recursion_that_ends_at_once(one_site: Site) -> None:
    finished = one_site.run_flow("recursion.py", "run", "--times", "1").succeeded()
    assert len(list(finished.run["loop"])) == 1


def test_switch_and_recursion_inside_a_foreach_behind_a_switch(one_site: Site) -> None:
    finished = one_site.run_flow("mixed.py", "run").succeeded()
    assert finished.values("end")["results"] == [
        (0, 1, 1, "odd", [(0, 1, 1)]),
        (1, 2, 2, "even", [(1, 2, 1), (1, 2, 1)]),
        (2, 4, 4, "even", [(2, 4, 1)] * 4),
    ]
    assert len(list(finished.run["climb"])) == 7
    assert "narrow" not in finished.run


@pytest.mark.ours
def test_the_events_of_a_run_lead_to_the_same_instructions_again(tmp_path: Path) -> None:
    from support.recording import RUNS, record, replay

    record(tmp_path / "run.json", RUNS["switch"], str(tmp_path))
    replay(tmp_path / "run.json")


class Shape(NamedTuple):
    """A flow, what its switches choose, the steps on the way to its end, and the one that fails before a resume."""

    sketch: str
    choices: dict[str, Any]
    trail: list[Any]
    fails: str


J = "j(inputs) > end; end"
LISTS = "start > ? v x:[a,b] y:[a] z:c; a > j; b > j; j(inputs) > m; c > m; m > end; end"
EXCLUSIVE = (
    "start > ? v x:a y:b; a > c * xs; b > d, e; c > f; f > j; d > k; e > k; k(inputs) > m; j(inputs) > m; m > end; end"
)
SHARED = "start > a, b; a > a2; a2 > ? v x:s y:a3; b > ? w x:s y:b3; a3 > j; b3 > j; s > t; t > j; " + J
SHAPES = {
    "list": Shape(LISTS, {"v": "x"}, [[["start", "a"], ["start", "b"]], "j", "m", "end"], "b"),
    "list of one": Shape(LISTS, {"v": "y"}, [[["start", "a"]], "j", "m", "end"], "j"),
    "case past the join of a list": Shape(LISTS, {"v": "z"}, ["start", "c", "m", "end"], "m"),
    "list beside a repetition": Shape(
        f"start > a; a > ? v again:a go:[b,c] no:end; b > j; c > j; {J}",
        {"v": ["again", "again", "go"]},
        [[["start", "a", "a", "a", "b"], ["start", "a", "a", "a", "c"]], "j", "end"],
        "c",
    ),
    "repetition until the join": Shape(
        f"start > a * xs; a > ? v x:a y:j; {J}",
        {"xs": 2, "v": ["x", "x", "y"]},
        [[["start", "a", "a", "a"]] * 2, "j", "end"],
        "j",
    ),
    "one join of two cases": Shape(
        "start > ? v x:a y:b; a > c * xs; b > d * xs; c > j; d > j; " + J,
        {"v": "y", "xs": 2},
        [[["start", "b", "d"]] * 2, "j", "end"],
        "d",
    ),
    "end as join": Shape(
        "start > a, b; a > end; b > end; end(inputs)", {}, [[["start", "a"], ["start", "b"]], "end"], "b"
    ),
    "end as join of a foreach in a case": Shape(
        "start > ? v x:[a] y:[b]; a > c * xs; c > k; k(inputs) > end; b > end; end(inputs)",
        {"v": "x", "xs": 2},
        [[[[["start", "a", "c"]] * 2, "k"]], "end"],
        "k",
    ),
    "joins that split": Shape(
        "start > a, b; a > j; b > j; j(inputs) > ? v x:[c,d] y:[e]; c > k; d > k; e > k; k(inputs) > f * xs; f > end;"
        " end(inputs)",
        {"v": "x", "xs": 2},
        [
            [[[[[["start", "a"], ["start", "b"]], "j", "c"], [[["start", "a"], ["start", "b"]], "j", "d"]], "k", "f"]]
            * 2,
            "end",
        ],
        "f",
    ),
    "list in a foreach in a branch": Shape(
        f"start > a, b; a > c * xs; c > ? v x:[d,e] y:f; d > k; e > k; k(inputs) > f; f > l; l(inputs) > j; b > j; {J}",
        {"v": "x", "xs": 2},
        [
            [[[[[["start", "a", "c", "d"], ["start", "a", "c", "e"]], "k", "f"]] * 2, "l"], ["start", "b"]],
            "j",
            "end",
        ],
        "l",
    ),
    "one step for two branches": Shape(
        SHARED,
        {"v": "x", "w": "x"},
        [[["start", "a", "a2", "s", "t"], ["start", "b", "s", "t"]], "j", "end"],
        "j",
    ),
}


@pytest.mark.ours
@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_fails_is_resumed_and_comes_to_its_end(one_site: Site, name: str) -> None:
    shape = SHAPES[name]
    flow = traced(shape.sketch)
    choices = {"CHOICES": json.dumps(shape.choices)}
    failed = one_site.run_flow(flow, "run", env={**choices, "FAIL": shape.fails}).failed()
    one_site.run_flow(flow, "resume", env=choices).succeeded()
    resumed = present(one_site.flow("Sketch").latest_run)
    assert present(resumed.data).trail == shape.trail
    well = Counter(task.parent.id for step in failed.run for task in step if task.successful)
    taken = Counter(task.parent.id for step in resumed for task in step if task.origin_pathspec)
    assert (taken, taken[shape.fails]) == (well, 0)


@pytest.mark.ours
def test_branches_that_choose_different_joins(one_site: Site) -> None:
    flow = traced(
        "start > a, b; a > ? v x:c y:d; c > j; d > k; b > ? w x:e y:f; e > j; f > k; k(inputs) > m;"
        " j(inputs) > m; m > end; end"
    )
    finished = one_site.run_flow(flow, "run", env={"CHOICES": json.dumps({"v": "x", "w": "y"})}).failed()
    assert "went to different joins" in finished.stderr
    assert "Traceback" not in finished.stderr
    one_site.run_flow(flow, "run", env={"CHOICES": json.dumps({"v": "y", "w": "y"})}).succeeded()


@pytest.mark.ours
def test_a_flow_without_a_clear_join_is_drawn(one_site: Site) -> None:
    finished = one_site.run_flow(traced(f"start > ? v x:[a,b] y:c; a > j; b > j; c > j; {J}"), "check").failed()
    file = Path(finished.flow_file).name
    assert f"      → c          {file}:21\n      → j(inputs)  {file}:26\n" in finished.stderr
