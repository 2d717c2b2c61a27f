"""Runs that a program drives: values, errors, output, ends, many at once, and no process left, whatever dies."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import io
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from metaflow import Flow, Runner, get_metadata, get_namespace
from metaflow.client import MetaflowData
from metaflow.exception import KeywordTypeMismatch, MetaflowNotFound, RunNotStarted, UnknownKeyword
from metaflow.runner.metaflow_runner import ExecutingRun
from metaflow.runner.process import FlowProcess
from support import processes
from support.present import present
from support.site import Site


def runner(site: Site, flow: str = "driven.py", **keywords: Any) -> Runner:
    """Return a runner in a site, from anywhere."""
    env = {**site.environment, **keywords.pop("env", {})}
    return Runner(str(site.place(flow)), **{"show_output": False, "env": env, "cwd": str(site.directory), **keywords})


def data(running: ExecutingRun[Any]) -> MetaflowData:
    return present(running.run.data)


@pytest.fixture(scope="module")
def common(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site for runs that do not disturb one another."""
    site = Site(tmp_path_factory.mktemp("common"), "fork")
    yield site
    processes.assert_gone(site.mark)


def test_a_run_with_everything(common: Site) -> None:
    common.write("included.txt", "from a file")
    scope = get_namespace(), get_metadata()
    big = {"big": "x" * 300_000}
    told, said = io.StringIO(), io.StringIO()
    made = runner(common, show_output=True, env={"ADDED": "yes"}, pylint=False, config_value=[("settings", big)])
    with contextlib.redirect_stdout(told), contextlib.redirect_stderr(said), made as drives:
        result = drives.run(
            number=5, learning_rate=1, truth=True, document="{}", many=["a", "b"], included="included.txt", tags=["t"]
        )
    assert (result.status, result.returncode, result.runner) == ("successful", 0, made)
    assert result.run.successful
    assert data(result).values == [5, 1.0, True, "{}", ["a", "b"], "from a file"]
    assert data(result).where == (str(common.directory), "yes", big)
    assert "t" in result.run.user_tags
    assert "standard output ☃" in result.stdout
    assert (told.getvalue(), said.getvalue()) == (result.stdout, result.stderr)
    assert (get_namespace(), get_metadata()) == scope

    resumed = runner(common).resume(step_to_rerun="end")
    assert resumed.run.successful
    assert data(resumed).values == data(result).values
    assert [task.origin_pathspec for task in resumed.run["start"]] == [f"{result.run.pathspec}/start/1"]

    kept = runner(common).spin("start", persist=True)
    assert (kept.status, kept.task["values"].data) == ("successful", data(result).values)
    assert kept.task.pathspec == kept.pathspec
    lost = runner(common, env={"METAFLOW_SPIN_PERSIST": "True"}).spin(f"{result.run.id}/start", persist=False)
    assert "standard output" in lost.stdout
    with pytest.raises(MetaflowNotFound, match="were not kept"):
        lost.task
    with pytest.raises(RunNotStarted, match="has no step 'strt'"):
        runner(common).spin("strt")

    failed = runner(common).run(fails=True)
    assert (failed.status, failed.returncode, failed.run.finished) == ("failed", 1, False)


FLOWS = {
    "syntax": "class Bad(:\n    pass\n",
    "raises": "1 / 0\n",
    "killed": "import os\n\nos.kill(os.getpid(), 9)\n",
    "nothing": "from metaflow import FlowSpec\n\n\nclass Never(FlowSpec):\n    pass\n",
    "graph": """
        from metaflow import FlowSpec, step


        class Wrong(FlowSpec):
            @step
            def start(self):
                self.next(self.nowhere)


        Wrong()
        """,
}


