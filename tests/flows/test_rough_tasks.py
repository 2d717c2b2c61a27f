"""Tasks that behave badly: the run ends, says what happened, keeps the log so far, and leaves no process behind.

(That nothing is left is checked for each test by the `site` fixture.)
"""

from __future__ import annotations

import stat

import pytest

from support.present import present
from support.site import Site
from support.soundness import assert_sound

FAILURES = {
    "exit_zero": ("sys.exit(0)",),
    "exit_three": ("3",),
    "exit_text": ("words of farewell",),
    "vanish": ("did not finish",),
    "vanish_five": ("5",),
    "segfault": ("segmentation fault",),
    "abort": ("SIGABRT",),
    "kill": ("SIGKILL",),
    "terminate": ("SIGTERM",),
    "interrupt": ("KeyboardInterrupt",),
    "recurse": ("RecursionError",),
}


@pytest.mark.ours
@pytest.mark.parametrize("what", FAILURES)
def test_a_task_that_ends_before_its_step_does(one_site: Site, what: str) -> None:
    check_failed(one_site, what)


@pytest.mark.ours
@pytest.mark.parametrize("what", ["exit_text", "vanish", "segfault", "interrupt"])
def test_a_task_that_ends_early_in_both_ways_to_make_one(site: Site, what: str) -> None:
    check_failed(site, what)


def check_failed(site: Site, what: str) -> None:
    finished = site.run_flow("rough.py", "run", "--what", what, within=30).failed()
    assert finished.returncode == 1
    for word in FAILURES[what]:
        assert word in finished.output, finished.output
    assert "Task failed." in finished.stdout
    assert "Workflow failed." in finished.stdout
    assert "    Step start (task-id 1) failed." in finished.stderr
    assert "src/metaflow" not in finished.output
    run = finished.run
    assert "before" in present(run["start"].task).stdout
    assert (run.successful, present(run["start"].task).successful) == (False, False)
    assert "end" not in run
    assert_sound(finished.root)


NO_HARM = [
    "binary",
    "carriage_returns",
    "change_directory",
    "close_descriptors",
    "close_everything",
    "close_stdout",
    "daemon_thread",
    "daemonised_grandchild",
    "environment",
    "forked_and_done",
    "grandchild",
    "new_group",
    "pool",
    "read_stdin",
    "replace_stdout",
    "resource_limit",
    "run_command",
    "run_event_loop",
    "signals",
    "spawned_pool",
    "stubborn_grandchild",
    "thread",
    "twice_forked",
    "umask",
    "vanished_directory",
    "write_to_descriptor_three",
]


@pytest.mark.ours
def test_tasks_that_end_well_whatever_they_do(site: Site) -> None:
    """All in one run: each in a task of its own, and a task after each of them."""
    site.place("rough.py")
    finished = site.run_flow("rough_together.py", "run", "--whats", ",".join(NO_HARM), within=60).succeeded()
    assert finished.run.successful
    assert "Traceback" not in finished.stderr
    assert finished.values("join")["found"] == dict.fromkeys(NO_HARM, (True, 18))
    said = {task["name"].data: task.stdout for task in finished.run["work"]}
    assert [what for what in NO_HARM if not said[what].startswith("before\n")] == []
    assert said["run_command"] == "before\nfrom the shell\n", "what a task has started writes into its log"
    assert said["thread"] == "before\nsaid by the thread\n", "a thread that is no daemon is waited for"
    assert {task.stdout for task in finished.run["after"]} == {"after\n"}
    closed = [path for path in finished.root.rglob("*") if not path.stat().st_mode & stat.S_IRUSR]
    assert closed == [], "files can be read whatever umask a task has set"
    assert_sound(finished.root)


@pytest.mark.ours
@pytest.mark.parametrize("what", ["long_line", "many_lines"])
def test_output_beyond_all_measure_is_cut(one_site: Site, what: str) -> None:
    """100 MB in one line, and 12 MB in many: the run goes on, the log keeps what it may and says that it was cut."""
    finished = one_site.run_flow("rough.py", "run", "--what", what, "--max-log-size", "2", within=60).succeeded()
    task = finished.task("start")
    assert 1_000_000 < len(task.stdout) < 3_000_000
    assert task.stdout.startswith("before\n")
    assert "--max-log-size" in task.stdout
    assert len(finished.stdout) > 12_000_000, "the console shows all"


