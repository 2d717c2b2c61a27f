"""What a run prints: lines as the founding document shows them, to the stream and with the status that users know."""

from __future__ import annotations

import re
from datetime import datetime
from typing import NamedTuple

import pytest

from support.interpreter import PYTHON
from support.present import present
from support.site import Finished, Shared, Site

LINE = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}) "
    r"(\[(?P<run>\w+)/(?P<step>\w+)/(?P<task>\w+) \(pid (?P<pid>\d+)\)\] ?)?"
    r"(?P<text>.*)"
)


class Line(NamedTuple):
    time: datetime
    step: str | None
    task: str | None
    pid: int | None
    text: str


def lines_of(finished: Finished) -> list[Line]:
    """Return what stdout says; every line has to have the form, and the run's id if it is a task's."""
    found = []
    for line in finished.stdout.splitlines():
        match = LINE.fullmatch(line)
        assert match, f"no such form: {line!r}"
        assert match["run"] in (None, finished.run_id), line
        time = datetime.strptime(match["time"], "%Y-%m-%d %H:%M:%S.%f")
        found.append(Line(time, match["step"], match["task"], int(match["pid"] or 0) or None, match["text"].strip()))
    return found


SPEAKING = """
    import os
    import sys
    import time
    from metaflow import FlowSpec, step

    class SpeakingFlow(FlowSpec):
        @step
        def start(self):
            self.pid = os.getpid()
            print("  one", flush=True)
            time.sleep(0.4)
            print("two", flush=True)
            print("", flush=True)
            sys.stderr.write("to stderr\\n")
            os.write(1, b"bad \\xff\\xfe bytes\\n")
            print("grüße ☃", flush=True)
            print("x" * 100_000, flush=True)
            print("unfinished", end="", flush=True)
            self.next(self.end)

        @step
        def end(self):
            for number in range(2000):
                print("line", number)

    if __name__ == "__main__":
        SpeakingFlow()
"""


def test_lines_of_a_run_that_succeeds(site: Site) -> None:
    begun = datetime.now()
    finished = site.run_flow(SPEAKING, "run").succeeded()
    ended = datetime.now()
    lines = lines_of(finished)
    assert all(begun.replace(microsecond=0) <= line.time <= ended for line in lines)
    assert str(finished.run_id) in lines[0].text
    assert lines[-1].task is None

    of_start = [line for line in lines if line.step == "start"]
    assert {line.task for line in of_start} == {"1"}
    assert {line.pid for line in of_start} == {finished.task("start").data.pid}
    texts = [line.text for line in of_start]
    spoken = ["one", "two", "", "bad \ufffd\ufffd bytes", "grüße ☃", "x" * 100_000, "unfinished"]
    assert [text for text in texts[1:-1] if text != "to stderr"] == spoken
    assert "to stderr" in texts
    assert texts[0] != "one", "the task is announced before it speaks"

    numbers = [line.text for line in lines if line.step == "end" and line.text.startswith("line")]
    assert numbers == [f"line {number}" for number in range(2000)]


def test_a_line_carries_the_moment_of_its_emission(shared: Shared, mode: str) -> None:
    finished = shared(SPEAKING, "run", mode=mode).succeeded()
    one, two = (
        next(present(at) for at, line in finished.task("start").loglines("stdout") if word in line)
        for word in ("one", "two")
    )
    assert 0.3 < (two - one).total_seconds() < 1.5


@pytest.mark.ours
def test_a_line_is_printed_when_it_is_emitted(shared: Shared, mode: str) -> None:
    finished = shared(SPEAKING, "run", mode=mode).succeeded()
    one, two = (next(line.time for line in lines_of(finished) if line.text == word) for word in ("one", "two"))
    assert 0.3 < (two - one).total_seconds() < 1.5


def test_stored_logs_keep_every_byte(shared: Shared, mode: str) -> None:
    finished = shared(SPEAKING, "run", mode=mode).succeeded()
    raw = [line for _, line in finished.task("start").loglines("stdout", as_unicode=False)]
    assert b"bad \xff\xfe bytes" in raw
    assert finished.task("end").stdout == "".join(f"line {number}\n" for number in range(2000))


@pytest.mark.ours
def test_the_client_reads_logs_that_are_not_text(shared: Shared, mode: str) -> None:
    finished = shared(SPEAKING, "run", mode=mode).succeeded()
    task = finished.task("start")
    assert task.stdout.startswith("  one\ntwo\n\n")
    assert "grüße ☃\n" + "x" * 100_000 + "\nunfinished" in task.stdout
    assert "bad \ufffd\ufffd bytes" in task.stdout
    assert task.stderr == "to stderr\n"


FAILING = """
    from metaflow import FlowSpec, step

    class FailingFlow(FlowSpec):
        @step
        def start(self):
            print("before")
            self.fail("on purpose")
            self.next(self.end)

        def fail(self, why):
            raise ValueError(why)

        @step
        def end(self):
            pass

    if __name__ == "__main__":
        FailingFlow()
"""


def test_lines_of_a_run_that_fails(shared: Shared, mode: str) -> None:
    finished = shared(FAILING, "run", mode=mode)
    assert finished.returncode == 1
    lines = lines_of(finished)
    texts = [line.text for line in lines if line.step == "start"]
    assert texts.index("before") < texts.index("Task failed.")
    assert texts[-1] == "Task failed."
    assert f'File "{finished.flow_file}", line 7, in start' in texts
    assert f'File "{finished.flow_file}", line 11, in fail' in texts
    assert 'self.fail("on purpose")' in texts
    assert "ValueError: on purpose" in texts
    assert "Workflow failed." in [line.text for line in lines if line.task is None]
    assert finished.stderr.rstrip("\n").endswith("    Step failure:\n    Step start (task-id 1) failed.")


