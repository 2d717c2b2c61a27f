"""Signals as a shell, `nohup`, a terminal and a service manager send them: who ignores them, who hears of them."""

from __future__ import annotations

import os
import signal

import pytest

from support import processes
from support.interpreter import PYTHON
from support.processes import eventually
from support.site import Running, Site

pytestmark = pytest.mark.ours

HANDLERS = """
    import os
    import signal
    import time
    from metaflow import FlowSpec, step

    class HandlersFlow(FlowSpec):
        @step
        def start(self):
            self.handlers = [str(signal.getsignal(n)) for n in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)]
            open("ready", "w").close()
            while not os.path.exists("go"):
                time.sleep(0.01)
            self.next(self.end)

        @step
        def end(self):
            pass

    if __name__ == "__main__":
        HandlersFlow()
"""
NUMBERS = {"HUP": signal.SIGHUP, "INT": signal.SIGINT, "TERM": signal.SIGTERM}


def ready(site: Site, command: list[str]) -> Running:
    running = site.start_flow(HANDLERS, "run", command=command)
    eventually((site.directory / "ready").exists, "the step runs")
    return running


@pytest.mark.parametrize("ignored", ["HUP INT TERM", "INT"])
def test_what_is_ignored_at_the_start_stays_ignored(site: Site, ignored: str) -> None:
    """In the engine, in what makes tasks, and in tasks, which have all else as a plain program has it."""
    running = ready(site, ["sh", "-c", f"trap '' {ignored}; exec \"$0\" \"$@\"", PYTHON])
    for process in processes.marked(site.mark):
        for name in ignored.split():
            os.kill(process.pid, NUMBERS[name])
    (site.directory / "go").touch()
    expected = {"HUP": "0", "INT": "<built-in function default_int_handler>", "TERM": "0"}
    handlers = running.wait().succeeded().values("start")["handlers"]
    assert handlers == ["1" if name in ignored else plain for name, plain in expected.items()]


@pytest.mark.parametrize("word", ["nohup", "env"])
def test_the_terminal_is_closed(one_site: Site, word: str) -> None:
    """Under `nohup` the run goes on; under `env`, which changes nothing, it ends in good order."""
    terminal, other_side = os.openpty()
    adopt = "import os, sys; os.open(sys.argv[1], os.O_RDWR); os.execvp(sys.argv[2], sys.argv[2:])"
    running = ready(one_site, [PYTHON, "-c", adopt, os.ttyname(other_side), word, PYTHON])
    os.close(other_side)
    os.close(terminal)
    if word == "env":
        assert running.wait().returncode == 128 + signal.SIGHUP
        assert "the terminal was closed" in running.stdout
    (one_site.directory / "go").touch()
    if word == "nohup":
        assert running.wait().succeeded().run.successful
