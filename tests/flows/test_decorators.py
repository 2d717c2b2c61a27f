"""`@retry`, `@catch`, `@timeout`, `@environment` and `@exit_hook`, each by itself and together.

What they do in each shape of flow is in `test_failures`; here are their edges, and what a person gets wrong.
"""

from __future__ import annotations

import itertools
import re
import textwrap
from typing import Any

import pytest

from support.interpreter import has
from support.present import present
from support.processes import eventually
from support.site import Finished, Site

HEAD = """
import functools, os, signal, subprocess, sys, time
from metaflow import FlowSpec, Parameter, catch, current, environment, exit_hook, retry, step, timeout

"""

END = """
    @step
    def end(self):
        pass

if __name__ == "__main__":
    OneFlow()
"""


def one(body: str, *decorators: str, before: str = "", after: str = "self.next(self.end)") -> str:
    """Return a flow whose first step has these decorators and this body."""
    lines = ["class OneFlow(FlowSpec):", *(f"    {decorator}" for decorator in decorators), "    @step"]
    lines += ["    def start(self):", textwrap.indent(textwrap.dedent(body).strip("\n"), " " * 8)]
    return HEAD + textwrap.dedent(before) + "\n".join([*lines, f"        {after}", ""]) + END


def failure_of(finished: Finished, name: str = "failure") -> Any:
    return finished.task("start")[name].data


# --- @retry ----------------------------------------------------------------------------------------------------------

COUNTED = "print('attempt', current.retry_count)\nif current.retry_count < 2:\n    raise ValueError('early')"


def test_retry_until_it_passes(one_site: Site) -> None:
    task = one_site.run_flow(one(COUNTED, "@retry"), "run").succeeded().task("start")
    assert task.current_attempt == 2
    assert task.stdout == "attempt 2\n"


def test_retry_only_after_some_classes_of_failure(one_site: Site) -> None:
    killed = "if current.retry_count == 0:\n    os.kill(os.getpid(), signal.SIGKILL)\nraise ValueError('bad')"
    finished = one_site.run_flow(one(killed, "@retry(times=5, only=['killed'])"), "run").failed()
    task = finished.task("start")
    assert task.current_attempt == 1
    assert present(task.failure).kind == "user code"
    assert "ValueError: bad" in finished.stderr


