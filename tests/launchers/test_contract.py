"""The contract of `Launcher`, for every implementation; and what only processes of this machine have to promise."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest

from metaflow.compute.protocol import Ended, Output, Started
from support import processes
from support.launched import LocalPlace, Place, RemotePlace, is_alive
from support.present import present

SOURCE = textwrap.dedent("""
    import os
    import signal
    import sys


    def hello():
        print("hello")


    def show(*words):
        print(sys.argv[1:], os.environ.get("GIVEN"))


    def numbers(count):
        for number in range(int(count)):
            print(number)


    def both():
        for number in range(200):
            print("out", number)
            print("err", number, file=sys.stderr)


    def write(expression):
        data = memoryview(eval(expression))
        while data:
            data = data[os.write(1, data):]


    def write_and_vanish(count):
        write(f"b'x' * {count}")
        os._exit(0)


    def leave(expression):
        sys.exit(eval(expression))


    def vanish(status):
        os._exit(int(status))


    def kill_myself(number):
        os.kill(os.getpid(), int(number))


    def fail():
        raise ValueError("on purpose")


    def wait():
        print("waiting")
        signal.pause()


    def say_goodbye():
        try:
            print("waiting")
            signal.pause()
        except KeyboardInterrupt:
            print("goodbye")
            sys.exit(7)


    def say_goodbye_late():
        def goodbye(number, frame):
            print("terminated")
            sys.exit(7)

        signal.signal(signal.SIGTERM, goodbye)
        signal.signal(signal.SIGINT, lambda number, frame: print("interrupted"))
        print("waiting")
        while True:
            signal.pause()


    def be_stubborn():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("waiting")
        while True:
            signal.pause()


    def family(end):
        'Start a child, a child in a session of its own, a daemon, and a child of the daemon; tell their ids; end.'
        read, write = os.pipe()

        def live():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            os.write(write, b"%d\\n" % os.getpid())
            while True:
                signal.pause()

        if os.fork() == 0:
            live()
        if os.fork() == 0:
            os.setsid()
            live()
        if os.fork() == 0:
            os.setsid()
            if os.fork():
                os._exit(0)
            if os.fork() == 0:
                os.setsid()
            live()
        pids = b""
        while pids.count(b"\\n") < 4:
            pids += os.read(read, 100)
        os.write(1, b"%d\\n" % os.getpid() + pids)
        eval(end)


    if __name__ == "__main__":
        globals()[sys.argv[1]](*sys.argv[2:])
""")

WAYS: dict[str, Callable[[Path], Place]] = {
    "local, fork": lambda directory: LocalPlace(directory, SOURCE, "fork"),
    "local, exec": lambda directory: LocalPlace(directory, SOURCE, "exec"),
    "remote": lambda directory: RemotePlace(directory, SOURCE),
}


@pytest.fixture(scope="module", params=sorted(WAYS))
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A launcher that the tests of this file share; when they are over, it is closed and nothing may be alive."""
    place = WAYS[request.param](tmp_path_factory.mktemp("place"))
    try:
        yield place
        place.close()
        place.leave()
    finally:
        processes.kill_all(place.mark)


@pytest.fixture(params=sorted(WAYS))
def own_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A launcher for one test, which closes or breaks it."""
    place = WAYS[request.param](tmp_path)
    try:
        yield place
        place.leave()
    finally:
        processes.kill_all(place.mark)


@pytest.fixture
def alarm() -> Iterator[None]:
    """Fail a test that hangs in a system call."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise AssertionError("it hangs")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(30)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


# --- reports ---------------------------------------------------------------------------------------------------------


def test_started_then_output_then_ended(place: Place) -> None:
    task = place.submit("hello")
    place.finish(task)
    started, *outputs, ended = place.of(task)
    assert isinstance(started, Started)
    assert started.where
    assert all(isinstance(report, Output) for report in outputs)
    assert isinstance(ended, Ended)
    assert {report.attempt for report in place.of(task)} == {3}
    assert ended._replace(facts={}) == Ended(task, 3, 0, None, None, None)
    place.run("hello")
    assert len(place.of(task)) == 2 + len(outputs), "nothing is reported after the end"


