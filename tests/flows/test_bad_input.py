"""Whatever a person gets wrong is answered by one clear error: file and line or option, a hint, no traceback of ours.

The mistakes are in the tables of `support.bad_flows`; those that need more than a flow and a command line are here.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from support.bad_flows import COMMANDS, GRAPH, HERE, PARAMETERS, TASKS, Case
from support.interpreter import PYTHON
from support.site import Finished, Site

pytestmark = pytest.mark.ours


def names(cases: list[Case]) -> list[str]:
    return [case.name for case in cases]


def check(case: Case, finished: Finished) -> None:
    """Check what every answer to a mistake has to be like."""
    finished.failed()
    for word in case.says:
        assert word in finished.output, f"does not name {word!r}:\n{finished.output}"
    marked = [number for number, line in enumerate(case.source.splitlines(), 1) if line.endswith(HERE)]
    for number in marked:
        assert re.search(rf'flow\.py(:|", line ){number}\b', finished.output), (
            f"does not name line {number}:\n{finished.output}"
        )
    if case.hint:
        assert re.search("hint:|[Dd]id you mean", finished.output), f"no hint:\n{finished.output}"
    no_traceback_of_ours(finished)


def no_traceback_of_ours(finished: Finished) -> None:
    """Frames of the user's own files are welcome; those below them and Python's warnings are not."""
    assert not re.search(r'File "[^"]*(src/metaflow|site-packages)/|File "<frozen|Warning: ', finished.output), (
        finished.output
    )


@pytest.mark.parametrize("case", GRAPH, ids=names(GRAPH))
def test_graphs(one_site: Site, case: Case) -> None:
    finished = one_site.run_flow(case.source, *case.words)
    check(case, finished)
    assert "Traceback" not in finished.output
    assert finished.run_id is None
    assert not one_site.root.exists()


@pytest.mark.parametrize("command", ["check", "show", "--help", "run --help"])
def test_a_bad_graph_is_refused_by_check_and_bears_being_looked_at(one_site: Site, command: str) -> None:
    finished = one_site.run_flow(GRAPH[0].source, *command.split())
    if command == "check":
        check(GRAPH[0], finished)
    no_traceback_of_ours(finished)


@pytest.mark.parametrize("case", PARAMETERS, ids=names(PARAMETERS))
def test_parameters(one_site: Site, case: Case) -> None:
    (one_site.directory / "binary.dat").write_bytes(b"\xff\xfe\x00")
    finished = one_site.run_flow(case.source, *case.words)
    check(case, finished)
    assert "Traceback" not in finished.output
    assert finished.run_id is None


@pytest.mark.parametrize("case", COMMANDS, ids=names(COMMANDS))
def test_command_lines(one_site: Site, case: Case) -> None:
    finished = one_site.run_flow(case.source, *case.words)
    check(case, finished)
    assert "Traceback" not in finished.output
    assert finished.run_id is None


@pytest.mark.parametrize("case", TASKS, ids=names(TASKS))
def test_steps(one_site: Site, case: Case) -> None:
    finished = one_site.run_flow(case.source, *case.words)
    check(case, finished)
    assert "    Step start (task-id 1) failed." in finished.stderr
    assert not finished.task("start").successful


def test_a_syntax_error_in_the_flow_file(one_site: Site) -> None:
    finished = one_site.run_flow("from metaflow import FlowSpec\n\nclass Broken(FlowSpec:\n    pass\n", "run").failed()
    assert 'flow.py", line 3' in finished.output
    assert "SyntaxError" in finished.output
    no_traceback_of_ours(finished)


def test_an_import_error_in_the_flow_file(one_site: Site) -> None:
    finished = one_site.run_flow("import metaflow\nimport no_such_module\n", "run").failed()
    assert 'flow.py", line 2' in finished.output
    assert "no_such_module" in finished.output
    no_traceback_of_ours(finished)


def test_a_name_that_metaflow_does_not_have(one_site: Site) -> None:
    finished = one_site.run_flow("from metaflow import FlowSpec, stepp\n", "run").failed()
    assert 'flow.py", line 1' in finished.output
    assert "stepp" in finished.output
    no_traceback_of_ours(finished)


def test_an_error_at_import_that_only_tasks_see(site: Site) -> None:
    """The flow file breaks in the task, not in the engine."""
    source = """
        import os
        from metaflow import FlowSpec, step

        if os.path.exists("engine_is_up"):
            raise RuntimeError("only in tasks")
        open("engine_is_up", "w").close()

        class TwofacedFlow(FlowSpec):
            @step
            def start(self):
                self.next(self.end)

            @step
            def end(self):
                pass

        if __name__ == "__main__":
            TwofacedFlow()
    """
    finished = site.run_flow(source, "run").failed()
    assert "only in tasks" in finished.stdout
    assert 'flow.py", line 5' in finished.stdout
    assert "Step start (task-id 1) failed." in finished.stderr
    no_traceback_of_ours(finished)


def test_two_flows_in_one_file(one_site: Site) -> None:
    """Which of them a command line is for cannot be said; a flow and those it inherits from are one."""
    source = """
        from metaflow import FlowSpec, step

        class OneFlow(FlowSpec):
            @step
            def start(self):
                self.next(self.end)

            @step
            def end(self):
                pass

        class OtherFlow(FlowSpec):
            @step
            def start(self):
                self.next(self.end)

            @step
            def end(self):
                pass

        if __name__ == "__main__":
            OneFlow()
            OtherFlow()
    """
    finished = one_site.run_flow(source, "run").failed()
    assert "OneFlow" in finished.output
    assert "OtherFlow" in finished.output
    assert "flow.py" in finished.output
    no_traceback_of_ours(finished)


def test_a_flow_spec_without_a_flow(one_site: Site) -> None:
    finished = one_site.run_flow("from metaflow import FlowSpec\n\nFlowSpec()\n", "run").failed()
    assert "FlowSpec" in finished.output
    assert "spec.py" not in finished.output
    no_traceback_of_ours(finished)


GOOD = """
    from metaflow import FlowSpec, step

    class GoodFlow(FlowSpec):
        @step
        def start(self):
            self.next(self.end)

        @step
        def end(self):
            pass

    if __name__ == "__main__":
        GoodFlow()