def test_the_end_of_a_long_log_is_kept_and_a_long_line_is_one(one_site: Site) -> None:
    source = """
        import sys
        from metaflow import FlowSpec, step

        class TalkingFlow(FlowSpec):
            @step
            def start(self):
                print("x" * 1_100_000)
                for number in range(400):
                    print(number, "y" * 10_000, file=sys.stderr)
                raise ValueError("the last word")
                self.next(self.end)

            @step
            def end(self):
                pass

        if __name__ == "__main__":
            TalkingFlow()
    """
    finished = one_site.run_flow(source, "run", "--max-log-size", "2").failed()
    task = finished.task("start")
    assert task.stdout == "x" * 1_100_000 + "\n"
    assert task.stderr.startswith("0 yyy")
    assert task.stderr.endswith("ValueError: the last word\n")
    assert "ValueError: the last word" in finished.stdout
    assert "399 yyy" in finished.stdout


def test_a_raised_exception_keeps_what_was_printed_before_it(site: Site) -> None:
    """Also what was not flushed yet."""
    source = """
        import sys
        from metaflow import FlowSpec, step

        class RaisingFlow(FlowSpec):
            @step
            def start(self):
                print("to stdout", end="")
                print("to stderr", file=sys.stderr)
                raise KeyError("☃")
                self.next(self.end)

            @step
            def end(self):
                pass

        if __name__ == "__main__":
            RaisingFlow()
    """
    task = site.run_flow(source, "run").failed().task("start")
    assert task.stdout.startswith("to stdout")
    assert "to stderr\n" in task.stderr
    assert task.exception.type == "builtins.KeyError"
    assert task.exception.exception == "'☃'"


def test_an_exception_that_cannot_be_pickled_or_printed(one_site: Site) -> None:
    source = """
        from metaflow import FlowSpec, step

        class Awkward(Exception):
            def __init__(self, one, two):
                self.function = lambda: (one, two)

            def __str__(self):
                return "awkward \\udc80 text"

        class AwkwardFlow(FlowSpec):
            @step
            def start(self):
                raise Awkward(1, 2)
                self.next(self.end)

            @step
            def end(self):
                pass

        if __name__ == "__main__":
            AwkwardFlow()
    """
    finished = one_site.run_flow(source, "run").failed()
    assert "Awkward" in finished.stdout
    assert "Step start" in finished.stderr
    exception = finished.task("start").exception
    assert exception.type.endswith("Awkward")


def test_a_service_that_a_step_starts_is_used_by_the_next(site: Site) -> None:
    """What has left the task's session has done so on purpose; anything else ends with the task. Both are named."""
    source = """
        import os
        import socket
        import subprocess
        import sys
        import time
        from metaflow import FlowSpec, step

        SERVICE = "\\n".join([
            "import os, socket",
            "listener = socket.socket(socket.AF_UNIX)",
            "listener.bind('making')",
            "listener.listen()",
            "os.rename('making', 'service')",
            "while True:",
            "    with listener.accept()[0] as connection:",
            "        print('x' * 100_000, flush=True)",
            "        connection.sendall(b'served')",
        ])

        def ask():
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect("service")
                return connection.recv(100)

        class ServiceFlow(FlowSpec):
            @step
            def start(self):
                subprocess.Popen([sys.executable, "-c", SERVICE], start_new_session=True)
                subprocess.Popen(["sleep", "300"])
                while not os.path.exists("service"):
                    time.sleep(0.01)
                self.next(self.end)

            @step
            def end(self):
                self.answers = [ask() for _ in range(4)]

        if __name__ == "__main__":
            ServiceFlow()
    """
    finished = site.run_flow(source, "run", within=30).succeeded()
    assert finished.data.answers == [b"served"] * 4
    assert "Ended what the step had left running: sleep 300 (pid " in finished.task("start").stderr
    assert "Ended what the step had left running: sleep 300 (pid " in finished.stdout
    last = finished.stdout.splitlines()[-1]
    assert "Ended with the run: the step 'start' had left " in last
    assert last.endswith(" running in a session of its own.")