@pytest.mark.parametrize("body", ["raise ValueError('bad')", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_catch_after_a_failure_that_retry_does_not_take(one_site: Site, body: str) -> None:
    decorators = ("@retry(times=5, only='memory')", "@catch(var='failure')")
    finished = one_site.run_flow(one(f"self.before = 1\n{body}", *decorators), "run").succeeded()
    task = finished.task("start")
    raised = "ValueError" in body
    assert task.current_attempt == (0 if raised else 1)
    assert failure_of(finished).type == ("builtins.ValueError" if raised else "metaflow.exception.TaskKilled")
    assert ("before" in task) == raised


def test_retry_with_a_backoff_waits(one_site: Site) -> None:
    decorator = "@retry(times=2, minutes_between_retries=0.005, backoff=2, max_minutes=0.008)"
    finished = one_site.run_flow(one(COUNTED, decorator), "run").succeeded()
    task = finished.task("start")
    began = [fact.created_at for fact in task.metadata if fact.name == "attempt"]
    pauses = [later - earlier for earlier, later in itertools.pairwise(sorted(began))]
    assert pauses[0] >= 300
    assert pauses[1] >= 480
    assert finished.stdout.count("will be tried again in") == 2
    waited = [fact.value for fact in task.metadata if fact.name == "minutes_between_retries"]
    assert sorted(waited) == ["0.005", "0.008"]


def test_the_ceiling_of_attempts_is_a_setting(one_site: Site) -> None:
    source = one(COUNTED, "@retry(times=3)")
    refused = one_site.run_flow(source, "run", env={"METAFLOW_MAX_ATTEMPTS": "3"}).failed()
    assert "asks for 4 attempts of the step 'start'" in refused.stderr
    assert "METAFLOW_MAX_ATTEMPTS=4" in refused.stderr
    assert not list(one_site.root.glob("OneFlow/*"))
    one_site.run_flow(source, "run", env={"METAFLOW_MAX_ATTEMPTS": "4"}).succeeded()
    refused = one_site.run_flow(source, "run", env={"METAFLOW_MAX_ATTEMPTS": "many"}).failed()
    assert "METAFLOW_MAX_ATTEMPTS in the environment is 'many'" in refused.stderr


def test_with_retry_goes_to_all_steps_but_those_that_have_one(one_site: Site) -> None:
    words = ("run", "--with", "retry:times=2,minutes_between_retries=0")
    assert one_site.run_flow(one(COUNTED), *words).succeeded().task("start").current_attempt == 2
    finished = one_site.run_flow(one(COUNTED, "@retry(times=0)"), *words).failed()
    assert finished.task("start").current_attempt == 0
    finished = one_site.run_flow(one(COUNTED, "@retry(times=1)"), *words).failed()
    assert finished.task("start").current_attempt == 1


def test_waiting_is_for_trouble_elsewhere(one_site: Site) -> None:
    """The tests would take minutes else."""
    one_site.run_flow(one(COUNTED, "@retry(times=2, minutes_between_retries=60)"), "run", within=20).succeeded()


@pytest.mark.ours
def test_more_retries_than_four(one_site: Site) -> None:
    source = one("if current.retry_count < 6:\n    os._exit(1)", "@retry(times=6)")
    assert one_site.run_flow(source, "run").succeeded().task("start").current_attempt == 6


# --- @catch ----------------------------------------------------------------------------------------------------------


def test_catch_without_a_failure(one_site: Site) -> None:
    finished = one_site.run_flow(one("self.x = 1", "@catch(var='failure')"), "run").succeeded()
    task = finished.task("start")
    assert task.successful
    assert task["failure"].data is None
    assert task["x"].data == 1


@pytest.mark.parametrize("decorator", ["@catch", "@catch()", "@catch(print_exception=True)"])
def test_catch_without_a_name(one_site: Site, decorator: str) -> None:
    finished = one_site.run_flow(one("self.x = 1\nraise ValueError('bad')", decorator), "run").succeeded()
    task = finished.task("start")
    assert not task.successful
    assert "ValueError: bad" in task.stdout + task.stderr
    assert {artifact.id for artifact in task} == {"name", "x"}


def test_catch_that_is_quiet(one_site: Site) -> None:
    source = one("raise ValueError('bad')", "@catch(var='failure', print_exception=False)")
    finished = one_site.run_flow(source, "run").succeeded()
    assert "ValueError" not in finished.output
    assert failure_of(finished).type == "builtins.ValueError"
    assert failure_of(finished).exception == "bad"
    assert "flow.py" in failure_of(finished).stacktrace


@pytest.mark.parametrize("order", [1, -1])
def test_catch_comes_after_all_retries_in_either_order(one_site: Site, order: int) -> None:
    decorators = ["@catch(var='failure')", "@retry(times=1)", "@timeout(seconds=30)"][::order]
    body = "print('attempt', current.retry_count)\nraise ValueError(current.retry_count)"
    finished = one_site.run_flow(one(body, *decorators), "run").succeeded()
    assert finished.task("start").current_attempt == 1
    assert failure_of(finished).exception == "1"


def test_catch_keeps_what_can_be_pickled(one_site: Site) -> None:
    body = """
        self.kept = [1]
        self.lambda_ = lambda: 0
        self.also_kept = {"a": b"b"}
        self.generator = (x for x in ())
        raise ValueError("bad")
    """
    task = one_site.run_flow(one(body, "@catch(var='failure')"), "run").succeeded().task("start")
    assert {artifact.id for artifact in task} == {"kept", "also_kept", "failure", "name"}
    assert task["also_kept"].data == {"a": b"b"}


@pytest.mark.ours
def test_artifacts_that_cannot_be_saved_are_caught_too(one_site: Site) -> None:
    """In the same attempt, as if the step had raised it; what can be saved is."""
    body = """
        self.kept = 1
        self.f = (n for n in ())
        self.also_kept = 2
    """
    finished = one_site.run_flow(one(body, "@catch(var='failure')"), "run").succeeded()
    task = finished.task("start")
    assert {artifact.id for artifact in task} == {"kept", "also_kept", "failure", "name"}
    assert (task.successful, task.current_attempt) == (False, 0)
    for error in (task.exception, failure_of(finished)):
        assert error.type.endswith("UnpicklableArtifact")
        assert "self.f" in error.exception
    line = finished.flow_file.read_text().splitlines().index("        self.f = (n for n in ())") + 1
    assert f"flow.py:{line}" in finished.stdout


@pytest.mark.ours
def test_an_artifact_that_cannot_be_saved_is_named_with_its_line(one_site: Site) -> None:
    finished = one_site.run_flow(one("self.f = None\nself.f = (n for n in ())", "@retry(times=1)"), "run").failed()
    line = finished.flow_file.read_text().splitlines().index("        self.f = (n for n in ())") + 1
    assert f"flow.py:{line}" in finished.stderr
    assert finished.task("start").current_attempt == 1


@pytest.mark.ours
@pytest.mark.parametrize(
    ("body", "type_name"),
    [
        ("sys.exit(3)", "builtins.SystemExit"),
        ("class Odd(BaseException):\n    pass\nraise Odd('odd')", "Odd"),
        ("import asyncio\nraise asyncio.CancelledError", "CancelledError"),
    ],
)
def test_catch_also_catches_what_is_no_exception_by_name(one_site: Site, body: str, type_name: str) -> None:
    finished = one_site.run_flow(one(body, "@catch(var='failure')"), "run").succeeded()
    assert failure_of(finished).type.endswith(type_name)
    assert finished.task("start").current_attempt == 0


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), signal.SIGKILL)", "os._exit(0)", "os._exit(7)"])
def test_catch_after_a_death_without_words(site: Site, end: str) -> None:
    finished = site.run_flow(one(f"self.x = 1\n{end}", "@catch(var='failure')"), "run").succeeded()
    task = finished.task("start")
    assert task.current_attempt == 1
    assert "x" not in task
    assert failure_of(finished).exception
    assert finished.run.successful


