"""What steps ask for, on the command line: `resources`, `--with` and `--without` of backends, and what is wrong there.

What each attribute takes is in the unit tests of the decorators, what becomes of it in those of requests.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from support.site import Site

pytestmark = pytest.mark.ours

FLOW = """
from metaflow import FlowSpec, batch, card, catch, kubernetes, resources, retry, step

class AskingFlow(FlowSpec):
    @resources(cpu=2, memory=6000)
    @step
    def start(self):
        self.next(self.work)

    @kubernetes(gpu=1, labels={"team": "a"}, tolerations=[{"operator": "Exists"}])
    @step
    def work(self):
        self.next(self.end)

    @step
    def end(self):
        pass

if __name__ == "__main__":
    AskingFlow()
"""

FAILING = """
from metaflow import FlowSpec, catch, retry, step

class FailingFlow(FlowSpec):
    @retry(times=1)
    @catch(var="failure")
    @step
    def start(self):
        int("early")
        self.next(self.end)

    @step
    def end(self):
        pass

if __name__ == "__main__":
    FailingFlow()
"""


def steps(site: Site, *words: str, env: dict[str, str] | None = None) -> dict[str, Any]:
    finished = site.run_flow(FLOW, "resources", "--json", *words, env=env).succeeded()
    printed = json.loads(finished.stdout)
    assert printed["flow"] == "AskingFlow"
    assert isinstance(printed["steps"], dict)
    return printed["steps"]


# --- resources -------------------------------------------------------------------------------------------------------


def test_the_table(one_site: Site) -> None:
    finished = one_site.run_flow(FLOW, "resources", env={"METAFLOW_KUBERNETES_LABELS": "a=b"}).succeeded()
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert finished.stdout == (
        "start: on this machine\n"
        "    cpu     2        @resources (flow.py:4); without effect here\n"
        "    memory  6000 MB  @resources (flow.py:4); without effect here\n"
        "work: on kubernetes\n"
        "    cpu          1                default of @kubernetes\n"
        "    memory       4096 MB          default of @kubernetes\n"
        "    disk         10240 MB         default of @kubernetes\n"
        "    gpu          1                @kubernetes (flow.py:9)\n"
        f"    image        python:{version}      the Python of this launcher\n"
        "    tolerations  operator=Exists  @kubernetes (flow.py:9)\n"
        "    labels       a=b, team=a      @kubernetes (flow.py:9) and METAFLOW_KUBERNETES_LABELS in the environment\n"
        "end: on this machine\n"
    )
    assert not one_site.root.exists()


def test_with_a_backend_for_all(one_site: Site) -> None:
    given = ("--with", "kubernetes:cpu=0.5,namespace=jobs", "--with", "kubernetes:image=repo/own:1")
    found = steps(one_site, *given)
    assert {name: step["backend"] for name, step in found.items()} == dict.fromkeys(found, "kubernetes")
    assert [step["cpu"] for step in found.values()] == [2, 1, 0.5]
    assert [step["image"] for step in found.values()][::2] == ["repo/own:1"] * 2
    assert [step["options"]["namespace"] for step in found.values()] == ["jobs", "default", "jobs"]
    assert found["end"]["sources"]["cpu"] == "--with kubernetes"
    assert found["start"]["sources"]["cpu"] == "@resources (flow.py:4)"
    refused = one_site.run_flow(FLOW, "resources", *given, "--with", "kubernetes:cpu=2").failed()
    assert "--with 'kubernetes:cpu=0.5,namespace=jobs,image=repo/own:1,cpu=2' gives 'cpu' two values" in refused.stderr


def test_options_stand_before_the_command_too(one_site: Site) -> None:
    finished = one_site.run_flow(FLOW, "--without", "kubernetes", "--with", "batch", "resources", "--json").succeeded()
    found = json.loads(finished.stdout)["steps"]
    assert {step["backend"] for step in found.values()} == {"batch"}
    assert finished.stderr == "Without @kubernetes: work.\n"


def test_without_says_what_it_has_removed_unless_it_is_to_be_quiet(one_site: Site) -> None:
    words = ("resources", "--without", "kubernetes", "--without", "catch")
    said = one_site.run_flow(FLOW, *words).succeeded().stderr
    assert said == "Without @kubernetes: work.\nWithout @catch: no step has it.\n"
    assert one_site.run_flow(FLOW, "--quiet", *words).succeeded().stderr == ""


def test_figures_of_a_configuration_file(one_site: Site) -> None:
    one_site.write("home/.metaflowconfig/config.json", '{"METAFLOW_KUBERNETES_NODE_SELECTOR": {"a": "b"}}')
    assert steps(one_site)["work"]["options"]["node_selector"] == {"a": "b"}
    one_site.write("home/.metaflowconfig/config.json", '{\n  "METAFLOW_KUBERNETES_MEMORY": "4 GB"\n}')
    finished = one_site.run_flow("flow.py", "resources").failed()
    assert "config.json:2:3 is '4 GB': expected a number of MB, 1 or more." in finished.stderr


# --- --without reaches the tasks -------------------------------------------------------------------------------------


def test_a_decorator_that_works_in_the_task(one_site: Site) -> None:
    assert one_site.run_flow(FAILING, "run").succeeded().task("start").current_attempt == 1
    finished = one_site.run_flow(FAILING, "run", "--without", "catch").failed()
    assert finished.task("start").current_attempt == 1
    finished = one_site.run_flow(FAILING, "--without=catch,retry", "run").failed()
    assert finished.task("start").current_attempt == 0
    assert not finished.task("start").successful


def test_a_decorator_is_replaced(one_site: Site) -> None:
    finished = one_site.run_flow(FAILING, "run", "--without", "retry", "--with", "retry:times=3").succeeded()
    assert finished.task("start").current_attempt == 3
    finished = one_site.run_flow(FAILING, "resume", "start", "--without", "retry").succeeded()
    assert "Without @retry: start." in finished.stderr


# --- what is wrong ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--without", "kubernets"], ["There is no step decorator 'kubernets'", "did you mean 'kubernetes'?"]),
        (["--with", "kubernets"], ["There is no step decorator 'kubernets'", "did you mean 'kubernetes'?"]),
        (["--with", "kubernetes:memry=1"], ["@kubernetes has no attribute 'memry'", "did you mean 'memory'?"]),
        (["--with", "batch"], ["'work' is sent to two backends", "(flow.py:9)", "add --without kubernetes"]),
        (["--without", "kubernetes", "--with", "kubernetes:memory=8G"], ["a number of MB, 1 or more", "memory=8000"]),
        (["--with", "conda"], ["'conda' is not available in this version"]),
    ],
)
@pytest.mark.parametrize("command", ["run", "resources"])
def test_what_is_wrong_is_told_before_anything_runs(
    one_site: Site, command: str, words: list[str], says: list[str]
) -> None:
    finished = one_site.run_flow(FLOW, command, *words).failed()
    for each in says:
        assert each in finished.stderr
    assert "Traceback" not in finished.output
    assert not one_site.root.exists()


def test_both_backends_on_one_step(one_site: Site) -> None:
    source = FLOW.replace("    @kubernetes(", "    @batch\n    @kubernetes(")
    finished = one_site.run_flow(source, "resources").failed()
    assert (
        "The step 'work' is sent to two backends: by @kubernetes (flow.py:10) and by @batch (flow.py:9)."
        in finished.stderr
    )
    assert "flow.py:9\n" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_a_name_that_is_not_imported(one_site: Site) -> None:
    source = FLOW.replace(
        "import FlowSpec, batch, card, catch, kubernetes, resources, retry, step", "import FlowSpec, step"
    )
    finished = one_site.run_flow(source, "resources").failed()
    assert finished.stderr.endswith("flow.py:1 should read: from metaflow import FlowSpec, step, resources\n")
    assert "NameError: name 'resources' is not defined" in finished.stderr


def test_a_name_that_is_not_imported_in_a_step(one_site: Site) -> None:
    finished = one_site.run_flow(FAILING.replace('int("early")', "current.run_id"), "run", "--without=catch,retry")
    assert "should read: from metaflow import FlowSpec, catch, retry, step, current" in finished.failed().stdout
