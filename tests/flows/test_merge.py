"""`merge_artifacts`: what it carries over, what it refuses, and how it says so."""

from __future__ import annotations

from support.present import present
from support.site import Shared, Site


def test_merge_artifacts(shared: Shared) -> None:
    finished = shared("merge.py", "run").succeeded()

    join = finished.values("join")
    assert join["all"] == ("UnhandledInMergeArtifactsException", ["conflict"])
    assert join["missing"] == ("MissingInMergeArtifactsException", ["nowhere"])
    assert join["both"] == ("MetaflowException", [])
    assert join["included_conflict"] == ("UnhandledInMergeArtifactsException", ["conflict"])
    assert join["untouched"] is False, "a merge that fails sets nothing"
    assert join["after_include"] == (True, False)
    assert join["conflict"] == "resolved"
    assert join["same"] == [1, "x"]
    assert (join["only_left"], join["only_right"]) == ("L", "R")
    assert join["replaced"] == "new"
    assert join["common"] == {"a": [1, 2]}, "what is stored is merged"
    assert join["changed"] == {"a": [1, 2, [1, "x"]], "b": 1}
    assert join["kept"] == ({"a": [1, 2, [1, "x"]]}, "set", True)

    again = finished.values("again")
    assert again["attempt_outside"] == ("MetaflowException", []), "only a join can merge"
    assert again["only_left"] == "L"

    excluding = finished.values("excluding")
    assert excluding["had_conflict"] is False
    assert "conflict" not in excluding
    assert excluding["other"] == "o"
    assert excluding["sizes"] == [7, 7]

    gather = finished.values("gather")
    assert gather["conflicts"] == ("UnhandledInMergeArtifactsException", ["mine"])
    assert gather["sometimes"] == "from two"
    assert gather["parity"] == "constant"
    assert "mine" not in gather
    assert finished.values("end")["size_at_end"] == 7


def test_a_merge_copies_no_bytes(shared: Shared) -> None:
    """What is merged is the same blob: by hash, not by value."""
    finished = shared("merge.py", "run").succeeded()
    run = finished.run
    assert (
        present(run["join"].task)["same"].sha
        == present(run["left"].task)["same"].sha
        == present(run["right"].task)["same"].sha
    )


def test_an_unhandled_conflict_fails_the_join_and_names_it(one_site: Site) -> None:
    source = """
        from metaflow import FlowSpec, step

        class ConflictFlow(FlowSpec):
            @step
            def start(self):
                self.next(self.a, self.b)

            @step
            def a(self):
                self.verdict = "guilty"
                self.fine = 1
                self.next(self.join)

            @step
            def b(self):
                self.verdict = "innocent"
                self.fine = 1
                self.next(self.join)

            @step
            def join(self, inputs):
                self.merge_artifacts(inputs)
                self.next(self.end)

            @step
            def end(self):
                pass

        if __name__ == "__main__":
            ConflictFlow()
    """
    finished = one_site.run_flow(source, "run").failed()
    assert "verdict" in finished.stdout
    task = finished.task("join")
    assert not task.successful
    assert "fine" not in task.data