def test_catch_in_a_join_and_merge_after_it(one_site: Site) -> None:
    source = (
        HEAD
        + textwrap.dedent(
            """
        class OneFlow(FlowSpec):
            @step
            def start(self):
                self.common = "common"
                self.next(self.a, self.b)

            @catch(var="failure")
            @step
            def a(self):
                self.from_a = 1
                raise ValueError("a")
                self.next(self.join)

            @step
            def b(self):
                self.failure = None
                self.from_b = 2
                self.next(self.join)

            @catch(var="join_failure")
            @step
            def join(self, inputs):
                assert inputs.a.failure.exception == "a"
                self.merge_artifacts(inputs, exclude=["failure"])
                self.merged = self.common, self.from_a, self.from_b
                raise KeyError("join")
                self.next(self.end)

            @step
            def end(self):
                self.seen = self.merged, self.join_failure.type
        """
        )
        + 'if __name__ == "__main__":\n    OneFlow()\n'
    )
    finished = one_site.run_flow(source, "run").succeeded()
    assert finished.values("end")["seen"] == (("common", 1, 2), "builtins.KeyError")


def test_catch_in_the_last_step(one_site: Site) -> None:
    source = HEAD + textwrap.dedent(
        """
        class OneFlow(FlowSpec):
            @step
            def start(self):
                self.next(self.end)

            @catch(var="failure")
            @step
            def end(self):
                os._exit(1)

        if __name__ == "__main__":
            OneFlow()
        """
    )
    finished = one_site.run_flow(source, "run").succeeded()
    assert finished.run.successful == finished.task("end").successful
    assert finished.data.failure is not None