"""


def test_a_datastore_in_the_way_of_a_file(one_site: Site) -> None:
    (one_site.directory / "file").write_text("not a directory")
    root = str(one_site.directory / "file")
    finished = one_site.run_flow(GOOD, "run", env={"METAFLOW_DATASTORE_SYSROOT_LOCAL": root}).failed()
    assert root in finished.output
    assert "hint:" in finished.output
    assert "Traceback" not in finished.output


def test_a_directory_that_cannot_be_written(one_site: Site) -> None:
    if os.geteuid() == 0:
        command = _mounting(one_site.directory / "closed", "ro")
    else:
        (one_site.directory / "closed").mkdir(mode=0o555)
        command = [PYTHON]
    root = str(one_site.directory / "closed")
    finished = one_site.run_flow(GOOD, "run", env={"METAFLOW_DATASTORE_SYSROOT_LOCAL": root}, command=command).failed()
    assert root in finished.output
    assert "hint:" in finished.output
    assert "Traceback" not in finished.output


FILLING = """
    import os
    from metaflow import FlowSpec, step

    class FillingFlow(FlowSpec):
        @step
        def start(self):
            self.small = 1
            self.next(self.fill)

        @step
        def fill(self):
            self.big = os.urandom(4_000_000)
            self.next(self.end)

        @step
        def end(self):
            pass

    if __name__ == "__main__":
        FillingFlow()
"""


def test_a_full_disk(one_site: Site) -> None:
    root = one_site.directory / "small"
    finished = one_site.run_flow(
        FILLING,
        "run",
        env={"METAFLOW_DATASTORE_SYSROOT_LOCAL": str(root)},
        command=_mounting(root, "size=3m"),
    ).failed()
    assert "No space left on device" in finished.output
    assert "hint:" in finished.output
    assert "Step fill" in finished.stderr
    no_traceback_of_ours(finished)


def _mounting(directory: Path, options: str) -> list[str]:
    """Return a command that runs Python with a file system of its own at `directory`; skip if that is not allowed."""
    directory.mkdir()
    script = f'mount -t tmpfs -o {options} tmpfs {directory} && exec {PYTHON} "$@"'
    command = ["unshare", "--mount", *(["--map-root-user"] if os.geteuid() else []), "sh", "-c", script, "sh"]
    try:
        subprocess.run([*command, "-c", ""], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no file system can be mounted here: {error}")
    return command


@pytest.mark.parametrize("home", [None, "/nowhere/at/all", ""])
def test_a_home_that_is_unset_or_missing_is_no_obstacle(one_site: Site, home: str | None) -> None:
    finished = one_site.run_flow(GOOD, "run", env={"HOME": home}).succeeded()
    assert finished.run.successful


def test_nobody_knows_the_user(one_site: Site) -> None:
    finished = one_site.run_flow(GOOD, "run", env={"METAFLOW_USER": None}).succeeded()
    (tag,) = [tag for tag in finished.run.system_tags if tag.startswith("user:")]
    assert len(tag) > len("user:")


def test_a_configuration_that_does_not_parse(one_site: Site) -> None:
    path = one_site.home / ".metaflowconfig" / "config.json"
    path.parent.mkdir()
    path.write_text('{"METAFLOW_USER": "tester",}')
    finished = one_site.run_flow(GOOD, "run").failed()
    assert str(path) in finished.output or "~/.metaflowconfig/config.json" in finished.output
    assert "hint:" in finished.output
    assert "Traceback" not in finished.output


def test_a_profile_that_does_not_exist(one_site: Site) -> None:
    finished = one_site.run_flow(GOOD, "run", env={"METAFLOW_PROFILE": "nowhere"}).failed()
    assert "nowhere" in finished.output
    assert "Traceback" not in finished.output


def test_output_into_a_pipe_that_closes_early(one_site: Site) -> None:
    """As in `python flow.py run | head -1`: no traceback, and nothing left behind."""
    command = ["sh", "-c", f'{PYTHON} "$@" | head -1', "sh"]
    finished = one_site.run_flow("talking.py", "run", command=command)
    assert "Traceback" not in finished.output
    assert len(finished.stdout.splitlines()) == 1
