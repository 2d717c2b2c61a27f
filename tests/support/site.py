"""A place to run flows in, as a user would: a directory, a home, an environment, real processes.

Start with `Site.run_flow` and `Finished`. Output goes to files, not pipes, so that a process which outlives its parent
cannot make a test wait.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import textwrap
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from support import processes, warm
from support.interpreter import PYTHON, is_ours
from support.present import present

if TYPE_CHECKING:
    from metaflow import Flow, Run, Task
    from metaflow.client import MetaflowData

SOURCES = Path(__file__).parents[1] / "flows" / "sources"


@dataclass(frozen=True)
class Finished:
    """What one command left: exit status, output, and the run it made."""

    returncode: int
    stdout: str
    stderr: str
    run_id: str | None
    site: Site
    flow_file: Path

    @property
    def output(self) -> str:
        return self.stdout + self.stderr

    @property
    def root(self) -> Path:
        return self.site.root

    @property
    def flow_name(self) -> str:
        """The flow in which the run is: a site holds mostly one."""
        homes = [path.parent.name for path in self.root.glob(f"*/{self.run_id}")]
        assert len(homes) == 1, f"the run {self.run_id} is in {homes}"
        return homes[0]

    @property
    def run(self) -> Run:
        """The run, read by the client."""
        assert self.run_id is not None, f"no run was made:\n{self.output}"
        from metaflow import Run

        self.site.look()
        return Run(f"{self.flow_name}/{self.run_id}")

    @property
    def data(self) -> MetaflowData:
        """The artifacts of the run's last task."""
        return present(self.run.data)

    def task(self, step: str) -> Task:
        """Return a task of `step`: the newest one."""
        return present(self.run[step].task)

    def values(self, step: str) -> dict[str, Any]:
        """Return the artifacts of the only task of `step`."""
        (task,) = list(self.run[step])
        return {artifact.id: artifact.data for artifact in task}

    def succeeded(self) -> Finished:
        """Return self, or fail with the output."""
        assert self.returncode == 0, f"exit status {self.returncode}\n{self.output}"
        return self

    def failed(self) -> Finished:
        """Return self if the command failed in an orderly way."""
        assert self.returncode > 0, f"exit status {self.returncode}\n{self.output}"
        return self


@dataclass(frozen=True)
class Call:
    """A command as it is to be run; its output goes to files."""

    site: Site
    flow_file: Path
    words: list[str]
    environment: dict[str, str]
    directory: Path
    stdout: Path
    stderr: Path
    run_id_path: Path | None

    @property
    def run_id(self) -> str | None:
        if self.run_id_path is None or not self.run_id_path.exists():
            return None
        return self.run_id_path.read_text().strip() or None

    def finished(self, returncode: int) -> Finished:
        stdout, stderr = (path.read_text(errors="replace") for path in (self.stdout, self.stderr))
        return Finished(returncode, stdout, stderr, self.run_id, self.site, self.flow_file)

    def too_slow(self, within: float) -> NoReturn:
        """Kill all that it has started, and fail the test."""
        lines = "\n".join(f"  {process}" for process in processes.marked(self.site.mark))
        processes.kill_all(self.site.mark)
        output = "".join(path.read_text(errors="replace") for path in (self.stdout, self.stderr))
        raise AssertionError(f"still running after {within} s:\n{lines}\n{output}")


@dataclass
class Running:
    """A command that was started."""

    process: subprocess.Popen[bytes]
    call: Call

    @property
    def site(self) -> Site:
        return self.call.site

    @property
    def flow_file(self) -> Path:
        return self.call.flow_file

    @property
    def stdout(self) -> str:
        return self.call.stdout.read_text(errors="replace")

    @property
    def stderr(self) -> str:
        return self.call.stderr.read_text(errors="replace")

    @property
    def run_id(self) -> str | None:
        return self.call.run_id

    def wait(self, within: float = 60.0) -> Finished:
        """Wait for the end; a command that does not end in time is killed with all it started, and fails the test."""
        try:
            return self.call.finished(self.process.wait(within))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            self.call.too_slow(within)

    def interrupt(self, *, group: bool) -> None:
        """Send what Ctrl-C sends: to the whole foreground process group, or to the engine only."""
        if group:
            os.killpg(self.process.pid, signal.SIGINT)
        else:
            self.process.send_signal(signal.SIGINT)


