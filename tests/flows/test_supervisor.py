"""The boot program and the supervisor as they run in a container, here as processes of this machine."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest

from metaflow.compute.archive import Member, pack
from metaflow.compute.jobs import boot
from support import processes
from support.certificates import certificate, tls_before
from support.container import PATIENCE, TASK, Container, runtime

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="containers are Linux")

TELL = """
import json, os
def tell(**outcome):
    descriptor, _, id = os.environ["MILLRACE_OUTCOME"].partition(":")
    os.write(int(descriptor), json.dumps({"outcome": int(id), **outcome}).encode())
"""


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def container(tmp_path: Path, cache: Path) -> Iterator[Container]:
    container = Container(tmp_path, cache)
    try:
        yield container
    except BaseException:
        processes.kill_all(container.mark)
        raise
    processes.assert_gone(container.mark)


# --- what the task is ------------------------------------------------------------------------------------------------


def test_the_task_is_the_main_program_of_its_words(container: Container) -> None:
    ended = container.run(
        """
        import os, sys
        print(sys.argv, __name__, os.path.basename(__file__), os.getcwd() == os.path.dirname(__file__))
        print(sys.path[0] == os.getcwd(), sys.stdin.read() == "", os.getpgrp() == os.getpid())
        print("MILLRACE_BOOT" in os.environ)
        """,
        "one",
        "--two=3",
    )
    assert ended.status == 0
    assert container.lines() == [
        b"['task.py', 'one', '--two=3'] __main__ task.py True",
        b"True True True",
        b"False",
    ]
    assert container.outcome()["ending"]["code"] == 0


def test_modules_beside_the_task_elsewhere_and_our_own_are_found_by_what_it_starts(container: Container) -> None:
    source = """
import beside, far, metaflow, subprocess, sys
subprocess.run([sys.executable, '-c', 'import far, metaflow'], check=True)
"""
    members = [
        Member("task.py", source.encode()),
        Member("beside.py", b""),
        Member(".mf_code/far/__init__.py", b""),
        Member(".mf_code/beside.py", b"raise ImportError('the wrong one')"),
    ]
    packages = [runtime(container._cache), container.package("code", pack(members, 1))]
    ended = container.boot(container.variables(packages)).end()
    assert ended.status == 0, ended


@pytest.mark.parametrize("fault", ["", "\nbroken(:"])
def test_a_task_that_is_started_as_a_module_is_in_its_package(fault: str, container: Container) -> None:
    source = """
