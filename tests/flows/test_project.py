"""`@project`, `@schedule`, `@trigger` and `@trigger_on_finish` in runs; `tests/interop` has them too."""

from __future__ import annotations

import json

import pytest

from support.present import present
from support.site import Finished, Site

UPSTREAM = """
    from metaflow import FlowSpec, step

    class Upstream(FlowSpec):
        @step
        def start(self):
            self.next(self.{last})

        @step{mark}
        def {last}(self):
            pass

    if __name__ == "__main__":
        Upstream()
"""


def upstream(site: Site, last: str = "end") -> Finished:
    site.write("upstream.py", UPSTREAM.format(last=last, mark="" if last == "end" else "(end=True)"))
    return site.run_flow("upstream.py", "run").succeeded()


@pytest.mark.parametrize("isolation", ["fork", "exec"])
def test_every_task_knows_its_branch(one_site: Site, isolation: str) -> None:
    words = ("--branch", "try_1", "--production", "run")
    finished = one_site.run_flow("projects.py", *words, env={"METAFLOW_LOCAL_ISOLATION": isolation}).succeeded()
    assert "Project: shop, Branch: prod.try_1\n" in finished.output
    for step in ("start", "end"):
        assert finished.task(step).data.place == ["shop", "prod.try_1", True, False, "shop.prod.try_1.ProjectFlow"]
        assert {"project:shop", "project_branch:prod.try_1"} <= set(finished.task(step).system_tags)
    assert {"project:shop", "project_branch:prod.try_1"} <= set(finished.run.system_tags)
    assert not finished.run.user_tags


def test_the_branch_of_a_resumed_run_is_that_of_its_own_command_line(one_site: Site) -> None:
    first = one_site.run_flow("projects.py", "run").succeeded()
    assert first.data.place == ["shop", "user.tester", False, True, "shop.user.tester.ProjectFlow"]
    one_site.run_flow("projects.py", "--branch", "again", "resume", "end").succeeded()
    resumed = present(one_site.flow("ProjectFlow").latest_run)
    assert present(resumed.data).place[1] == "test.again"
    assert "project_branch:test.again" in resumed.system_tags
    assert resumed.id != first.run_id
    variable = one_site.run_flow("projects.py", "check", env={"METAFLOW_BRANCH": "x", "METAFLOW_PRODUCTION": "1"})
    assert "Branch: prod.x" in variable.succeeded().output


def test_a_run_that_another_one_has_triggered(one_site: Site) -> None:
    first, second = upstream(one_site), upstream(one_site, "last")
    pathspecs = [f"Upstream/{each.run_id}" for each in (first, second)]
    words = [word for pathspec in pathspecs for word in ("--trigger", pathspec)]
    finished = one_site.run_flow("projects.py", *words, "run").succeeded()
    for step in ("start", "end"):
        data = finished.task(step).data
        assert data.runs == pathspecs[::-1], "the latest first"
        assert [(name, id_, kind) for name, id_, _, kind in data.events] == [
            ("metaflow.Upstream.last", f"{pathspecs[1]}/last/2", "run"),
            ("metaflow.Upstream.end", f"{pathspecs[1]}/last/2", "run"),
            ("metaflow.Upstream.end", f"{pathspecs[0]}/end/2", "run"),
        ]
        assert data.events[0][2] == second.run.finished_at
        assert data.by_flow == [second.run_id, True, False]


@pytest.mark.parametrize(
    ("flow", "words", "said"),
    [
        ("projects.py", ("--trigger", "Upstream/1", "run"), "--trigger Upstream/1: there is no such run."),
        ("projects.py", ("--branch", "No", "run"), "--branch No: expected lowercase letters"),
        ("projects.py", ("run", "--with", "project:name=x"), "'project' is a decorator of flows, not of steps."),
        ("projects.py", ("run", "--with", "schedule"), "'schedule' is a decorator of flows, not of steps."),
        ("linear.py", ("--branch", "x", "run"), "--branch is for flows with @project"),
        ("linear.py", ("--production", "check"), "--production is for flows with @project"),
        ("linear.py", ("--trigger", "A/1", "run"), "--trigger is for flows with @trigger_on_finish"),
    ],
)
def test_options_that_are_refused(one_site: Site, flow: str, words: tuple[str, ...], said: str) -> None:
    refused = one_site.run_flow(flow, *words).failed()
    assert said in refused.output
    assert refused.run_id is None


def test_options_of_decorators_are_shown_where_they_are(one_site: Site) -> None:
    shown = one_site.run_flow("projects.py", "--help").succeeded().stdout
    hidden = one_site.run_flow("linear.py", "--help").succeeded().stdout
    for word in ("--branch", "--production", "--trigger"):
        assert word in shown
        assert word not in hidden
    # A variable for flows with a project does not stand in the way of others.
    one_site.run_flow("linear.py", "check", env={"METAFLOW_BRANCH": "x", "METAFLOW_TRIGGER": "A/1"}).succeeded()


def test_a_spun_step_belongs_to_the_project(one_site: Site) -> None:
    one_site.run_flow("projects.py", "run").succeeded()
    spun = one_site.run_flow("projects.py", "--branch", "x", "spin", "end", "--persist").succeeded()
    assert "Project: shop, Branch: test.x\n" in spun.output
    (document,) = one_site.directory.rglob(".metaflow_spin/ProjectFlow/*/_meta/_self.json")
    assert {"project:shop", "project_branch:test.x"} <= set(json.loads(document.read_text())["system_tags"])