@pytest.mark.parametrize(
    ("flow", "keywords", "error", "said"),
    [
        ("driven.py", {"number": "five"}, KeywordTypeMismatch, "number is 'five', a str; the parameter is an integer"),
        ("driven.py", {"numbr": 5}, UnknownKeyword, "no parameter 'numbr'.*hint: did you mean 'number'"),
        ("driven.py", {"included": "missing.txt"}, RunNotStarted, "Invalid command: .*missing.txt"),
        ("syntax", {}, RunNotStarted, "ended with status 1 before it had begun a run.*SyntaxError"),
        ("raises", {}, RunNotStarted, "ZeroDivisionError"),
        ("killed", {}, RunNotStarted, "ended by signal 9 before it had begun a run.$"),
        ("nothing", {}, RunNotStarted, "ended well without a run.*hint: it has to call its flow"),
        ("graph", {}, RunNotStarted, "Invalid flow: .*'start' goes to self.nowhere.*flow.py:7"),
    ],
)
def test_what_does_not_begin_says_why(
    one_site: Site, flow: str, keywords: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=f"(?s){said}"):
        runner(one_site, FLOWS.get(flow, flow)).run(**keywords)
    assert not list(one_site.root.glob("*/1*"))


def test_files_and_directories_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"There is no flow file /.*/missing.py"):
        Runner(str(tmp_path / "missing.py"))
    with pytest.raises(FileNotFoundError, match="cwd"):
        Runner(__file__, cwd=str(tmp_path / "missing"))
    with pytest.raises(RunNotStarted, match="could not be started: embedded null byte"):
        Runner(__file__, env={"A": "\0"}, show_output=False).run()
    with pytest.raises(TypeError, match="env: the variable 'A' has the value 1"):
        Runner(__file__, env={"A": 1})  # type: ignore[dict-item]


def test_output_by_positions(one_site: Site) -> None:
    async def drive() -> ExecutingRun[Any]:
        running = await runner(one_site).async_run(gate="open")
        assert (running.status, running.returncode) == ("running", None)
        first: list[tuple[int, str]] = []
        async for position, line in running.stream_log("stdout"):
            first.append((position, line))
            if "standard output" in line:
                break
        Path(one_site.directory, "open").touch()
        rest = [each async for each in running.stream_log("stdout", position=first[-1][0])]
        assert rest
        assert [*first, *rest] == [each async for each in running.stream_log("stdout")]
        assert running.stdout.encode()[: first[-1][0]].decode().splitlines()[-1] == first[-1][1]
        with pytest.raises(ValueError, match="no stream 'stdlog'"):
            await running.wait(stream="stdlog")
        return await running.wait()

    assert asyncio.run(drive()).run.successful


def test_what_is_given_up_leaves_no_process(one_site: Site) -> None:
    async def drive() -> None:
        drives = runner(one_site)
        slow = await drives.async_run(gate="never")
        assert await slow.wait(timeout=0.1) is slow
        assert slow.status == "timeout"
        assert slow.returncode == 128 + signal.SIGTERM
        assert slow.run.status == "interrupted"
        processes.eventually(lambda: not processes.marked(one_site.mark), "no process is left", within=5)

        waited = await drives.async_run(gate="never")
        waiting = asyncio.create_task(waited.wait())
        beginning = asyncio.create_task(drives.async_run(gate="never"))
        await asyncio.sleep(0)
        for task in (waiting, beginning):
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        processes.eventually(lambda: not processes.marked(one_site.mark), "no process is left", within=5)

        with pytest.raises(TimeoutError, match="had not begun a run after"):
            await runner(one_site, file_read_timeout=0.01).async_run()

    asyncio.run(drive())


@pytest.mark.parametrize("delay", [0.0, 0.001, 0.01, 0.1])
def test_ended_at_any_moment(common: Site, delay: float) -> None:
    flow, directory = str(common.place("driven.py")), str(common.directory)
    process = FlowProcess(flow, ["run"], {"gate": "never"}, common.environment, directory)
    process.changed.wait(lambda: False, delay)
    process.end()
    process.end()
    assert process.changed.wait(lambda: process.has_ended, 20)
    assert process.returncode


