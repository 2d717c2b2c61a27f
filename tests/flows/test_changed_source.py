"""A run carries out the flow as it was at its start, whatever becomes of the files while it goes on."""

from __future__ import annotations

import pytest

from support import processes
from support.site import Site

FLOW = """
    import inspect
    import os
    import time
    from pathlib import Path

    import helper
    from package.deep import part
    from metaflow import FlowSpec, environment, retry, step


    class ChangedFlow(FlowSpec):
        @step
        def start(self):
            Path("started").touch()
            while not os.path.exists("go on"):
                time.sleep(0.02)
            self.items = [1, 2]
            self.next(self.each, foreach="items")

        @retry(times=1, minutes_between_retries=0)
        @step
        def each(self):
            self.seen = [helper.WHEN, part.WHEN]
            if not os.path.exists(f"tried{self.input}"):
                Path(f"tried{self.input}").touch()
                raise RuntimeError("once")
            self.next(self.join)

        @environment(vars={"OWN": "interpreter"})
        @step
        def join(self, inputs):
            self.seen = [each.seen for each in inputs]
            self.lines = inspect.getsource(ChangedFlow.end), inspect.getsource(helper.function)
            self.next(self.end)

        @step
        def end(self):
            helper.function()


    if __name__ == "__main__":
        ChangedFlow()
"""

HELPER = """
    WHEN = "at the start"


    def function():
        raise ValueError("in the line as it was")  # a comment as it was
"""

CHANGES = {
    "a line is added": lambda path: path.write_text("# a comment\nWHEN = 'later'\n" + path.read_text()),
    "they are empty": lambda path: path.write_text(""),
    "they are gone": lambda path: path.unlink(),
    "they are broken": lambda path: path.write_text("def broken(:"),
}


@pytest.mark.ours
@pytest.mark.parametrize("change", CHANGES)
def test_the_flow_is_carried_out_as_it_was_at_its_start(site: Site, change: str) -> None:
    site.write("flow.py", FLOW)
    paths = [site.directory / "flow.py", site.write("helper.py", HELPER)]
    paths.append(site.write("package/deep/part.py", "WHEN = 'at the start'\n"))
    running = site.start_flow("flow.py", "run")
    processes.eventually(lambda: (site.directory / "started").exists(), "the first step waits")
    for path in paths:
        CHANGES[change](path)
    (site.directory / "go on").touch()
    failed = running.wait().failed()
    assert failed.task("join")["seen"].data == [["at the start"] * 2] * 2, failed.output
    end, function = failed.task("join")["lines"].data
    assert end == "    @step\n    def end(self):\n        helper.function()\n"
    assert "# a comment as it was" in function
    assert 'raise ValueError("in the line as it was")  # a comment as it was' in failed.output
    assert f"{site.directory}/helper.py" in failed.output
    assert failed.output.count("have changed since this run began") == 1, failed.output


GENERATING = """
    import importlib
    from pathlib import Path

    import loaded
    from metaflow import FlowSpec, Parameter, environment, step


    class GeneratingFlow(FlowSpec):
        rate = Parameter("rate", default=0.1)

        @step
        def start(self):
            Path("generated.py").write_text(f"RATE = {self.rate}\\n")
            import generated

            Path("loaded.py").write_text(f"RATE = {self.rate}\\n")
            self.used = [generated.RATE, importlib.reload(loaded).RATE]
            self.next(self.train)

        @step
        def train(self):
            import generated

            self.used = [*self.used, generated.RATE]
            self.next(self.end)

        @environment(vars={"OWN": "interpreter"})
        @step
        def end(self):
            import generated

            self.used = [*self.used, generated.RATE]


    if __name__ == "__main__":
        GeneratingFlow()
"""


@pytest.mark.ours
def test_a_module_that_a_step_writes_is_imported_as_it_is(site: Site) -> None:
    """Also if an earlier run has left another one of its name; that one is named as changed."""
    site.write("flow.py", GENERATING)
    site.write("loaded.py", "RATE = 0\n")
    for rate in ("0.1", "0.25"):
        finished = site.run_flow("flow.py", "run", "--rate", rate).succeeded()
        assert finished.data.used == [float(rate)] * 4
    assert f"Note: {site.directory}/generated.py has changed since this run began" in finished.output
