"""Run one program to its end: how long it took, and how much memory its processes had at their peak.

Time is wall-clock time of the whole process tree, interpreter start included. Memory is the high-water mark that Linux
keeps for each process (VmHWM), read from /proc while the program runs: of the first process (the engine), and of the
largest process below it (a task); or what all of them have at the same time (VmRSS), the largest of the sums that were
seen. Pages that processes share count in full for each.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

DEADLINE = 3600.0
"""Seconds after which a program is ended and counts as failed."""

PROGRAMS = Path(__file__).parent / "programs"


class Failure(Exception):
    """A program that did not do its work, with the end of what it said."""


class Side(NamedTuple):
    """One of the two implementations."""

    name: str
    python: str


class Measure(NamedTuple):
    """What one run cost: seconds, and MB at the peak of the engine, of the largest process below it, and of all."""

    seconds: float
    engine_mb: float
    task_mb: float
    all_mb: float = 0.0


def run(
    side: Side,
    program: str,
    *arguments: str,
    directory: str,
    expect: str,
    below: bool = False,
    together: bool = False,
    environment: Mapping[str, str] = {},
) -> tuple[Measure, str]:
    """Run a program of `programs/` with runs stored in `directory`; return its measure and its output.

    Parameters
    ----------
    expect : str
        Text that the output has to contain: a benchmark of wrong results is worth nothing.
    below : bool
        Watch the processes below the first one too; this costs some time, so only where their memory is asked for.
    together : bool
        Add up what all of them have, ten times a second.
    environment : mapping of str to str
        Further variables.
    """
    output = Path(directory) / f"output-{side.name}"
    command = [side.python, str(PROGRAMS / program), *arguments]
    with output.open("wb") as file:
        begin = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=directory,
            env={**_environment(directory), **environment},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        memory = _Memory(process.pid, below, together)
        memory.start()
        try:
            status = process.wait(DEADLINE)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGINT)  # both sides end their tasks on it
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                raise Failure(f"{side.name} took more than {DEADLINE:.0f} s") from None
            raise
        finally:
            seconds = time.perf_counter() - begin
            memory.stop()
    text = output.read_text(errors="replace")
    if status or expect not in text:
        raise Failure(f"{side.name} ended with status {status}, its output ends:\n{text[-2000:]}")
    return Measure(seconds, memory.engine_mb, memory.task_mb, memory.all_mb), text


def _environment(directory: str) -> dict[str, str]:
    """Return an environment in which nothing of this user's configuration reaches the program."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("METAFLOW_", "PYTHON"))}
    return kept | {"METAFLOW_USER": "bench", "METAFLOW_DATASTORE_SYSROOT_LOCAL": directory, "HOME": directory}


class _Memory(threading.Thread):
    """Follows the high-water marks of a process, and of those below it if asked to; or the sum of all."""

    def __init__(self, pid: int, below: bool, together: bool) -> None:
        super().__init__(daemon=True)
        self.engine_mb = self.task_mb = self.all_mb = 0.0
        self._pid = pid
        self._below = below
        self._together = together
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(0.01 if self._below else 0.1):
            self.engine_mb = max(self.engine_mb, _memory_mb(self._pid))
            if self._below:
                self.task_mb = max([self.task_mb, *map(_memory_mb, _below(self._pid))])
            if self._together:
                processes = (self._pid, *_below(self._pid))
                self.all_mb = max(self.all_mb, sum(_memory_mb(pid, "VmRSS") for pid in processes))

    def stop(self) -> None:
        self._ended.set()
        self.join()


def _memory_mb(pid: int, which: str = "VmHWM") -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(f"{which}:")), 0.0)


def _below(pid: int) -> Sequence[int]:
    """Return the processes below `pid`, of any generation."""
    found, open_ends = [], [pid]
    while open_ends:
        parent = open_ends.pop()
        try:
            threads = os.listdir(f"/proc/{parent}/task")
            children = [Path(f"/proc/{parent}/task/{thread}/children").read_text().split() for thread in threads]
        except OSError:
            continue
        young = [int(child) for group in children for child in group]
        found += young
        open_ends += young
    return found