def test_output_has_the_time_at_which_it_came(place: Place) -> None:
    before = time.time()
    task = place.submit("hello")
    place.finish(task)
    (output,) = [report for report in place.of(task) if isinstance(report, Output)]
    assert (output.stream, output.lines) == ("stdout", [b"hello"])
    assert before <= output.time <= time.time()


def test_arguments_and_environment(place: Place) -> None:
    words = ["show", "", "two words", "--x=y=z", "ü\n'\"", "*"]
    done = place.run(*words, GIVEN="täg=1\n2")
    assert b"\n".join(done.stdout).decode() == f"{words} täg=1\n2"
    assert place.run("show").stdout == [b"['show'] None"]


@pytest.mark.parametrize(
    ("words", "code", "number"),
    [
        (("leave", "0"), 0, None),
        (("leave", "None"), 0, None),
        (("leave", "3"), 3, None),
        (("leave", "True"), 1, None),
        (("leave", "256 + 5"), 5, None),
        (("leave", "'because'"), 1, None),
        (("vanish", "9"), 9, None),
        (("kill_myself", str(int(signal.SIGKILL))), None, signal.SIGKILL),
        (("kill_myself", str(int(signal.SIGTERM))), None, signal.SIGTERM),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_how_it_ended(words: tuple[str, ...], code: int | None, number: int | None, place: Place) -> None:
    ended = place.run(*words).ended
    assert (ended.code, ended.signal, ended.report, ended.failure) == (code, number, None, None)


def test_what_ends_the_flow_file_before_its_step_is_reported(place: Place) -> None:
    ended = place.run("fail").ended
    assert (ended.code, ended.signal, ended.failure) == (1, None, None)
    assert ended.report is not None
    assert ended.report.failure is not None
    assert (ended.report.failure.kind, ended.report.failure.message) == ("user code", "ValueError: on purpose")


def test_an_exception_is_reported_as_python_does(place: Place) -> None:
    done = place.run("fail")
    script = str(place.script)
    plain = subprocess.run([sys.executable, script, "fail"], capture_output=True, check=False)
    assert b"\n".join(done.stderr) + b"\n" == plain.stderr.replace(script.encode(), place.path_inside())
    assert present(present(done.ended.report).failure).message == "ValueError: on purpose"
    assert place.run("leave", "'because'").stderr == [b"because"]


# --- output ----------------------------------------------------------------------------------------------------------


def test_output_is_complete_and_in_order(place: Place) -> None:
    assert place.run("numbers", "20000").stdout == [b"%d" % number for number in range(20_000)]


def test_both_streams_each_in_order(place: Place) -> None:
    done = place.run("both")
    assert done.stdout == [b"out %d" % number for number in range(200)]
    assert done.stderr == [b"err %d" % number for number in range(200)]


@pytest.mark.parametrize(
    ("expression", "lines"),
    [
        ("b''", []),
        ("b'no end'", [b"no end"]),
        ("b'\\n'", [b""]),
        ("b'a\\n\\n\\nb'", [b"a", b"", b"", b"b"]),
        ("b'10 %\\r20 %\\r\\n'", [b"10 %\r20 %\r"]),
        ("bytes(range(256))", [bytes(range(10)), bytes(range(11, 256))]),
    ],
)
def test_lines_of_any_bytes(expression: str, lines: list[bytes], place: Place) -> None:
    assert place.run("write", expression).stdout == lines


def test_what_was_written_counts_however_it_ended(place: Place) -> None:
    """A line of five megabytes may come in pieces, and the task may be gone when they are read."""
    assert b"".join(place.run("write_and_vanish", "5_000_000").stdout) == b"x" * 5_000_000


def test_many_tasks_do_not_mix(place: Place) -> None:
    tasks = {place.submit("show", str(number)): number for number in range(24)}
    for number, done in zip(tasks.values(), place.finish(*tasks), strict=True):
        assert done.stdout == [f"['show', '{number}'] None".encode()]
        assert len(done.started) == 1
    ends = [report.task for report in place.reports if isinstance(report, Ended)]
    assert len(ends) == len(set(ends))


# --- ends ------------------------------------------------------------------------------------------------------------


def test_cancelling_is_polite_first(place: Place) -> None:
    task = place.submit("say_goodbye")
    place.until(lambda: place.printed(task))
    place.launcher.cancel(task)
    (done,) = place.finish(task)
    assert done.stdout == [b"waiting", b"goodbye"]
    assert (done.ended.code, done.ended.signal) == (7, None)


def test_a_task_that_handles_sigterm_gets_it(place: Place) -> None:
    """On this machine after a KeyboardInterrupt, in a container instead of it."""
    task = place.submit("say_goodbye_late")
    place.until(lambda: place.printed(task))
    place.launcher.cancel(task)
    (done,) = place.finish(task)
    first = [b"interrupted"] if isinstance(place, LocalPlace) else []
    assert done.stdout == [b"waiting", *first, b"terminated"]
    assert (done.ended.code, done.ended.signal) == (7, None)


def test_a_task_that_does_not_listen_is_ended_soon(place: Place) -> None:
    task = place.submit("be_stubborn")
    place.until(lambda: place.printed(task))
    before = time.monotonic()
    place.launcher.cancel(task)
    place.launcher.cancel(task)
    (done,) = place.finish(task)
    assert (done.ended.code, done.ended.signal) == (None, signal.SIGKILL)
    assert time.monotonic() - before < place.grace + 3, "the grace, and some seconds for a busy machine"


def test_cancelling_what_has_hardly_begun(place: Place) -> None:
    tasks = [place.submit("wait") for _ in range(3)]
    for task in tasks:
        place.launcher.cancel(task)
    for done in place.finish(*tasks):
        assert done.ended.code != 0


def test_cancelling_what_has_ended_or_never_was(place: Place) -> None:
    task = place.submit("hello")
    place.finish(task)
    before = len(place.reports)
    place.launcher.cancel(task)
    place.launcher.cancel(10**6)
    place.run("hello")
    assert place.reports[before].task != task


@pytest.mark.parametrize("end", ["None", "os._exit(3)", "os.kill(os.getpid(), 9)", "signal.pause()"])
def test_nothing_of_a_task_is_alive_when_it_has_ended(end: str, place: Place) -> None:
    """Looked at in the very moment of the report; ``pause`` is ended by cancelling it.

    On this machine, what has left the session of a task that ends well lives until the launcher is closed.
    """
    alive: list[int] = []
    task = place.submit("family", end)
    place.at_end[task] = lambda: alive.extend(filter(is_alive, map(int, place.printed(task))))
    place.until(lambda: len(place.printed(task)) == 5)
    if "pause" in end:
        place.launcher.cancel(task)
    (done,) = place.finish(task)
    assert any(line.startswith(b"Ended what the step had left running: ") for line in done.stderr)
    kept = isinstance(place, LocalPlace) and end == "None"
    assert len(alive) == (3 if kept else 0)


def test_what_other_tasks_have_started_lives_on(place: Place) -> None:
    first = place.submit("family", "signal.pause()")
    place.until(lambda: len(place.printed(first)) == 5)
    place.run("family", "None")
    assert all(map(is_alive, map(int, place.printed(first))))
    place.launcher.cancel(first)
    place.finish(first)


def test_closing_ends_everything(own_place: Place) -> None:
    task = own_place.submit("family", "signal.pause()")
    own_place.until(lambda: len(own_place.printed(task)) == 5)
    before = len(own_place.reports)
    own_place.close()
    assert processes.marked(own_place.mark) == []
    own_place.turn()
    assert len(own_place.reports) == before


def test_closing_what_has_hardly_begun(own_place: Place) -> None:
    for _ in range(3):
        own_place.submit("family", "signal.pause()")
    own_place.close()


def test_closing_while_a_task_is_being_cancelled(own_place: Place) -> None:
    """The forced end comes due after the close, and has nothing to do."""
    task = own_place.submit("be_stubborn")
    own_place.until(lambda: own_place.printed(task))
    own_place.launcher.cancel(task)
    own_place.close()
    own_place.turn(1.1)


def test_closing_at_once(own_place: Place) -> None:
    own_place.close()


# --- processes of this machine ---------------------------------------------------------------------------------------


@pytest.fixture(params=["fork", "exec"])
def local_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LocalPlace]:
    place = LocalPlace(tmp_path, SOURCE, request.param)
    try:
        yield place
        place.close()
        place.leave()
    finally:
        processes.kill_all(place.mark)


@pytest.mark.parametrize("victim", ["zygote", "keeper"])
def test_when_the_zygote_is_killed_every_task_ends(victim: str, local_place: LocalPlace) -> None:
    """Also where a descendant of a task holds copies of all that the zygote had open."""
    tasks = [local_place.submit("family", "signal.pause()") for _ in range(2)]
    local_place.until(lambda: all(len(local_place.printed(task)) == 5 for task in tasks))
    (process,) = (processes.zygotes if victim == "zygote" else processes.keepers)(local_place.mark)
    os.kill(process.pid, signal.SIGKILL)
    for done in local_place.finish(*tasks, within=20):
        assert (done.ended.code, done.ended.signal) == (None, None)
        assert "killed" in str(done.ended.failure)
    late = local_place.submit("hello")
    (done,) = local_place.finish(late, within=20)
    assert done.started == []
    assert "killed" in str(done.ended.failure)
    ends = [report.task for report in local_place.reports if isinstance(report, Ended)]
    assert sorted(ends) == [*tasks, late]


def test_submitting_does_not_wait_for_the_zygote(local_place: LocalPlace, alarm: None) -> None:
    """More than a socket's queue holds, while nobody reads it."""
    local_place.run("hello")
    (zygote,) = processes.zygotes(local_place.mark)
    os.kill(zygote.pid, signal.SIGSTOP)
    tasks = [local_place.submit("show", "x" * 100_000, str(number)) for number in range(40)]
    local_place.launcher.cancel(tasks[0])
    local_place.turn()
    os.kill(zygote.pid, signal.SIGCONT)
    first, *others = local_place.finish(*tasks)
    assert first.ended.code in (None, 0)
    for number, done in enumerate(others, start=1):
        assert done.stdout[0].endswith(b"', '%d'] None" % number)


@pytest.mark.parametrize("queue", [None, 4096], ids=["by far", "for a small queue"])
def test_a_command_line_that_is_too_long_ends_its_task(queue: int | None, local_place: LocalPlace) -> None:
    if queue is not None:
        local_place.zygote.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, queue)
    done = local_place.run("show", "x" * (10_000_000 if queue is None else 100_000))
    assert done.started == []
    assert "too long" in str(done.ended.failure)
    assert local_place.run("hello").stdout == [b"hello"]


