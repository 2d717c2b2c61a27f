"""A launcher at work: a script whose functions are tasks, what is reported of each, and what is alive.

The loop is the test's own: it turns only inside `Place.until` and what calls it, so between two calls nothing happens.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from metaflow.compute.archive import Member, pack
from metaflow.compute.command import TaskCommand
from metaflow.compute.jobs.launcher import RemoteLauncher, RunLabels
from metaflow.compute.jobs.packages import TaskPackages
from metaflow.compute.jobs.runtime_package import Platform, runtime_archive
from metaflow.compute.local.launcher import LocalLauncher
from metaflow.compute.local.zygote_process import ZygoteProcess
from metaflow.compute.protocol import Ended, Launcher, Output, Report, Started, TaskRequest
from metaflow.store.local import LocalStorage
from support import processes
from support.process_backend import ProcessBackend

PATIENCE = 60.0


class Finished(NamedTuple):
    """One attempt, from its first report to its last."""

    started: list[Started]
    stdout: list[bytes]
    stderr: list[bytes]
    ended: Ended


class Place:
    """A launcher, and all that it reports.

    Parameters
    ----------
    directory : Path
        For the script.
    source : str
        The script: its first argument names the function that is the task.
    launcher : callable
        Makes the launcher from the script's path.

    Attributes
    ----------
    grace : float
        Seconds between the polite and the forced end of a task that is cancelled.
    """

    grace = 1.0

    def __init__(self, directory: Path, source: str, launcher: Callable[[Path], Launcher]) -> None:
        self.script = directory / "tasks.py"
        self.script.write_text(source)
        self.mark = uuid.uuid4().hex
        self.reports: list[Report] = []
        self.errors: list[str] = []
        self.at_end: dict[int, Callable[[], None]] = {}
        self._ids = itertools.count(1)
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(lambda loop, context: self.errors.append(str(context)))
        self._news = asyncio.Event()
        os.environ[processes.VARIABLE] = self.mark
        try:
            self.launcher = launcher(self.script)
        finally:
            del os.environ[processes.VARIABLE]
        self._loop.run_until_complete(self.launcher.open(self._hear))

    def _hear(self, report: Report) -> None:
        self.reports.append(report)
        if isinstance(report, Ended) and report.task in self.at_end:
            self.at_end[report.task]()
        self._news.set()

    def request(self, *words: str, script: Path | None = None, **environment: str) -> TaskRequest:
        path = str(script or self.script)
        return TaskRequest(next(self._ids), "work", 3, TaskCommand(path, path, words, environment))

    def submit(self, *words: str, script: Path | None = None, **environment: str) -> int:
        """Submit a task and return its id."""
        request = self.request(*words, script=script, **environment)
        self.launcher.submit(request)
        return request.task

    def of(self, task: int) -> list[Report]:
        """Return what was reported of a task."""
        return [report for report in self.reports if report.task == task]

    def printed(self, task: int, stream: str = "stdout") -> list[bytes]:
        return [
            line
            for report in self.of(task)
            if isinstance(report, Output) and report.stream == stream
            for line in report.lines
        ]

    def until(self, condition: Callable[[], object], within: float = PATIENCE) -> None:
        """Turn the loop until `condition` holds after some report."""

        async def wait() -> None:
            async with asyncio.timeout(within):
                while not condition():
                    self._news.clear()
                    await self._news.wait()

        self._loop.run_until_complete(wait())

    def turn(self, seconds: float = 0.0) -> None:
        """Turn the loop for some time: to see that nothing happens any more."""
        self._loop.run_until_complete(asyncio.sleep(seconds))

    def finish(self, *tasks: int, within: float = PATIENCE) -> list[Finished]:
        """Wait for the ends of `tasks`."""
        self.until(lambda: all(any(isinstance(each, Ended) for each in self.of(task)) for task in tasks), within)
        return [
            Finished(
                [report for report in self.of(task) if isinstance(report, Started)],
                self.printed(task),
                self.printed(task, "stderr"),
                next(report for report in self.of(task) if isinstance(report, Ended)),
            )
            for task in tasks
        ]

    def run(self, *words: str, script: Path | None = None, **environment: str) -> Finished:
        """Submit a task and wait for its end."""
        return self.finish(self.submit(*words, script=script, **environment))[0]

    def path_inside(self) -> bytes:
        """Return the script's path as a task sees it that has raised an exception."""
        return str(self.script).encode()

    def close(self) -> None:
        self._loop.run_until_complete(self.launcher.close())

    def leave(self) -> None:
        """Close what a test left open; nothing may be alive then, and no callback may have failed."""
        self._loop.close()
        processes.assert_gone(self.mark)
        assert self.errors == []


class LocalPlace(Place):
    """A `Place` of processes of this machine; `mode` is ``fork`` or ``exec``."""

    zygote: ZygoteProcess

    def __init__(self, directory: Path, source: str, mode: str) -> None:
        def make(script: Path) -> Launcher:
            self.zygote = ZygoteProcess(str(script), str(script), fork=mode == "fork")
            return LocalLauncher(self.zygote, grace=self.grace)

        super().__init__(directory, source, make)


class RemotePlace(Place):
    """A `Place` of jobs: what a container would run, each as a process of this machine."""

    def __init__(self, directory: Path, source: str) -> None:
        def make(script: Path) -> Launcher:
            storage = LocalStorage(str(directory / "storage"))
            code = pack([Member(script.name, source.encode())], 1)
            packages = TaskPackages(storage, "F", code, lambda: runtime_archive(str(directory / "cache"), Platform()))
            backend = ProcessBackend({processes.VARIABLE: self.mark})
            return RemoteLauncher(backend, storage, RunLabels("F", "1", "me"), packages.links, {}, grace=self.grace)

        super().__init__(directory, source, make)

    def request(self, *words: str, script: Path | None = None, **environment: str) -> TaskRequest:
        request = super().request(*words, script=script, **environment)
        return request._replace(command=request.command._replace(script=self.script.name, path=self.script.name))

    def path_inside(self) -> bytes:
        return self.script.name.encode()


def is_alive(pid: int) -> bool:
    """Tell whether a process lives; a zombie does not."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False