def test_a_failure_after_self_next_goes_on_once(one_site: Site) -> None:
    before = """
        def late(step):
            @functools.wraps(step)
            def start(self):
                step(self)
                raise ValueError("late")
            return start

    """
    source = one("pass", "@catch(var='failure')", before=before)
    source = source.replace("@step\n    def start", "@step\n    @late\n    def start")
    assert failure_of(one_site.run_flow(source, "run").succeeded()).exception == "late"


def test_a_join_behind_a_function_that_takes_anything(one_site: Site) -> None:
    source = HEAD + textwrap.dedent(
        """
        def passed_on(step):
            @functools.wraps(step)
            def any(*arguments):
                return step(*arguments)
            return any

        class Passing(FlowSpec):
            @step
            def start(self):
                self.next(self.left, self.right)

            @step
            def left(self):
                self.next(self.join)

            @step
            def right(self):
                self.next(self.join)

            @passed_on
            @step
            def join(self, inputs):
                self.count = len(list(inputs))
                self.next(self.end)

            @step
            def end(self):
                pass

        if __name__ == "__main__":
            Passing()
        """
    )
    assert one_site.run_flow(source, "run").succeeded().data.count == 2


@pytest.mark.parametrize(
    ("body", "after", "kind"),
    [
        ("self.items = [1]", "self.next(self.work, foreach='items')", "foreach"),
        ("self.c = 'a'", "self.next({'a': self.work, 'b': self.end}, condition='c')", "switch"),
    ],
)
@pytest.mark.ours
def test_catch_where_nobody_could_go_on(one_site: Site, body: str, after: str, kind: str) -> None:
    source = one(body, "@retry", "@catch(var='failure')", after=after)
    extra = "    @step\n    def work(self{}):\n        self.next(self.{})\n"
    steps = extra.format("", "join" if kind == "foreach" else "end")
    if kind == "foreach":
        steps += "    @step\n    def join(self, inputs):\n        self.next(self.end)\n"
    finished = one_site.run_flow(source.replace(END, "\n" + steps + END), "run").failed()
    told(finished, kind, "flow.py:6", "@catch", "'start'")
    assert finished.run_id is None
    finished = one_site.run_flow(
        source.replace(END, "\n" + steps + END).replace("    @catch(var='failure')\n", ""), "run", "--with", "catch"
    ).failed()
    told(finished, kind, "@catch", "'start'")


# --- @timeout --------------------------------------------------------------------------------------------------------

STUCK = {
    "sleep": "time.sleep(60)",
    "loop": "while True:\n    pass",
    "child": "subprocess.run(['sleep', '60'])",
    "lock": "import threading\nthreading.Event().wait()",
    "thread": "import threading\nt = threading.Thread(target=time.sleep, args=(60,), daemon=True)\nt.start(); t.join()",
    "swallowed": "try:\n    time.sleep(60)\nexcept Exception:\n    pass",
    "turned": "try:\n    time.sleep(60)\nexcept Exception as error:\n    raise ValueError('bad') from error",
}


def test_timeout_interrupts(site: Site) -> None:
    """Each in a task of its own, and all at the same time."""
    source = (
        HEAD
        + f"STUCK = {STUCK!r}\n"
        + textwrap.dedent(
            """
        class OneFlow(FlowSpec):
            @step
            def start(self):
                self.names = list(STUCK)
                self.next(self.work, foreach="names")

            @catch(var="failure", print_exception=False)
            @timeout(seconds=0.5)
            @step
            def work(self):
                self.began = time.monotonic()
                exec(STUCK[self.input])
                self.next(self.join)

            @step
            def join(self, inputs):
                self.failures = {one.input: one.failure.type for one in inputs}
                self.texts = [str(one.failure) for one in inputs]
                self.next(self.end)
        """
        )
        + END
    )
    values = site.run_flow(source, "run", within=30).succeeded().values("join")
    assert set(values["failures"]) == set(STUCK)
    assert {name.rpartition(".")[2] for name in values["failures"].values()} == {"TimeoutException"}
    assert all("flow.py" in text for text in values["texts"])


