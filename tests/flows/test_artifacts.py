"""Artifacts: what becomes one, how it travels, and what is left of it in the storage."""

from __future__ import annotations

import json

import pytest

from metaflow import Step
from support.present import present
from support.site import Shared, Site
from support.soundness import assert_sound


def test_values_of_many_types_travel(site: Site) -> None:
    finished = site.run_flow("artifacts.py", "run").succeeded()
    run = finished.run
    data = present(run["end"].task).data
    assert [name for name, good in data.checks.items() if not good] == []
    assert data.limit_at_end == 5
    assert {"limit", "constant", "del limit"} <= set(data.read_only)
    assert present(run["start"].task).data.mutable == [1, 2]
    assert_sound(finished.root)


def test_a_read_artifact_that_was_changed_in_place_is_stored_anew(shared: Shared) -> None:
    finished = shared("artifacts.py", "run").succeeded()
    assert finished.task("middle").data.mutable == [1, 2, 3]
    assert finished.task("end").data.mutated == [1, 2, 3]


def test_locals_and_deleted_names_are_no_artifacts(shared: Shared) -> None:
    finished = shared("linear.py", "run").succeeded()
    names = {artifact.id for artifact in finished.task("start")}
    assert names == {"answer", "history", "changed", "name", "constant"}
    middle = finished.values("middle")
    assert (middle["had_gone"], middle["had_answer"], middle["default"]) == (False, True, "default")
    end = finished.values("end")
    assert end["outside"] == (None, None, [])
    assert end["named"], "the error names what is missing"
    assert end["class_value"] == "of the class"
    assert end["label"].startswith("LinearFlow: ")
    assert end["name"] == "LinearFlow"


def test_underscored_attributes_are_stored_and_hidden(shared: Shared) -> None:
    finished = shared("artifacts.py", "run").succeeded()
    task = finished.task("start")
    assert "_private" not in {artifact.id for artifact in task}
    assert task["_private"].data == "underscored"


def test_equal_blobs_are_stored_once_per_flow(one_site: Site) -> None:
    first = one_site.run_flow("artifacts.py", "run").succeeded()
    second = one_site.run_flow("artifacts.py", "run").succeeded()
    shas = [one.task(step)["big"].sha for one in (first, second) for step in ("start", "middle", "end")]
    assert len(set(shas)) == 1
    assert (first.root / "ArtifactsFlow" / "data" / shas[0][:2] / shas[0]).exists()


def test_artifacts_of_tasks_that_succeeded_outlive_a_failed_run(one_site: Site) -> None:
    source = """
        from metaflow import FlowSpec, step

        class HalfFlow(FlowSpec):
            @step
            def start(self):
                self.kept = "good"
                self.next(self.end)

            @step
            def end(self):
                self.lost = "all or nothing"
                raise ValueError("halfway")

        if __name__ == "__main__":
            HalfFlow()
    """
    finished = one_site.run_flow(source, "run").failed()
    run = finished.run
    assert (run.successful, run.finished) == (False, False)
    assert present(run["start"].task).successful
    assert present(run["start"].task).data.kept == "good"
    failed = present(run["end"].task)
    assert not failed.successful
    assert (failed.exception.type, failed.exception.exception) == ("builtins.ValueError", "halfway")
    assert "halfway" in failed.exception.stacktrace
    assert 'raise ValueError("halfway")' in failed.stderr + failed.stdout
    assert run.end_task is None or not run.end_task.successful


def test_the_graph_is_an_artifact(one_site: Site) -> None:
    source = """
        from metaflow import FlowSpec, step

        class GraphFlow(FlowSpec):
            '''What it is for.'''

            @step
            def start(self):
                self.graph = self._graph_info
                self.next(self.end)

            @step
            def end(self):
                pass

        if __name__ == "__main__":
            GraphFlow()
    """
    graph = one_site.run_flow(source, "run").succeeded().values("end")["graph"]
    assert graph["doc"] == "What it is for."
    assert set(graph["steps"]) == {"start", "end"}
    assert graph["steps"]["start"]["next"] == ["end"]
    json.dumps(graph)


def test_a_failed_task_keeps_what_it_had_set(one_site: Site) -> None:
    """It helps to find the fault; no later task reads it."""
    source = """
        from metaflow import FlowSpec, step

        class RemainsFlow(FlowSpec):
            @step
            def start(self):
                self.begun = 1
                raise ValueError("no")
                self.next(self.end)

            @step
            def end(self):
                pass

        if __name__ == "__main__":
            RemainsFlow()
    """
    task = one_site.run_flow(source, "run").failed().task("start")
    assert task["begun"].data == 1
    assert task["_task_ok"].data is False
    assert not task.successful


OWN_INIT = """
    from metaflow import FlowSpec, Parameter, step

    class OwnInit(FlowSpec):
        name = Parameter("name", default="nobody")

        def __init__(self, use_cli=True):
            self.seen = ["init"]
            super().__init__(use_cli)
            self.never = 1

        @step
        def start(self):
            self.seen.append("start")
            self.kept = list(self.seen)
            self.place = (self._current_step, self._graph.name, self._graph["start"].out_funcs)
            self.next(self.a, self.b)

        @step
        def a(self):
            self.next(self.join)

        @step
        def b(self):
            self.next(self.join)

        @step
        def join(self, inputs):
            self.kept = inputs.a.kept
            self.next(self.end)

        @step
        def end(self):
            self.hello = "hello " + self.name

    if __name__ == "__main__":
        OwnInit()
"""


@pytest.mark.ours
def test_what_a_flow_assigns_in_its_own_init_is_an_artifact_of_every_task(site: Site) -> None:
    finished = site.run_flow(OWN_INIT, "run", "--name", "ann").succeeded()
    start, end = finished.values("start"), finished.values("end")
    assert start["kept"] == end["kept"] == ["init", "start"]
    assert (start["seen"], finished.values("a")["seen"], end["seen"]) == (["init", "start"], ["init"], ["init"])
    assert "never" not in end
    assert start["place"] == ("start", "OwnInit", ["a", "b"])
    assert (end["name"], end["hello"]) == ("ann", "hello ann")
    parameters = Step(f"{finished.run.pathspec}/_parameters").task
    assert present(parameters)["seen"].data == ["init"]
    idle = site.python(
        """
        from flow import OwnInit

        flow = OwnInit(use_cli=False)
        print(flow.seen, flow.never, [step.__name__ for step in flow], hasattr(flow, "_current_step"))
        print([node.name for node in flow._graph])
        """
    ).succeeded()
    assert idle.stdout == ("['init'] 1 ['start', 'a', 'b', 'join', 'end'] False\n['a', 'b', 'end', 'join', 'start']\n")


FUNCTIONS = """
    from metaflow import FlowSpec, step


    class FunctionsFlow(FlowSpec):
        def helper(self):
            return 2

        @step
        def start(self):
            self.double = lambda number: 2 * number
            self.method = self.helper
            self.kept = [self.double(1), self.method(), len]
            self.next(self.end)

        @step
        def end(self):
            self.there = [hasattr(self, name) for name in ("double", "method", "kept")]


    if __name__ == "__main__":
        FunctionsFlow()
"""


def test_a_function_that_cannot_be_pickled_is_no_artifact(one_site: Site) -> None:
    """As in Metaflow: a step may keep it on self, and the next one does not have it."""
    finished = one_site.run_flow(FUNCTIONS, "run").succeeded()
    assert finished.data.there == [False, False, True]
    assert finished.task("start").data.kept == [2, 2, len]
