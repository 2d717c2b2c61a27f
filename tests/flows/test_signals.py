"""Signals as a shell, `nohup`, a terminal and a service manager send them: who ignores them, who hears of them."""

from __future__ import annotations

import os
import signal

import pytest

from support.interpreter import PYTHON
from support.present import present
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
    """In the engine, in what makes tasks, and in tasks, which have all else as a plain program has it.

    Only SIGINT interrupts tasks in any case: it reaches them, in sessions of their own, when their run sends it.
    """
    running = ready(site, ["sh", "-c", f'trap \'\' {ignored}; exec "$0" "$@"', PYTHON])
    for name in ignored.split():
        os.killpg(running.process.pid, NUMBERS[name])
    (site.directory / "go").touch()
    expected = {"HUP": "0", "INT": "<built-in function default_int_handler>", "TERM": "0"}
    handlers = running.wait().succeeded().values("start")["handlers"]
    assert handlers == ["1" if name in ignored and name != "INT" else plain for name, plain in expected.items()]


def test_steps_clean_up_where_ctrl_c_is_ignored(site: Site) -> None:
    """As in what a script has started with `&`."""
    script = """
        import time
        from pathlib import Path
        from metaflow import FlowSpec, step

        class FinallyFlow(FlowSpec):
            @step
            def start(self):
                try:
                    Path("ready").touch()
                    time.sleep(60)
                finally:
                    Path("cleaned").touch()
                self.next(self.end)

            @step
            def end(self):
                pass

        if __name__ == "__main__":
            FinallyFlow()
    """
    running = site.start_flow(script, "run", command=["sh", "-c", 'trap "" INT; exec "$0" "$@"', PYTHON])
    eventually((site.directory / "ready").exists, "the step runs")
    running.process.send_signal(signal.SIGTERM)
    assert running.wait().returncode == 128 + signal.SIGTERM
    assert (site.directory / "cleaned").exists()


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


CLEANING = """
    import contextlib
    import os
    import pathlib
    import signal
    import sys
    import time
    from metaflow import FlowSpec, catch, retry, step

    class CleaningFlow(FlowSpec):
        @step
        def start(self):
            self.ways = ["finally", "any", "with", "swallow", "late", "save"]
            self.next(self.work, foreach="ways")

        @retry(times=2)
        @catch
        @step
        def work(self):
            self.way = self.input
            if not pathlib.Path("resumed").exists():
                getattr(self, "by_" + self.way)()
            self.next(self.join)

        def wait(self):
            pathlib.Path(self.way + ".ready").touch()
            time.sleep(300)

        def by_finally(self):
            try:
                self.wait()
            finally:
                time.sleep(0.2)
                print("finally is over")

        def by_any(self):
            try:
                self.wait()
            except BaseException as error:
                print("caught", type(error).__name__, file=sys.stderr)
                raise

        def by_with(self):
            with contextlib.ExitStack() as stack:
                stack.callback(print, "the context is left")
                self.wait()

        def by_swallow(self):
            try:
                self.wait()
            except KeyboardInterrupt:
                self.half = "done"

        def by_late(self):
            signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
            while True:
                try:
                    self.wait()
                except KeyboardInterrupt:
                    print("not yet")

        def by_save(self):
            self.slow = Slow()

        @step
        def join(self, inputs):
            self.next(self.end)

        @step
        def end(self):
            pass

    class Slow:
        def __reduce__(self):
            pathlib.Path("save.ready").touch()
            while len([*pathlib.Path().glob("*.ready")]) < 6:
                time.sleep(0.01)
            time.sleep(0.2)
            return str, ("saved",)

    if __name__ == "__main__":
        CleaningFlow()
"""


@pytest.mark.parametrize(("number", "how"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")])
def test_steps_clean_up_when_their_run_is_interrupted(site: Site, number: signal.Signals, how: str) -> None:
    running = site.start_flow(CLEANING, "run", env={"METAFLOW_LOCAL_GRACE": "4"})
    eventually(lambda: len(list(site.directory.glob("*.ready"))) == 6, "all tasks run")
    for _ in range(2):  # as from a terminal and its shell: that is one
        running.process.send_signal(number)
    finished = running.wait(within=30)
    assert finished.returncode == 128 + number
    assert f"Interrupted ({how}): stopping 6 running tasks." in finished.stdout
    assert finished.stdout.count("Task failed (ways[") == 1, "the late one, in its own words"
    assert finished.stdout.count("Task ended, since the run ends.") == 3
    assert finished.run.status == "interrupted"
    tasks = {task["way"].data if "way" in task else "late": task for task in finished.run["work"]}
    printed = {"finally": "finally is over", "any": "caught KeyboardInterrupt", "with": "the context is left"}
    for way, words in {**printed, "late": "not yet"}.items():
        assert words in tasks[way].stdout + tasks[way].stderr
        assert words in finished.stdout
        assert not tasks[way].successful
        assert len(list(finished.root.glob(f"*/*/work/{tasks[way].id}/*.attempt.json"))) == 1, "not tried again"
    assert "terminated" in tasks["late"].stderr
    assert [tasks["swallow"].successful, tasks["swallow"]["half"].data] == [True, "done"]
    assert [tasks["save"].successful, tasks["save"]["slow"].data] == [True, "saved"]
    (site.directory / "resumed").touch()
    resumed = site.run_flow("flow.py", "resume").succeeded()
    assert resumed.stdout.count("Task taken over") == 3, "start, and the two that came to their end"
    assert present(site.flow("CleaningFlow").latest_run).id