@pytest.mark.slow
def test_twenty_at_once(one_site: Site) -> None:
    async def drive() -> list[ExecutingRun[Any]]:
        drives = runner(one_site)
        begun = await asyncio.gather(*(drives.async_run(number=number, tags=[f"n{number}"]) for number in range(20)))
        return await asyncio.gather(*(running.wait() for running in begun))

    before = threading.active_count()
    ended = asyncio.run(drive())
    assert [running.status for running in ended] == ["successful"] * 20
    assert [data(running).values[0] for running in ended] == list(range(20))
    assert len({running.run.id for running in ended}) == 20
    processes.eventually(lambda: threading.active_count() == before, "the threads of the runs have ended")


def test_a_web_server_with_the_client_beside_it(one_site: Site) -> None:
    """A request is served by a thread that is not the main one; each run is kept somewhere else."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            place = self.path.strip("/")
            env = {"METAFLOW_DATASTORE_SYSROOT_LOCAL": str(one_site.directory / place)}
            result = runner(one_site, env=env).run(number=int(place))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(f"{result.status} {data(result).values[0]}".encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    one_site.run_flow("driven.py", "run").succeeded()
    answers = {}
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()

        def ask(place: str) -> None:
            with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/{place}") as response:
                answers[place] = response.read().decode()

        asking = [threading.Thread(target=ask, args=(place,)) for place in ("1", "2")]
        for thread in asking:
            thread.start()
        one_site.look()
        assert Flow("Driven").latest_run is not None
        for thread in asking:
            thread.join()
        server.shutdown()
        serving.join()
    assert answers == {"1": "successful 1", "2": "successful 2"}
    assert len(list(Flow("Driven"))) == 1


PROGRAM = """
import asyncio, os, sys
from metaflow import Runner

async def main():
    running = await Runner("driven.py").async_run(gate="never")
    async for _, line in running.stream_log("stdout"):
        if "standard output" in line:
            os.write(int(sys.argv[1]), running.run.id.encode())
    {after}

asyncio.run(main())
"""


@pytest.mark.parametrize("way", ["killed", "killed, and a child of it lives on", "Ctrl-C", "closed streams"])
def test_the_program_ends(one_site: Site, way: str) -> None:
    one_site.place("driven.py")
    source = PROGRAM.format(after="")
    if "child" in way:  # which has inherited its end of the socket
        source = source.replace("            os.write", "            os.fork() or os.pause()\n            os.write", 1)
        source = source.replace("os.pause()", "__import__('signal').pause()")
    program = one_site.write("program.py", source)
    told, write = os.pipe()
    closed = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"] if way == "closed streams" else []
    process = subprocess.Popen(
        [*closed, sys.executable, str(program), str(write)],
        env=one_site.environment,
        cwd=one_site.directory,
        stderr=subprocess.DEVNULL,
        pass_fds=[write],
        start_new_session=True,
    )
    os.close(write)
    with open(told) as pipe:
        run = pipe.read(16)
    assert run
    assert len(processes.marked(one_site.mark)) > 2
    process.send_signal(signal.SIGINT if way == "Ctrl-C" else signal.SIGKILL)
    process.wait()
    # The run's own processes end in good order; a child of the program is not ours.
    processes.eventually(lambda: one_site.flow("Driven")[run].status == "interrupted", "the run is ended")
    processes.eventually(
        lambda: all(str(program) in each.command for each in processes.marked(one_site.mark)), "its processes are gone"
    )
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def test_a_program_without_two_of_its_standard_streams(one_site: Site) -> None:
    one_site.place("linear.py")
    program = one_site.write(
        "program.py",
        """
        from metaflow import Runner

        with open("status", "w") as file:
            file.write(Runner("linear.py", show_output=False).run().status)
        """,
    )
    command = ["sh", "-c", 'exec "$@" <&- >&-', "sh", sys.executable, str(program)]
    subprocess.run(command, env=one_site.environment, cwd=one_site.directory, check=True)
    assert (one_site.directory / "status").read_text() == "successful"