from ..shared.words import WORD
import sys
print(__spec__.name, __package__, WORD, sys.path[0] == __file__.removesuffix("/company/team/flow.py") and sys.argv[1:])
"""
    members = [
        Member("company/__init__.py", b""),
        Member("company/team/flow.py", (source + fault).encode()),
        Member("company/shared/words.py", b"WORD = 'found'"),
    ]
    packages = [runtime(container._cache), container.package("code", pack(members, 1))]
    ended = container.boot(
        container.variables(packages, "one", script="company/team/flow.py", module="company.team.flow")
    ).end()
    if fault:
        assert b"SyntaxError" in ended.stderr
    else:
        assert (ended.status, ended.stdout) == (0, b"company.team.flow company.team found ['one']\n")


def test_modules_of_the_user_and_of_the_image_that_are_named_like_ours(container: Container) -> None:
    """Boot program, supervisor and client of the storage mean those of the standard library, the user does not."""
    names = ("queue", "calendar", "random", "email", "http", "copy", "select", "zlib", "json", "threading", "tarfile")
    code = f"""
        import sys
        sys.path.remove({str(container.work / "image")!r})
        found = [__import__(name).whose for name in {names}]
        print(set(found), sys.path[0] == __file__.rpartition("/")[0])
        from metaflow.store.local import LocalStorage
        from metaflow.compute.jobs import launcher
    """
    image = container.work / "image"
    image.mkdir()
    for name in names:
        for directory in (image, container.work):
            (directory / f"{name}.py").write_text("raise RuntimeError('of the image')")
    hiding = {f"{name}__py": "whose = 'mine'" for name in names}
    packages = [runtime(container._cache), container.code(code, **hiding)]
    variables = {**container.variables(packages), "PYTHONPATH": str(image)}
    ended = container.boot(variables).end()
    assert (ended.status, ended.stderr) == (0, b""), ended
    assert container.lines() == [b"{'mine'} True"]


def test_what_the_task_told_goes_into_the_outcome(container: Container) -> None:
    container.run(TELL + "tell(ok=True, next=['end' * 100_000], width=None, recorded=[['facts', list('frst'), 0, []]])")
    outcome = container.outcome()
    assert outcome["outcome"] == {"ok": True, "next": ["end" * 100_000], "width": None}
    assert outcome["recorded"] == [["facts", list("frst"), 0, []]]
    assert outcome["ending"]["code"] == 0
    assert outcome["ending"]["peak_mb"] > 1
    assert outcome["facts"] == {}


def test_a_task_that_cannot_be_compiled_says_so(container: Container) -> None:
    ended = container.run("def (")
    assert ended.status == 1
    assert b"SyntaxError" in ended.stderr
    assert container.lines("stderr")[-1].startswith(b"SyntaxError")


def test_nothing_is_left_on_the_disk(container: Container) -> None:
    container.run("open('left behind', 'w').close()")
    assert list(container.work.iterdir()) == []


# --- how it ends -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "status", "code", "number"),
    [
        ("import sys; sys.exit(3)", 3, 3, None),
        ("import os; os._exit(0)", 0, 0, None),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", 139, None, 11),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 137, None, 9),
    ],
)
def test_the_exit_status_is_the_task_s(
    container: Container, source: str, status: int, code: int | None, number: int | None
) -> None:
    assert container.run(source).status == status
    outcome = container.outcome()
    assert outcome["outcome"] is None
    assert (outcome["ending"]["code"], outcome["ending"]["signal"]) == (code, number)
    assert not outcome["ending"]["oom"]


def test_an_error_before_the_step_is_the_reason(container: Container) -> None:
    ended = container.run("import os\nimport nosuch_module\n", environment={"MILLRACE_CONTAINER": "batch python:3.12"})
    assert ended.status == 1
    failure = container.outcome()["outcome"]["failure"]
    assert failure["message"] == "ModuleNotFoundError: No module named 'nosuch_module'"
    assert failure["values"]["where"] == "task.py:2"
    assert b"millrace-" not in ended.stderr
    assert "the image 'python:3.12'" in failure["hint"]
    assert failure["hint"] in container.lines("stderr")[-1].decode()


def test_an_outcome_that_was_told_before_a_kill_counts(container: Container) -> None:
    container.run(TELL + "tell(ok=True, next=[], width=None)\nos.kill(os.getpid(), 9)")
    assert container.outcome()["outcome"]["ok"]
    assert container.outcome()["ending"]["signal"] == 9


def test_half_an_outcome_is_none(container: Container) -> None:
    container.run("import os\nos.write(int(os.environ['MILLRACE_OUTCOME'].split(':')[0]), b'{\"outcome\": 1, ')")
    assert container.outcome()["outcome"] is None


def test_a_time_limit(container: Container) -> None:
    ended = container.run("import time; print('here', flush=True); time.sleep(100)", time_limit=1.0)
    assert ended.status == 137
    assert container.outcome()["ending"]["timed_out"]
    assert container.lines() == [b"here"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_passed_on_and_the_task_may_end_by_itself(container: Container, number: int) -> None:
    task = container.start(
        """
        import os, signal, sys, time
        def leave(*_):
            print("saved", os.path.exists(os.environ["MILLRACE_TERMINATION"]))
            sys.exit(5)
        assert not os.path.exists(os.environ["MILLRACE_TERMINATION"])
        assert signal.signal(signal.SIGTERM, leave) is signal.SIG_DFL
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        print("ready")
        time.sleep(100)
        """
    )
    task.until(lambda: b"ready" in container.lines() or container.segments())
    task.signal(number)
    assert task.end().status == 5
    assert container.lines() == [b"ready", b"saved True"]
    ending = container.outcome()["ending"]
    assert (ending["terminated"], ending["code"]) == (True, 5)


def test_a_task_that_does_not_care_about_signals_is_killed(container: Container) -> None:
    task = container.start(
        """
        import signal, sys, time
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("ready")
        time.sleep(100)
        """,
        grace=0.2,
    )
    task.until(lambda: container.segments())
    task.signal()
    assert task.end().status == 137
    assert container.outcome()["ending"]["terminated"]
    assert not container.outcome()["ending"]["oom"]


def test_what_a_task_leaves_behind_ends_with_it(container: Container) -> None:
    ended = container.run(
        """
        import os, time
        for daemon in (False, True):
            if os.fork() == 0:
                if daemon:
                    os.setsid()
                    if os.fork():
                        os._exit(0)
                os.write(1, b"left\\n")
                time.sleep(100)
        time.sleep(0.3)
        """
    )
    assert ended.status == 0
    assert container.lines() == [b"left", b"left"]


def test_a_task_dies_with_its_supervisor(container: Container) -> None:
    task = container.start("import time; print('ready'); time.sleep(100)")
    task.until(lambda: container.segments())
    task.signal(signal.SIGKILL)
    task.end()
    processes.assert_gone(container.mark)
    (segment,) = container.segments()
    assert b"]ready\n" in (next(iter(container.storage.get([segment])))[1] or b"")


def test_lack_of_memory_is_told_by_the_container_s_group(container: Container, tmp_path: Path) -> None:
    group = tmp_path / "cgroup"
    group.mkdir()
    (group / "memory.events").write_text("low 0\noom 0\noom_kill 0\n")
    (group / "memory.peak").write_text("199000000\n")
    (group / "memory.max").write_text("200000000\n")
    container.run(
        """
        import os, pathlib, sys
        (pathlib.Path(sys.argv[1]) / "memory.events").write_text("low 0\\noom 1\\noom_kill 1\\n")
        os.kill(os.getpid(), 9)
        """,
        str(group),
        cgroup=str(group),
    )
    ending = container.outcome()["ending"]
    assert (ending["oom"], ending["peak_mb"], ending["limit_mb"]) == (True, 199.0, 200.0)


# --- the log ---------------------------------------------------------------------------------------------------------


def test_both_streams_go_to_the_storage_and_to_the_container_s_own(container: Container) -> None:
    ended = container.run("import sys; print('out'); print('no end', end=''); print('err', file=sys.stderr)")
    assert ended.stdout == b"out\nno end\n"
    assert ended.stderr == b"err\n"
    assert container.lines() == [b"out", b"no end"]
    assert container.lines("stderr") == [b"err"]
    content = next(iter(container.storage.get([f"{TASK}/0.task_stdout.log"])))[1]
    assert content is not None
    assert content.startswith(b"[MFLOG|0|2")
    assert b"Z|task|0000" in content
    assert container.segments() == []


def test_a_silent_task_has_no_log(container: Container) -> None:
    container.run("pass")
    assert list(container.storage.get([f"{TASK}/0.task_stdout.log", f"{TASK}/0.task_stderr.log"])) == [
        (f"{TASK}/0.task_stdout.log", None),
        (f"{TASK}/0.task_stderr.log", None),
    ]


def test_any_bytes(container: Container) -> None:
    container.run("import os; os.write(1, bytes(range(256)) + b'\\n\\r\\n\\n')")
    assert container.lines() == [bytes(range(10)), bytes(range(11, 256)), b"\r", b""]


def test_a_log_that_is_too_long_is_cut_and_the_task_goes_on(container: Container) -> None:
    ended = container.run(
        "for i in range(200_000): print('x' * 99)\nimport sys; print('last', file=sys.stderr)", log_bytes=100_000
    )
    assert ended.status == 0
    assert len(ended.stdout) == 200_000 * 100, "the container's own stream has all"
    *lines, last = container.lines()
    assert last == b"x" * 99
    cut = [line for line in lines if b"--max-log-size" in line]
    assert [line for line in lines if line not in cut] == [b"x" * 99] * 999
    assert len(cut) == 1
    assert container.lines("stderr") == [b"last"]


def test_new_lines_are_segments_until_the_end(container: Container) -> None:
    task = container.start(
        """
        import os, sys, time
        go = sys.argv[1]
        for number in (1, 2):
            print("line", number)
            while not os.path.exists(f"{go}{number}"):
                time.sleep(0.01)
        """,
        str(container.directory / "go"),
    )
    task.until(lambda: len(container.segments()) == 1)
    (container.directory / "go1").touch()
    task.until(lambda: len(container.segments()) == 2)
    first, second = container.segments()
    assert first == "Flow/1/_live/7.0.stdout.000000000000"
    parts = [data or b"" for _, data in container.storage.get([first, second])]
    assert second == f"Flow/1/_live/7.0.stdout.{len(parts[0]):012d}"
    (container.directory / "go2").touch()
    assert task.end().status == 0
    assert container.segments() == []
    assert list(container.storage.get([f"{TASK}/0.task_stdout.log"])) == [
        (f"{TASK}/0.task_stdout.log", b"".join(parts))
    ]


def test_a_storage_that_refuses_does_not_change_how_the_task_ended(container: Container) -> None:
    Path(container.storage.root).write_text("not a directory")
    ended = container.run("print('out'); raise SystemExit(4)")
    assert ended.status == 4
    assert ended.stdout == b"out\n"
    assert b"could not be stored" in ended.stderr


# --- spot notices ----------------------------------------------------------------------------------------------------


class Machine(BaseHTTPRequestHandler):
    """The metadata service of a spot instance that goes."""

    def do_PUT(self) -> None:
        assert self.path == "/latest/api/token"
        self._answer(b"token" if self.headers["X-aws-ec2-metadata-token-ttl-seconds"] else b"")

    def do_GET(self) -> None:
        assert self.path == "/latest/meta-data/spot/termination-time"
        self._answer(b"2030-01-02T03:04:05Z" if self.headers["X-aws-ec2-metadata-token"] == "token" else b"")

    def _answer(self, text: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        pass


def test_a_notice_appears_as_a_file_and_as_facts(container: Container) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Machine) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        container.run(
            """
            import os, time
            path = os.environ["MILLRACE_SPOT_NOTICE"]
            while not os.path.exists(path):
                time.sleep(0.01)
            print(open(path).read(), "MILLRACE_SPOT" in os.environ)
            """,
            environment={"MILLRACE_SPOT": f"http://127.0.0.1:{server.server_address[1]}"},
        )
        server.shutdown()
    assert container.lines() == [b"2030-01-02T03:04:05Z", b" False"]
    facts = container.outcome()["facts"]
    assert facts["spot-termination-time"] == "2030-01-02T03:04:05Z"
    assert facts["spot-termination-received-at"].endswith("Z")


# --- the boot program ------------------------------------------------------------------------------------------------


def test_a_python_that_is_too_old(container: Container) -> None:
    container.program[1] = "import sys; sys.version_info = (3, 8, 10, 'final', 0)\n" + container.program[1]
    ended = container.boot({})
    status, _, stderr = ended.end()
    assert status == boot.OLD_PYTHON
    assert stderr == b"The image's Python is 3.8, and 3.11 or newer is needed: choose another image.\n"


def test_the_boot_program_can_be_read_by_old_pythons() -> None:
    import ast

    ast.parse(Path(boot.__file__).read_text(), feature_version=(3, 7))


def test_a_package_with_other_bytes(container: Container) -> None:
    package = container.code("")._replace(sha256="0" * 64)
    _without_pauses(container)
    status, _, stderr = container.boot(container.variables([package])).end()
    assert status == boot.DAMAGED
    assert b"Cannot download the code package from file:///" in stderr
    assert b"SHA-256" in stderr


@pytest.mark.parametrize(
    ("code", "text", "status", "sentence"),
    [
        (403, b"<Message>Request has expired</Message>", boot.EXPIRED, b"its signed URL has expired.\n"),
        (403, b"<Message>Access Denied</Message>", boot.DENIED, b"it is refused with HTTP status 403.\n"),
        (404, b"", boot.DENIED, b"it is refused with HTTP status 404.\n"),
        (503, b"SlowDown", boot.UNREACHABLE, b"HTTP status 503.\n"),
    ],
)
def test_a_package_that_cannot_be_had(
    container: Container, code: int, text: bytes, status: int, sentence: bytes
) -> None:
    class Refusing(Machine):
        def do_GET(self) -> None:
            self.send_response(code)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

    _without_pauses(container)
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/code?X-Amz-Signature=abc"
        package = container.code("")._replace(url=url)
        ended = container.boot(container.variables([package])).end()
        server.shutdown()
    assert ended.status == status
    assert ended.stderr.endswith(sentence)
    assert b"Signature" not in ended.stderr


def test_nobody_listens(container: Container) -> None:
    _without_pauses(container)
    package = container.code("")._replace(url="http://127.0.0.1:9/code")
    ended = container.boot(container.variables([package])).end()
    assert ended.status == boot.UNREACHABLE
    assert b"Connection refused" in ended.stderr


def test_another_platform(container: Container) -> None:
    packages = [container.package("runtime", pack([Member("PLATFORM", b"sparc\n")], 1))]
    ended = container.boot(container.variables(packages)).end()
    assert ended.status == boot.OTHER_PLATFORM
    assert f"The image is for {os.uname().machine}, and the task was packaged for sparc.\n".encode() in ended.stderr


def test_a_signal_before_the_task_has_begun(container: Container) -> None:
    began = Event()

    class Slow(Machine):
        def do_GET(self) -> None:
            began.set()
            Event().wait(PATIENCE)

    with ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server:
        server.daemon_threads = True
        Thread(target=server.serve_forever, daemon=True).start()
        package = container.code("")._replace(url=f"http://127.0.0.1:{server.server_address[1]}/code")
        task = container.boot(container.variables([package]))
        assert began.wait(PATIENCE)
        task.signal()
        assert task.end().status == 128 + signal.SIGTERM
        server.shutdown()
        server.block_on_close = False


def test_the_directory_that_a_setting_names_comes_first(container: Container, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    ended = container.start("import os; print(os.getcwd())", environment={"METAFLOW_TEMPDIR": str(other)}).end()
    assert ended.stdout.startswith(bytes(other))


def _without_pauses(container: Container) -> None:
    container.program[1] = "import time; time.sleep = lambda seconds: None\n" + container.program[1]


def test_the_whole_of_it_is_short() -> None:
    assert len(json.dumps(Path(boot.__file__).read_text())) < 7000  # a job definition has 24 KiB for all


# --- a private authority before the object store ---------------------------------------------------------------------

TRUST: dict[str, Callable[[Path], dict[str, str]]] = {
    "of the launcher": lambda path: {"MILLRACE_CERTIFICATES": path.read_text()},
    "of the image": lambda path: {"AWS_CA_BUNDLE": str(path)},
    "of the system": lambda path: {"SSL_CERT_FILE": str(path)},
    "everybody": lambda path: {"METAFLOW_S3_VERIFY_CERTIFICATE": "false"},
    "nobody": lambda path: {},
}


@pytest.mark.parametrize("whom", TRUST)
@pytest.mark.parametrize("is_signed_by_itself", [False, True])
def test_whose_certificates_are_trusted(
    whom: str, is_signed_by_itself: bool, container: Container, cache: Path
) -> None:
    """The packages come by TLS; the task finds what its store's client shall trust."""
    here = container.directory
    authority = certificate(here / "authority.pem", is_authority=True)
    shown = certificate(here / "server.pem", "127.0.0.1", None if is_signed_by_itself else authority)
    code = container.code("import os; print(os.environ.get('METAFLOW_S3_VERIFY_CERTIFICATE'))")
    files = partial(SimpleHTTPRequestHandler, directory="/")
    with ThreadingHTTPServer(("127.0.0.1", 0), files) as server:
        Thread(target=server.serve_forever).start()
        with tls_before("127.0.0.1", server.server_port, shown) as port:
            packages = [
                each._replace(url=each.url.replace("file://", f"https://127.0.0.1:{port}"))
                for each in (runtime(str(cache)), code)
            ]
            trusted = TRUST[whom]((shown if is_signed_by_itself else authority).path)
            ended = container.boot({**container.variables(packages), **trusted}).end()
        server.shutdown()
    if whom == "nobody":
        assert ended.status == boot.DENIED
        assert b"METAFLOW_S3_VERIFY_CERTIFICATE names the certificates to trust" in ended.stderr
        return
    assert ended.status == 0, ended.stderr
    (printed,) = container.lines()
    assert printed.endswith(b"certificates.pem") == (whom in ("of the launcher", "of the image"))