def test_too_few_descriptors_end_their_tasks(local_place: LocalPlace) -> None:
    local_place.run("hello")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 9, limits[1]))
    try:
        tasks = [local_place.submit("hello") for _ in range(10)]
        finished = local_place.finish(*tasks)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    refused = [done for done in finished if done.ended.failure]
    assert 0 < len(refused) < 10
    for done in finished:
        if done in refused:
            assert "open files" in str(done.ended.failure)
            assert done.ended.code is None
        else:
            assert done.stdout == [b"hello"]
    assert local_place.run("hello").stdout == [b"hello"]


def test_no_descriptor_is_left_open(place: Place) -> None:
    place.run("hello")
    before = len(os.listdir("/proc/self/fd"))
    place.run("hello")
    place.run("family", "os._exit(3)")

    def are_as_before() -> bool:
        place.turn(0.02)  # what is being closed or looked at just now
        return len(os.listdir("/proc/self/fd")) <= before  # the first task may still have held some

    processes.eventually(are_as_before, "all descriptors of the tasks are closed")


FACTS = """
import atexit, os, signal, sys, threading

main = sys.modules["__main__"]
stream = lambda s: (s.name, s.fileno(), s.encoding, s.errors, s.line_buffering, s.write_through, s.mode)
late = open("late.txt", "w")
facts = {
    "name": __name__,
    "file": __file__,
    "module": [main is sys.modules[__name__], __doc__, __package__, __spec__, type(__loader__).__name__],
    "globals": sorted(name for name in globals() if name.startswith("__")),
    "argv": sys.argv,
    "path": sys.path,
    "cwd": os.getcwd(),
    "streams": [stream(s) for s in (sys.stdin, sys.stdout, sys.stderr)],
    "same": [sys.stdin is sys.__stdin__, sys.stdout is sys.__stdout__, sys.stderr is sys.__stderr__],
    "input": sys.stdin.read(),
    "group": os.getpgrp() == os.getpid(),
    "signals": [str(signal.getsignal(number)) for number in range(1, 20)],
    "mask": list(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "umask": os.umask(0o22),
    "threads": [thread.name for thread in threading.enumerate()],
    "descriptors": sorted(os.listdir("/proc/self/fd"), key=int)[:4],
    "flags": str(sys.flags),
    "environment": sorted(name for name in os.environ if not name.startswith("MILLRACE_OUTCOME")),
    "sibling": __import__("sibling").WHO,
    "children": open(f"/proc/self/task/{os.getpid()}/children").read(),
}
for name, value in facts.items():
    print(name, value)
atexit.register(lambda: print("at exit", flush=True))
threading.Thread(target=lambda: (threading.main_thread().join(), print("from a thread"))).start()
late.write("never closed")
"""