@pytest.mark.ours
def test_a_users_error_comes_without_our_traceback(shared: Shared, mode: str) -> None:
    finished = shared(FAILING, "run", mode=mode)
    assert "metaflow/" not in finished.output
    assert "during handling" not in finished.output.lower()
    assert finished.stdout.count("Traceback") == 1


def test_siblings_of_a_failed_task_do_not_start_new_steps(one_site: Site) -> None:
    source = """
        import pathlib
        import time
        from metaflow import FlowSpec, step

        class SiblingsFlow(FlowSpec):
            @step
            def start(self):
                self.next(self.bad, self.good)

            @step
            def bad(self):
                deadline = time.monotonic() + 20
                while not pathlib.Path("good_is_running").exists() and time.monotonic() < deadline:
                    time.sleep(0.01)
                raise ValueError("bad")
                self.next(self.join)

            @step
            def good(self):
                pathlib.Path("good_is_running").touch()
                time.sleep(60)
                self.next(self.after)

            @step
            def after(self):
                self.next(self.join)

            @step
            def join(self, inputs):
                self.next(self.end)

            @step
            def end(self):
                pass

        if __name__ == "__main__":
            SiblingsFlow()
    """
    finished = one_site.run_flow(source, "run", within=30).failed()
    assert "Step bad" in finished.stderr
    run = finished.run
    assert "after" not in run
    assert not present(run["good"].task).successful


BIG_SUM = """
    from metaflow import FlowSpec, step, resources

    class BigSum(FlowSpec):

        @resources(memory=60000, cpu=1)
        @step
        def start(self):
            import numpy
            import time
            big_matrix = numpy.random.ranf((SIZE, SIZE))
            t = time.time()
            self.sum = numpy.sum(big_matrix)
            self.took = time.time() - t
            self.next(self.end)

        @step
        def end(self):
            print("The sum is %f." % self.sum)
            print("Computing it took %dms." % (self.took * 1000))

    if __name__ == '__main__':
        BigSum()
"""


def test_the_program_of_the_founding_document_fails_as_it_says(one_site: Site) -> None:
    finished = one_site.run_flow(BIG_SUM.replace("SIZE", "8_000_000"), "run")
    assert finished.returncode == 1
    texts = [line.text for line in lines_of(finished) if line.step == "start"]
    assert f'File "{finished.flow_file}", line 10, in start' in texts
    assert "big_matrix = numpy.random.ranf((8_000_000, 8_000_000))" in texts
    assert any("MemoryError" in text for text in texts)
    assert texts[-1] == "Task failed."
    assert "Workflow failed." in finished.stdout
    assert finished.stderr.rstrip("\n").endswith("    Step failure:\n    Step start (task-id 1) failed.")


def test_the_program_of_the_founding_document_succeeds_on_a_smaller_matrix(one_site: Site) -> None:
    finished = one_site.run_flow(BIG_SUM.replace("SIZE", "500"), "run", "--with", "resources:cpu=1").succeeded()
    texts = [line.text for line in lines_of(finished) if line.step == "end"]
    (total,) = [float(text[len("The sum is ") : -1]) for text in texts if text.startswith("The sum is ")]
    assert 120_000 < total < 130_000
    assert any(re.fullmatch(r"Computing it took \d+ms\.", text) for text in texts)


@pytest.mark.ours
@pytest.mark.parametrize(("mode", "flow"), [("fork", "mixed.py"), ("exec", "talking.py")])
def test_nothing_warns_though_warnings_are_errors(site: Site, flow: str) -> None:
    finished = site.run_flow(flow, "run", env={"PYTHONWARNINGS": "error", "PYTHONDEVMODE": "1"}).succeeded()
    assert "Warning" not in finished.output
    assert "Exception ignored" not in finished.output


@pytest.mark.ours
def test_on_a_terminal_a_wide_run_is_told_in_short(one_site: Site) -> None:
    terminal = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"
    source = """
        from metaflow import FlowSpec, step

        class WideFlow(FlowSpec):
            @step
            def start(self):
                self.items = range(60)
                self.next(self.work, foreach="items")

            @step
            def work(self):
                self.next(self.join)

            @step
            def join(self, inputs):
                self.next(self.end)

            @step
            def end(self):
                print("said by the last")

        if __name__ == "__main__":
            WideFlow()
    """
    command = [PYTHON, "-c", terminal, PYTHON]
    finished = one_site.run_flow(source, "run", command=command, env={"TERM": "xterm", "COLUMNS": "120"}).succeeded()
    assert "said by the last" in finished.stdout
    assert "work" in finished.stdout
    assert "Traceback" not in finished.stdout
    assert finished.run.successful


@pytest.mark.ours
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
def test_a_run_goes_on_without_one_of_the_standard_streams_of_its_engine(one_site: Site, closed: str) -> None:
    check_without(one_site, closed)


@pytest.mark.ours
def test_a_run_goes_on_without_the_standard_streams_of_its_engine(site: Site) -> None:
    check_without(site, "<&- >&- 2>&-")


def check_without(site: Site, closed: str) -> None:
    """As under a service manager or a careless shell script."""
    finished = site.run_flow(
        "talking.py", "run", command=["sh", "-c", f'exec {PYTHON} "$@" {closed}', "sh"]
    ).succeeded()
    assert finished.task("start").stdout == "hello from start\n"
    assert finished.task("start").stderr == "a complaint\n"
    assert "Traceback" not in finished.output
