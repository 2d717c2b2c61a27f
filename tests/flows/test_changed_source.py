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
            import late
            from package.deep import lately

            self.seen = [helper.WHEN, part.WHEN, late.WHEN, lately.WHEN]
            if not os.path.exists(f"tried{self.input}"):
                Path(f"tried{self.input}").touch()
                raise RuntimeError("once")
            self.next(self.join)

        @environment(vars={"OWN": "interpreter"})
        @step
        def join(self, inputs):
            import late

            self.seen = [[*each.seen, late.WHEN] for each in inputs]
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
    for name in ("late.py", "package/deep/part.py", "package/deep/lately.py"):
        paths.append(site.write(name, "WHEN = 'at the start'\n"))
    running = site.start_flow("flow.py", "run")
    processes.eventually(lambda: (site.directory / "started").exists(), "the first step waits")
    for path in paths:
        CHANGES[change](path)
    (site.directory / "go on").touch()
    failed = running.wait().failed()
    assert failed.task("join")["seen"].data == [["at the start"] * 5] * 2, failed.output
    end, function = failed.task("join")["lines"].data
    assert end == "    @step\n    def end(self):\n        helper.function()\n"
    assert "# a comment as it was" in function
    assert 'raise ValueError("in the line as it was")  # a comment as it was' in failed.output
    assert f"{site.directory}/helper.py" in failed.output
    assert failed.output.count("have changed since this run began") == 1, failed.output