DEAF = {
    "catches all": "while True:\n    try:\n        time.sleep(60)\n    except Exception:\n        pass",
    "masked": "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])\ntime.sleep(60)",
    "in a library": "import collections, itertools\ncollections.deque(itertools.repeat(0), maxlen=0)",
    "deaf": "signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))\ntime.sleep(60)",
}


@pytest.mark.ours
def test_timeout_ends_by_force_what_does_not_notice(one_site: Site) -> None:
    """Again all at the same time; the first attempt is ended, the second passes."""
    source = (
        HEAD
        + f"STUCK = {DEAF!r}\n"
        + textwrap.dedent(
            """
        class OneFlow(FlowSpec):
            @step
            def start(self):
                self.names = list(STUCK)
                self.next(self.work, foreach="names")

            @timeout(seconds=0.5)
            @step
            def work(self):
                self.before = 1
                print("begun", flush=True)
                if current.retry_count == 0:
                    exec(STUCK[self.input])
                self.next(self.join)

            @step
            def join(self, inputs):
                self.next(self.end)
        """
        )
        + END
    )
    finished = one_site.run_flow(source, "run", "--with", "retry:times=1", within=30).succeeded()
    from metaflow import Task

    for task in finished.run["work"]:
        first = Task(task.pathspec, attempt=0)
        assert present(first.failure).kind == "timeout"
        assert task.current_attempt == 1
        assert first.stdout == "begun\n"
        assert "@timeout" in first.stderr
        assert "did not react" in first.stderr
        assert "terminated (SIGTERM)" not in first.stderr


def test_timeout_that_is_not_reached(one_site: Site) -> None:
    body = "assert signal.getitimer(signal.ITIMER_REAL)[0] > 3000\nself.x = 1"
    source = one(body, "@timeout(hours=1, minutes=1, seconds=1)")
    assert one_site.run_flow(source, "run").succeeded().values("start")["x"] == 1


@pytest.mark.ours
def test_the_units_of_a_timeout_add_up(one_site: Site) -> None:
    body = "self.left = signal.getitimer(signal.ITIMER_REAL)[0]"
    left = one_site.run_flow(one(body, "@timeout(hours=1, minutes=1.5, seconds='30')"), "run").values("start")["left"]
    assert 3600 + 90 + 20 < left <= 3600 + 90 + 30


@pytest.mark.ours
def test_with_timeout(one_site: Site) -> None:
    finished = one_site.run_flow(one("time.sleep(60)"), "run", "--with", "timeout:seconds=0.5").failed()
    assert "Timed out" in finished.output
    assert "0.5 s" in finished.output
    assert re.search(r'flow\.py", line \d+', finished.output)
    assert "time.sleep(60)" in finished.output
    assert "Traceback" not in finished.output


@pytest.mark.ours
def test_what_is_saved_after_the_step_is_not_limited(one_site: Site) -> None:
    """The limit is one for the step's code: slow artifacts and slow imports have their time."""
    body = """
        class Slow:
            def __reduce__(self):
                signal.pthread_sigmask(signal.SIG_BLOCK, [])
                time.sleep(0.8)
                return (int, ())
        self.slow = Slow()
    """
    assert one_site.run_flow(one(body, "@timeout(seconds=0.5)"), "run").succeeded().values("start")["slow"] == 0


# --- @environment ----------------------------------------------------------------------------------------------------


def test_environment_is_there_before_the_imports_and_in_children(site: Site) -> None:
    source = """
        import os
        SEEN = os.environ.get("A_VARIABLE")
        import subprocess
        from metaflow import FlowSpec, environment, step

        class OneFlow(FlowSpec):
            @environment(vars={"A_VARIABLE": "ä = 'b'", "NUMBER": 3, "EMPTY": ""})
            @step
            def start(self):
                self.seen = SEEN, os.environ["A_VARIABLE"], os.environ["NUMBER"], os.environ["EMPTY"]
                self.child = subprocess.run(["printenv", "A_VARIABLE"], capture_output=True, text=True).stdout
                self.next(self.end)

            @step
            def end(self):
                self.leaked = [name for name in ("A_VARIABLE", "NUMBER", "EMPTY") if name in os.environ]

        if __name__ == "__main__":
            OneFlow()
    """
    finished = site.run_flow(source, "run").succeeded()
    assert finished.values("start")["seen"] == ("ä = 'b'", "ä = 'b'", "3", "")
    assert finished.values("start")["child"] == "ä = 'b'\n"
    assert finished.values("end")["leaked"] == []


