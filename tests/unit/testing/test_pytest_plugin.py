"""The fixtures, in a project of its own: warnings are errors, two workers, a flow file that is a program too."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

FLOW = """
import sys
from metaflow import FlowSpec, Parameter, step

class Hello(FlowSpec):
    name = Parameter("name", default="world")

    @step
    def start(self):
        self.greeting = f"hello {self.name}"
        print(self.greeting)
        self.next(self.end)

    @step
    def end(self):
        if self.greeting == "hello nobody":
            raise ValueError("nobody is there")

if __name__ == "__main__":
    Hello()
"""

TESTS = """
import os, pytest
from hello import Hello
from metaflow import Flow, current, step

def test_step(run_step, capsys):
    assert run_step(Hello.start, params={"name": "you"}).greeting == "hello you"
    assert capsys.readouterr().out == "hello you\\n"

def test_failure(run_step):
    with pytest.raises(ValueError, match="nobody"):
        run_step(Hello.end, inputs={"greeting": "hello nobody"})

def test_flow(run_flow):
    assert run_flow(Hello).artifacts["greeting"] == "hello world"

def test_home(metaflow_home, tmp_path):
    from metaflow import Flow, get_metadata, get_namespace, namespace
    from metaflow.exception import MetaflowNotFound
    assert get_metadata() == f"local@{metaflow_home}"
    assert get_namespace() == "user:tester"
    namespace(None)
    with pytest.raises(MetaflowNotFound):
        Flow("Hello")

class Tagging(Hello):
    @step
    def end(self):
        current.run.add_tag("seen")
        self.earlier = [run.id for run in Flow("Tagging")]

def test_kept(run_flow, metaflow_home):
    result = run_flow(Tagging, home=metaflow_home, current={"tags": ["given"]})
    run = Flow("Tagging").latest_successful_run
    assert (run.id, run.data.greeting) == (result.run_id, "hello world")
    assert {"seen", "given", "user:tester"} <= run.tags
    assert run.finished
    assert result.artifacts["earlier"] == [run.id]
    assert run_flow(Tagging, home=metaflow_home).artifacts["earlier"][1:] == [run.id]

def test_home_is_over(tmp_path_factory):
    from metaflow import get_metadata, get_namespace
    assert (get_metadata(), get_namespace()) == (f"local@{os.getcwd()}", "user:somebody")

def test_shown(run_step):
    run_step(Hello.end, inputs={"greeting": "hello nobody"})

def test_hint(run_step):
    run_step(Hello.end)
"""

UNUSED = """
import sys
def test_nothing():
    ours = sorted(name for name in sys.modules if name.partition(".")[0] == "metaflow")
    assert ours == ["metaflow", "metaflow.shadows", "metaflow.testing", "metaflow.testing.pytest_plugin",
                    "metaflow.version"]
"""


def run_pytest(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("METAFLOW_", "PYTEST_"))}
    environment = {**kept, "METAFLOW_USER": "somebody", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", "-p", "metaflow.testing.pytest_plugin", "-W", "error", *words]
    return subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> str:
    directory = tmp_path_factory.mktemp("project")
    (directory / "hello.py").write_text(FLOW)
    (directory / "test_hello.py").write_text(TESTS)
    done = run_pytest(directory, "-p", "xdist", "-n", "2", "-rA")
    assert not (directory / ".metaflow").exists()
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", ["step", "failure", "flow", "home", "kept", "home_is_over"])
def test_fixtures_do_what_they_say(output: str, name: str) -> None:
    assert f"PASSED test_hello.py::test_{name}\n" in output, output


def test_a_failure_shows_the_users_lines_and_not_ours(output: str) -> None:
    shown = output.partition("_ test_shown _")[2].partition("\n____")[0].partition("\n====")[0]
    assert 'raise ValueError("nobody is there")' in shown
    assert "hello.py:17: ValueError" in shown
    assert "site-packages" not in shown
    assert "/metaflow/" not in shown


def test_a_hint_is_shown(output: str) -> None:
    assert "hint: if an earlier step assigns it, give inputs={'greeting': …}" in output


def test_nothing_of_ours_is_loaded_until_a_fixture_is_used(tmp_path: Path) -> None:
    (tmp_path / "test_unused.py").write_text(UNUSED)
    done = run_pytest(tmp_path, "-q")
    assert "1 passed" in done.stdout, done.stdout


def test_an_installed_distribution_brings_it_also_where_metaflow_was_imported_before(tmp_path: Path) -> None:
    entry_points = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]["entry-points"]
    installed = tmp_path / "millrace-0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: millrace\nVersion: 0\n")
    (installed / "RECORD").write_text("metaflow/__init__.py,,\n")
    (installed / "entry_points.txt").write_text(
        "[pytest11]\n" + "".join(f"{name} = {module}\n" for name, module in entry_points["pytest11"].items())
    )
    (tmp_path / "test_found.py").write_text("def test_found(run_step): assert run_step.__name__ == 'run_step'\n")
    program = "import sys, metaflow, pytest; sys.exit(pytest.main(['-q', '-W', 'error', '-p', 'no:hypothesispytest']))"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert "1 passed" in done.stdout, done.stdout + done.stderr
