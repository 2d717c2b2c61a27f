"""`current`: what a task can ask about itself, and what a library finds outside a run."""

from __future__ import annotations

import pytest

from support.site import Site


def test_every_task_knows_who_it_is(site: Site) -> None:
    finished = site.run_flow("current_facts.py", "run", "--tag", "one", "--tag", "two").succeeded()
    run = finished.run
    for step in ("start", "work", "end"):
        for task in run[step]:
            facts = dict(task.data.facts)
            assert {"one", "two"} <= set(facts.pop("tags"))
            tempdir = facts.pop("tempdir")
            assert tempdir in (None, str(site.directory), str(site.directory / "tmp"), "."), tempdir
            pathspec = f"CurrentFlow/{finished.run_id}/{step}/{task.id}"
            assert facts == {
                "is_running_flow": True,
                "flow_name": "CurrentFlow",
                "run_id": finished.run_id,
                "step_name": step,
                "task_id": task.id,
                "retry_count": 0,
                "origin_run_id": None,
                "pathspec": pathspec,
                "task_pathspec": pathspec,
                "run_pathspec": f"CurrentFlow/{finished.run_id}",
                "namespace": "user:tester",
                "username": "tester",
                "parameter_names": ["first", "second"],
                "has_card": False,
                "has_nonsense": False,
                "before": False,
            }


def test_the_temporary_directory_can_be_chosen(one_site: Site) -> None:
    (one_site.directory / "temporary").mkdir()
    chosen = str(one_site.directory / "temporary")
    finished = one_site.run_flow("current_facts.py", "run", env={"METAFLOW_TEMPDIR": chosen}).succeeded()
    assert finished.values("end")["facts"]["tempdir"] == chosen


def test_outside_a_run_libraries_can_ask_safely(one_site: Site) -> None:
    finished = one_site.python(
        """
        from metaflow import current

        print(current.is_running_flow, current.flow_name, current.run_id, current.pathspec, hasattr(current, "card"))
        """
    ).succeeded()
    assert finished.stdout.split() == ["False", "None", "None", "None", "False"]


def test_the_client_inside_a_step_sees_the_namespace_of_the_run(one_site: Site) -> None:
    first = one_site.run_flow(INSIDE, "run").succeeded()
    end = first.values("end")
    assert end["namespace"] == "user:tester"
    assert end["latest"] == end["own"] == first.run_id
    assert end["found"] is True


def test_another_namespace_for_the_client_inside_a_step(one_site: Site) -> None:
    end = one_site.run_flow(INSIDE, "run", "--namespace", "elsewhere").succeeded().values("end")
    assert (end["namespace"], end["found"]) == ("elsewhere", False)


@pytest.mark.ours
def test_an_empty_namespace_is_the_global_one(one_site: Site) -> None:
    end = one_site.run_flow(INSIDE, "run", "--namespace=").succeeded().values("end")
    assert (end["namespace"], end["found"]) == (None, True)


INSIDE = """
    from metaflow import Flow, FlowSpec, current, get_namespace, namespace, step
    from metaflow.exception import MetaflowNamespaceMismatch

    class InsideFlow(FlowSpec):
        @step
        def start(self):
            self.own = current.run_id
            self.next(self.end)

        @step
        def end(self):
            self.namespace = get_namespace()
            try:
                Flow("InsideFlow")[current.run_id]["start"].task
                self.found = True
            except (KeyError, MetaflowNamespaceMismatch):
                self.found = False
            namespace(None)
            self.latest = Flow("InsideFlow").latest_run.id

    if __name__ == "__main__":
        InsideFlow()
"""