@pytest.mark.skipif(not has("numpy"), reason="needs numpy")
def test_environment_is_there_before_a_library_that_reads_it_once(site: Site) -> None:
    """How many threads a linear algebra library makes is settled when it is loaded."""
    source = """
        import os
        import numpy
        from metaflow import FlowSpec, environment, step

        def threads():
            numpy.ones((300, 300)) @ numpy.ones((300, 300))
            return len(os.listdir("/proc/self/task"))

        class OneFlow(FlowSpec):
            @environment(vars={"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"})
            @step
            def start(self):
                self.threads = threads()
                self.next(self.end)

            @environment(vars={"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"})
            @step
            def end(self):
                self.threads = threads()

        if __name__ == "__main__":
            OneFlow()
    """
    finished = site.run_flow(source, "run").succeeded()
    assert finished.values("start")["threads"] == 1
    if len(__import__("os").sched_getaffinity(0)) > 1:
        assert finished.values("end")["threads"] == 2


@pytest.mark.ours
def test_with_environment(one_site: Site) -> None:
    source = one("self.seen = os.environ.get('GIVEN')")
    spec = 'environment:vars={"GIVEN": "a,b=c"}'
    assert one_site.run_flow(source, "run", "--with", spec).succeeded().values("start")["seen"] == "a,b=c"


# --- @exit_hook ------------------------------------------------------------------------------------------------------

HOOKS = """
def said(text):
    print("HOOK", text, flush=True)

def good(run):
    said(f"good {run.pathspec} {run.successful} {run.finished}")

def bad(run):
    said(f"bad {run.pathspec} {run.successful} {run['start'].task.exception.type}")

def plain():
    said("plain")

def raising():
    said("raising")
    raise ValueError("the hook is broken")

def leaving():
    said("leaving")
    sys.exit(0)

def last():
    said("last")

class Called:
    def __call__(self, run):
        said(f"called {run.pathspec}")

    def method(self):
        said("method")

"""


def hooked(hooks: str, body: str = "pass") -> str:
    return one(body, before=HOOKS).replace("class OneFlow", f"@exit_hook({hooks})\nclass OneFlow")


def said(finished: Finished) -> list[str]:
    return re.findall(r"^HOOK (.*)$", finished.output, re.MULTILINE)


BOTH = "on_success=[good, plain], on_error=[bad, plain]"


def test_exit_hooks_on_success(one_site: Site) -> None:
    finished = one_site.run_flow(hooked(BOTH), "run").succeeded()
    assert said(finished) == [f"good OneFlow/{finished.run_id} True True", "plain"]


def test_exit_hooks_on_error(one_site: Site) -> None:
    finished = one_site.run_flow(hooked(BOTH, "raise ValueError('bad')"), "run").failed()
    assert said(finished) == [f"bad OneFlow/{finished.run_id} False builtins.ValueError", "plain"]
    assert "Workflow failed." in finished.stdout


@pytest.mark.ours
def test_exit_hooks_on_interrupt(one_site: Site) -> None:
    source = hooked("on_error=[plain]", "open('begun', 'w').close()\ntime.sleep(300)")
    running = one_site.start_flow(source, "run")
    eventually((one_site.directory / "begun").exists, "the step runs")
    running.interrupt(group=True)
    finished = running.wait(within=10)
    assert finished.returncode == 130
    assert said(finished) == ["plain"]


