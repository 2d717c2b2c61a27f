"""The ways in which a flow can be started, and what of them its tasks have to know."""

from __future__ import annotations

import ast
import socket
from dataclasses import replace

import pytest

from support.debugger import Debugger
from support.interpreter import PYTHON
from support.site import Site


@pytest.mark.ours
def test_flags_of_the_interpreter_reach_the_tasks(site: Site) -> None:
    source = """
        import sys
        from metaflow import FlowSpec, step

        class FlagsFlow(FlowSpec):
            @step
            def start(self):
                self.seen = (sys.flags.utf8_mode, sys._xoptions.get("own"), "error::FutureWarning" in sys.warnoptions)
                self.next(self.end)

            @step
            def end(self):
                pass

        if __name__ == "__main__":
            FlagsFlow()
    """
    command = [PYTHON, "-X", "utf8", "-Xown=1", "-W", "error::FutureWarning"]
    seen = site.run_flow(source, "run", command=command).succeeded().values("start")["seen"]
    assert seen == (1, "1", True)


def test_a_flow_file_in_another_directory_with_modules_beside_it(site: Site) -> None:
    site.write("some where/ünï/helper.py", "WORD = 'found'\n")
    source = """
        from metaflow import FlowSpec, step
        from helper import WORD

        class ElsewhereFlow(FlowSpec):
            @step
            def start(self):
                self.word = WORD
                self.next(self.end)

            @step
            def end(self):
                import helper

                self.word = helper.WORD

        if __name__ == "__main__":
            ElsewhereFlow()
    """
    path = site.write("some where/ünï/flow.py", source)
    relative = path.relative_to(site.directory)
    finished = site.run_flow(str(relative), "run").succeeded()
    assert finished.values("end")["word"] == "found"
    link = site.directory / "link.py"
    link.symlink_to(path)
    assert site.run_flow("link.py", "run", env={"PYTHONPATH": str(path.parent)}).succeeded().run.successful


@pytest.mark.parametrize(
    "words",
    [
        "-m package.linear",
        "-P linear.py",
        "-I linear.py",
        "-u -O linear.py",
        "-bb linear.py",
        "-m cProfile -o profile linear.py",
        "-m cProfile -o profile -m package.linear",
    ],
)
def test_a_flow_can_be_started_as_any_program_can(site: Site, words: str) -> None:
    site.write("package/__init__.py", "")
    site.write("package/linear.py", site.place("linear.py").read_text())
    script = f'exec {PYTHON} {words} "$@"'
    finished = site.run_flow("linear.py", "run", command=["sh", "-c", "shift; " + script, "sh"]).succeeded()
    assert finished.values("end")["history"] == ["start", "middle", "end"]


MODULE = """
    import os
    import sys
    from pathlib import Path

    import beside
    from metaflow import FlowSpec, current, environment, step

    from . import lib
    from ..shared.words import WORD


    def seen():
        from ..shared import words

        spec = __spec__.name, __spec__.cached == __cached__
        return [__name__, __package__, *spec, __file__, sys.argv[0], sys.path[0], lib.X, beside.X, WORD, words.WORD]


    class ModuleFlow(FlowSpec):
        @step
        def start(self):
            Path("company/shared/words.py").write_text("WORD = 'changed'")
            Path("company/__init__.py").write_text("broken(")
            self.seen = seen()
            assert current.retry_count, "tried once more"
            self.next(self.executed)

        @environment(vars={"OWN": "interpreter"})
        @step
        def executed(self):
            self.seen = seen()
            self.next(self.end)

        @step
        def end(self):
            assert os.path.exists("mended")
            self.seen = seen()


    if __name__ == "__main__":
        Path("launcher").write_text(repr(seen()))
        ModuleFlow()
"""


def test_a_module_of_a_package_is_that_in_its_tasks_too(site: Site) -> None:
    """Relative imports, the packages around it, the path: as ``python -m`` has them, and as they were at the start."""
    site.write("company/team/flow.py", MODULE)
    site.write("company/__init__.py", "X = 'of the company'\n")
    site.write("company/team/lib.py", "from .. import X\n")
    site.write("company/shared/words.py", "WORD = 'at the start'\n")
    site.write("beside.py", "X = 'beside the package'\n")
    command = ["sh", "-c", f'shift; exec {PYTHON} -m company.team.flow "$@"', "sh"]
    retry = ("--with", "retry:times=1,minutes_between_retries=0")
    failed = site.run_flow("company/team/flow.py", "run", *retry, command=command).failed()
    assert "resume: python -m company.team.flow resume --origin-run-id" in failed.stderr
    launchers = ast.literal_eval((site.directory / "launcher").read_text())
    assert launchers[:4] == ["__main__", "company.team", "company.team.flow", True]
    assert launchers[-4:] == ["of the company", "beside the package", "at the start", "at the start"]
    for step in ("start", "executed"):
        assert failed.values(step)["seen"] == launchers
    site.write("company/__init__.py", "X = 'of the company'\n")
    site.write("mended", "")
    resumed = site.run_flow("company/team/flow.py", "resume", "--run-id-file", "id", command=command).succeeded()
    run_id = (site.directory / "id").read_text()
    assert replace(resumed, run_id=run_id).values("end")["seen"] == [*launchers[:-2], "changed", "changed"]
    usage = site.run_flow("company/team/flow.py", "run", "--no-such", command=command).failed().stderr
    assert "see `python -m company.team.flow run --help`" in usage


def test_a_driver_that_runs_the_flow_file(site: Site) -> None:
    """As coverage tools and profilers do: the command line that tasks get is the flow's, not the driver's."""
    site.place("talking.py")
    driver = site.write(
        "driver.py",
        """
        import runpy
        import sys

        with open("driven.txt", "a") as file:
            file.write("driven\\n")
        sys.argv = sys.argv[1:]
        runpy.run_path(sys.argv[0], run_name="__main__")
        """,
    )
    finished = site.run_flow("talking.py", "run", command=[PYTHON, driver.name], within=30).succeeded()
    assert (site.directory / "driven.txt").read_text() == "driven\n"
    assert finished.data.words == ["aa", "bb"]


def test_a_debugger_follows_a_resumed_run_into_its_steps(site: Site) -> None:
    source = """
        import os
        from metaflow import FlowSpec, step

        class DebuggedFlow(FlowSpec):
            @step
            def start(self):
                self.x = 41
                self.next(self.end)

            @step
            def end(self):
                if not os.path.exists("mended"):
                    raise ValueError("not yet")
                self.y = self.x + 1

        if __name__ == "__main__":
            DebuggedFlow()
    """
    path = site.write("flow.py", source)
    site.run_flow("flow.py", "run").failed()
    site.write("mended", "")
    line = path.read_text().splitlines().index("        self.y = self.x + 1") + 1
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    words = [PYTHON, "-Xfrozen_modules=off", "-m", "debugpy", "--listen", f"127.0.0.1:{port}", "--wait-for-client"]
    running = site.start_flow("flow.py", "resume", command=words)
    debugger = Debugger(port, path, line, "self.x")
    assert "taken over" in running.wait().succeeded().stdout
    assert debugger.seen == ["41"]