class Site:
    """A directory to run flows in.

    Parameters
    ----------
    directory : Path
        Working directory of the commands; an empty one.
    mode : str
        ``fork`` or ``exec``: how the local launcher makes tasks.
    warm : bool
        Whether a command that is only waited for may run in a fork of an interpreter with our modules (`warm`).
    """

    patience = 60.0
    """Seconds that a command may take, if nothing else is said."""

    def __init__(self, directory: Path, mode: str, *, warm: bool = False) -> None:
        self.directory = directory
        self.mode = mode
        self._warm = warm and is_ours() and "MILLRACE_TEST_COLD" not in os.environ
        self.mark = uuid.uuid4().hex
        self._commands = 0
        self.home = directory / "home"
        self.home.mkdir()
        (directory / "tmp").mkdir()

    @property
    def root(self) -> Path:
        return self.directory / ".metaflow"

    @property
    def environment(self) -> dict[str, str]:
        """What a user's shell would hand to the flow, and no more."""
        return {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(self.home),
            "TMPDIR": str(self.directory / "tmp"),
            "METAFLOW_USER": "tester",
            "METAFLOW_LOCAL_ISOLATION": self.mode,
            processes.VARIABLE: self.mark,
        }

    def write(self, name: str, source: str) -> Path:
        """Write a file into the site, unindented; return its path."""
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source).lstrip("\n"))
        return path

    def place(self, flow: str) -> Path:
        """Put a flow file into the site: `flow` is its source, the name of a file in flows/sources, or one here."""
        if "\n" in flow:
            return self.write("flow.py", flow)
        if not (self.directory / flow).exists():
            shutil.copyfile(SOURCES / flow, self.directory / flow)
        return self.directory / flow

    def start_flow(
        self,
        flow: str,
        *args: str,
        env: Mapping[str, str | None] | None = None,
        cwd: Path | None = None,
        command: list[str] | None = None,
    ) -> Running:
        """Start ``python FLOW ARGS…`` and return at once.

        Parameters
        ----------
        flow : str
            Source text, or the name of a flow file (see `place`).
        *args : str
            Command line after the flow file.
        env : mapping
            Variables to set; those that are None are removed.
        cwd : Path
            Working directory, if not the site's.
        command : list of str
            Words before the flow file, if not just the interpreter.
        """
        call = self._call(flow, args, env, cwd)
        with call.stdout.open("wb") as stdout, call.stderr.open("wb") as stderr:
            process = subprocess.Popen(
                [*(command or [PYTHON]), *call.words],
                cwd=call.directory,
                env=call.environment,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
        return Running(process, call)

    def run_flow(
        self,
        flow: str,
        *args: str,
        env: Mapping[str, str | None] | None = None,
        cwd: Path | None = None,
        command: list[str] | None = None,
        within: float | None = None,
    ) -> Finished:
        """Run ``python FLOW ARGS…`` to its end; see `start_flow`.

        With `command`, or a variable that is for Python itself, in an interpreter of its own from the beginning.
        """
        within = within or self.patience
        if command or not self._warm or any(name.startswith("PYTHON") for name in env or ()):
            return self.start_flow(flow, *args, env=env, cwd=cwd, command=command).wait(within)
        call = self._call(flow, args, env, cwd)
        status = warm.command(call.words, call.environment, call.directory, call.stdout, call.stderr, within)
        return call.finished(status) if status is not None else call.too_slow(within)

    def _call(self, flow: str, args: tuple[str, ...], env: Mapping[str, str | None] | None, cwd: Path | None) -> Call:
        path = self.place(flow)
        self._commands += 1
        output = self.directory / "output" / str(self._commands)
        output.mkdir(parents=True)
        run_id_path = None
        words = list(args)
        if "run" in args and "--run-id-file" not in args and "--help" not in args:
            run_id_path = output / "run_id"
            after = args.index("run") + 1
            words[after:after] = ["--run-id-file", str(run_id_path)]
        words = [str(path.relative_to(self.directory) if cwd is None else path), *words]
        environment: dict[str, str | None] = {**self.environment, **(env or {})}
        given = {name: value for name, value in environment.items() if value is not None}
        return Call(self, path, words, given, cwd or self.directory, output / "stdout", output / "stderr", run_id_path)

    def look(self) -> None:
        """Point the client in this process at this site, in the global namespace."""
        from metaflow import metadata, namespace

        metadata(f"local@{self.directory}")
        namespace(None)

    def flow(self, name: str) -> Flow:
        """Return a flow of this site, read by the client."""
        from metaflow import Flow

        self.look()
        return Flow(name)

    def python(self, source: str, *args: str, env: Mapping[str, str | None] | None = None) -> Finished:
        """Run a script that is no flow, such as a client program, in this site."""
        path = self.write(f"script_{self._commands}.py", source)
        return self.run_flow(path.name, *args, env=env)


class Shared:
    """Runs that several tests only read: each combination of a flow, words and a mode runs once.

    Parameters
    ----------
    directories : callable
        Makes an empty directory, given the beginning of its name.
    """

    def __init__(self, directories: Callable[[str], Path]) -> None:
        self._directories = directories
        self._known: dict[tuple[str, ...], Finished] = {}

    def __call__(self, flow: str, *words: str, mode: str = "fork") -> Finished:
        key = (mode, flow, *words)
        if key not in self._known:
            self._known[key] = Site(self._directories("shared"), mode, warm=True).run_flow(flow, *words)
        return self._known[key]

    def end(self) -> None:
        for finished in self._known.values():
            processes.assert_gone(finished.site.mark)