@pytest.mark.ours
@pytest.mark.parametrize(("body", "status"), [("pass", 0), ("raise ValueError('bad')", 1)])
def test_a_broken_exit_hook_changes_nothing(one_site: Site, body: str, status: int) -> None:
    finished = one_site.run_flow(
        hooked("on_success=[raising, leaving, last], on_error=[raising, leaving, last]", body), "run"
    )
    assert finished.returncode == status
    assert said(finished) == ["raising", "leaving", "last"]
    assert "ValueError: the hook is broken" in finished.output
    assert "raising" in finished.output
    assert "exit_hook.py" not in finished.output


@pytest.mark.ours
def test_what_can_be_an_exit_hook(one_site: Site) -> None:
    hooks = "on_success=[Called(), Called().method, functools.partial(said, 'partial'), lambda: said('lambda')]"
    finished = one_site.run_flow(hooked(hooks), "run").succeeded()
    assert said(finished) == [f"called OneFlow/{finished.run_id}", "method", "partial", "lambda"]


@pytest.mark.ours
def test_exit_hooks_are_inherited(one_site: Site) -> None:
    source = hooked("on_success=[plain]").replace(
        'if __name__ == "__main__":\n    OneFlow()',
        "@exit_hook(on_success=[last])\nclass SecondFlow(OneFlow):\n    pass\n\nSecondFlow()",
    )
    assert said(one_site.run_flow(source, "run").succeeded()) == ["plain", "last"]


def test_exit_hooks_of_two_bases(one_site: Site) -> None:
    source = (
        HEAD
        + textwrap.dedent("""
        def one(): print("hook one")
        def other(): print("hook other")

        @exit_hook(on_success=[one])
        class One(FlowSpec):
            pass

        @exit_hook(on_success=[other])
        class Other(FlowSpec):
            pass

        class OneFlow(One, Other):
            @step
            def start(self):
                self.next(self.end)
        """)
        + END
    )
    output = one_site.run_flow(source, "run").succeeded().output
    assert output.count("hook one") == output.count("hook other") == 1


def test_exit_hooks_run_once_and_not_for_other_commands(one_site: Site) -> None:
    finished = one_site.run_flow(hooked(BOTH), "show").succeeded()
    assert said(finished) == []


# --- what a person gets wrong ----------------------------------------------------------------------------------------


def split(cases: list[tuple[str, ...]]) -> list[tuple[str, tuple[str, ...]]]:
    return [(case[0], case[1:]) for case in cases]


def told(finished: Finished, *words: str) -> None:
    """Check that there is one clear error which says `words`."""
    assert finished.returncode in (1, 2), finished.output
    assert "Traceback" not in finished.output, finished.output
    assert "src/metaflow" not in finished.output
    for word in words:
        assert word in finished.output, f"does not say {word!r}:\n{finished.output}"


# What values are refused is in the unit tests; here it is how.
WRONG = [
    ("@retry(time=1)", "'time'", "did you mean 'times'"),
    ("@retry(attempts=1)", "'attempts'", "times, minutes_between_retries"),
    ("@retry(times=-1)", "times=-1"),
    ("@retry(times=float('nan'))", "times=nan"),
    ("@retry(times=10 ** 5000)", "whole number"),
    ("@retry(minutes_between_retries=-1)", "minutes_between_retries=-1"),
    ("@timeout", "no time"),
    ("@timeout(second=1)", "did you mean 'seconds'"),
    ("@timeout(seconds=-1)", "seconds=-1"),
    ("@timeout(hours='soon')", "hours='soon'"),
    ("@timeout(seconds=1e300)", "1e+300"),
    ("@timeout(seconds=float('nan'))", "seconds=nan"),
    ("@catch(vars='x')", "did you mean 'var'"),
    ("@catch(var=3)", "var=3"),
    ("@catch(var='a b')", "var='a b'"),
    ("@catch(var='next')", "var='next'"),
    ("@environment(var={})", "did you mean 'vars'"),
    ("@environment(vars=3)", "vars=3"),
    ("@environment(vars={'a=b': '1'})", "'a=b'"),
    ("@environment(vars={'A': '\\ud800'})", "of 'A'"),
]


