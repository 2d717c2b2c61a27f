"""A container's main process without a container: the boot program in a process of its own, its packages as files.

What a task is given, what it prints, what its supervisor leaves in the storage. Start reading at `Container.run`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from metaflow.compute.archive import Member, pack
from metaflow.compute.jobs import entry
from metaflow.compute.jobs.runtime_package import here, runtime_archive
from metaflow.store.local import LocalStorage
from metaflow.store.logs import stored
from support import processes

PATIENCE = 60.0
TASK = "Flow/1/work/7"


class Ended(NamedTuple):
    """How the main process ended, and what it printed itself."""

    status: int
    stdout: bytes
    stderr: bytes


@cache
def runtime(directory: str) -> entry.Package:
    """Return the runtime package of this installation."""
    platform = here()
    assert platform is not None
    archive = runtime_archive(directory, platform)
    return entry.Package("runtime", f"file://{archive.path}", archive.sha256)


class Container:
    """One place for tasks.

    Parameters
    ----------
    directory : Path
        For all files.
    cache : Path
        For the runtime package.
    """

    def __init__(self, directory: Path, cache: Path) -> None:
        self.directory = directory
        self.work = directory / "work"
        self.work.mkdir()
        self.storage = LocalStorage(str(directory / "storage"))
        self.mark = uuid.uuid4().hex
        self.program = list(entry.argv()[1:])
        self._cache = str(cache)

    def code(self, source: str, **files: str) -> entry.Package:
        """Make a code package of ``task.py`` and others, with ``__`` for a dot in their names."""
        members = [Member("task.py", textwrap.dedent(source).encode())]
        members += [Member(name.replace("__", "."), text.encode()) for name, text in files.items()]
        return self.package("code", pack(members, 1))

    def package(self, name: str, content: bytes) -> entry.Package:
        path = self.directory / f"{uuid.uuid4().hex}.tar.gz"
        path.write_bytes(content)
        return entry.Package(name, f"file://{path}", sha256(content).hexdigest())

    def variables(
        self, packages: list[entry.Package], *words: str, time_limit: float | None = None, **more: Any
    ) -> dict[str, str]:
        """Return the environment of a container."""
        variable = entry.boot_variable(
            packages,
            script="task.py",
            command=words,
            storage=("local", self.storage.root),
            task=TASK,
            attempt=0,
            time_limit=time_limit,  # type: ignore[arg-type]
        )
        config = {**json.loads(variable[entry.VARIABLE]), **more}
        return {
            "PATH": os.environ["PATH"],
            "TMPDIR": str(self.work),
            processes.VARIABLE: self.mark,
            entry.VARIABLE: json.dumps(config),
        }

    def start(self, source: str, *words: str, environment: dict[str, str] | None = None, **more: Any) -> Running:
        """Start a task."""
        packages = [runtime(self._cache), self.code(source)]
        return self.boot({**self.variables(packages, *words, **more), **(environment or {})})

    def boot(self, environment: dict[str, str]) -> Running:
        """Start the boot program."""
        return Running(
            self,
            subprocess.Popen(
                [sys.executable, "-S", *self.program],
                cwd=self.work,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            ),
        )

    def run(self, source: str, *words: str, **more: Any) -> Ended:
        """Run a task to its end."""
        return self.start(source, *words, **more).end()

    def outcome(self) -> dict[str, Any]:
        """Return the outcome object."""
        data = next(iter(self.storage.get([f"{TASK}/0.outcome.json"])))[1]
        assert data is not None
        document: dict[str, Any] = json.loads(data)
        return document

    def lines(self, stream: str = "stdout") -> list[bytes]:
        """Return the stored log."""
        return [line.text for line in stored.read(self.storage, TASK, 0, stream)]

    def segments(self) -> list[str]:
        """Return the keys of what is of the log only while the task runs."""
        return sorted(entry.key for entry in self.storage.list("Flow/1/_live") if ".std" in entry.key)


class Running:
    """A task that runs."""

    def __init__(self, container: Container, process: subprocess.Popen[bytes]) -> None:
        self.container = container
        self.process = process

    def until(self, condition: Callable[[], object]) -> None:
        """Wait until `condition` holds."""
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, "it did not happen"
            assert self.process.poll() is None, self.process.communicate()
            time.sleep(0.01)

    def signal(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def end(self) -> Ended:
        stdout, stderr = self.process.communicate(timeout=PATIENCE)
        return Ended(self.process.returncode, stdout, stderr)