def facts(directory: Path, mode: str) -> bytes:
    place = LocalPlace(directory, FACTS, mode)
    try:
        done = place.run("one", "two")
        place.close()
        place.leave()
    finally:
        processes.kill_all(place.mark)
    assert done.stderr == []
    return b"\n".join(done.stdout)


@pytest.mark.parametrize("link", [False, True], ids=["a file", "a link to a file"])
def test_a_forked_task_finds_what_an_executed_one_finds(
    link: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    home = tmp_path
    if link:
        home = tmp_path / "elsewhere"
        home.mkdir()
        (home / "real.py").touch()
        (tmp_path / "tasks.py").symlink_to(home / "real.py")
    (home / "sibling.py").write_text("WHO = __file__")
    executed = facts(tmp_path, "exec")
    late = tmp_path / "late.txt"
    assert late.read_text() == "never closed"
    late.unlink()
    assert facts(tmp_path, "fork") == executed
    assert late.read_text() == "never closed"
    assert b"sibling " + bytes(home) in executed
    assert executed.endswith(b"from a thread\nat exit")


def test_an_engine_without_standard_streams(tmp_path: Path) -> None:
    """As in a daemon: descriptors 0 to 2 are closed, so the first that are opened get these numbers."""
    script = textwrap.dedent(f"""
        import sys
        sys.path.insert(0, {str(Path(__file__).parents[1])!r})
        from pathlib import Path
        from support.launched import LocalPlace
        place = LocalPlace(Path(sys.argv[1]), {SOURCE!r}, sys.argv[2])
        done = place.run("both")
        Path(sys.argv[1], "lines").write_text(f"{{len(done.stdout)}} {{len(done.stderr)}} {{done.ended.code}}")
        place.close()
        place.leave()
    """)
    for mode in ("fork", "exec"):
        directory = tmp_path / mode
        directory.mkdir()
        words = ["sh", "-c", '"$0" "$@" <&- >&- 2>&-', sys.executable, "-c", script, str(directory), mode]
        assert subprocess.run(words, check=False, timeout=60).returncode == 0
        assert (directory / "lines").read_text() == "200 200 0"