@pytest.mark.ours
@pytest.mark.parametrize("name", ["end", "limit", "p"])
def test_catch_into_a_name_that_the_flow_has(one_site: Site, name: str) -> None:
    source = one("pass", f"@catch(var='{name}')")
    source = source.replace("    @catch", "    limit = 3\n    p = Parameter('p', default=1)\n    @catch")
    refused = one_site.run_flow(source, "run").failed()
    assert f"would assign self.{name}" in refused.stderr
    assert "flow.py:" in refused.stderr


@pytest.mark.parametrize("name", ["a/b", "", "x" * 200, "a\\nb", "\\ud800"])
def test_an_artifact_whose_name_cannot_be_stored(one_site: Site, name: str) -> None:
    finished = one_site.run_flow(one(f"self.good = 1\nsetattr(self, '{name}', 1)"), "run").failed()
    assert "cannot be stored" in finished.stderr
    assert "hint: use a printable name" in finished.output
    task = finished.task("start")
    assert present(task.failure).kind == "user code"
    assert task["good"].data == 1


@pytest.mark.parametrize(("decorator", "words"), split(WRONG), ids=[case[0] for case in WRONG])
def test_wrong_attributes(one_site: Site, decorator: str, words: tuple[str, ...]) -> None:
    finished = one_site.run_flow(one("pass", decorator), "run")
    told(finished, *words, "flow.py:5", "Invalid decorator attribute")
    assert finished.run_id is None


WRONG_WITH = [
    ("retry:times=-1", "times=-1"),
    ("retry:times=many", "times='many'"),
    ("retry:time=1", "did you mean 'times'"),
    ("retry:times", "'times'", "key=value"),
    ("rety", "did you mean", "retry"),
    ("timeout", "no time"),
    ("timeout:seconds=-1", "seconds=-1"),
    ("timeout:seconds=NaN", "seconds=nan"),
    ("timeout:seconds=Infinity", "seconds=inf"),
    ("catch:var=1", "var=1"),
    ("environment:vars=A", "vars='A'"),
]


@pytest.mark.ours
@pytest.mark.parametrize(("spec", "words"), split(WRONG_WITH), ids=[case[0] for case in WRONG_WITH])
def test_wrong_attributes_on_the_command_line(one_site: Site, spec: str, words: tuple[str, ...]) -> None:
    finished = one_site.run_flow(one("pass"), "run", "--with", spec)
    told(finished, *words)
    assert finished.run_id is None


WRONG_HOOKS = [
    ("@exit_hook(on_sucess=[plain])", "did you mean 'on_success'"),
    ("@exit_hook()", "no function"),
    ("@exit_hook", "has no function"),
    ("@exit_hook(on_success=plain)", "expected a list of functions"),
    ("@exit_hook(on_error='plain')", "on_error='plain'"),
    ("@exit_hook(on_success=['plain'])", "'plain'"),
    ("@exit_hook(on_success=[plain()])", "None"),
]


@pytest.mark.ours
@pytest.mark.parametrize(("line", "word"), WRONG_HOOKS, ids=[case[0] for case in WRONG_HOOKS])
def test_wrong_exit_hooks(one_site: Site, line: str, word: str) -> None:
    source = hooked("on_success=[plain]").replace("@exit_hook(on_success=[plain])", line)
    number = source.splitlines().index(line)
    told(one_site.run_flow(source, "run"), word, f"flow.py:{number}", "Invalid decorator attribute", "hint:")


@pytest.mark.ours
@pytest.mark.parametrize("name", ["retry", "catch", "timeout", "environment"])
def test_twice_on_one_step_and_on_no_step(one_site: Site, name: str) -> None:
    decorator = "@timeout(seconds=9)" if name == "timeout" else f"@{name}"
    told(one_site.run_flow(one("pass", decorator, decorator), "run"), "twice", f"@{name}", "flow.py:5")
    source = one("pass").replace("    @step\n    def start", f"    @step\n    {decorator}\n    def start", 1)
    told(one_site.run_flow(source, "run"), f"@{name}", "not a step", "flow.py:6", "hint:")
