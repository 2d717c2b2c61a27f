"""Processes that belong to a test, found by a mark in their environment, or in their name if they are forks of ours.

Whatever a flow starts inherits the mark, however it daemonises, so `marked` sees every process that a test could leave
behind. Reads /proc: Linux only, as are the flow tests that use it.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import NamedTuple

VARIABLE = "MILLRACE_TEST_MARK"


class Process(NamedTuple):
    pid: int
    parent: int
    group: int
    state: str
    command: str


_NAME_LENGTH = 15
"""Of the name of a process, at most: what is longer is cut."""


def marked(mark: str) -> list[Process]:
    """Return the living processes whose environment carries `mark`; zombies are dead."""
    wanted = f"{VARIABLE}={mark}".encode()
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/environ", "rb") as environ, open(f"/proc/{name}/comm") as comm:
                if wanted not in environ.read().split(b"\0") and comm.read().strip() != mark[:_NAME_LENGTH]:
                    continue
            with open(f"/proc/{name}/stat") as file:
                state, parent, group = file.read().rpartition(")")[2].split()[:3]
            with open(f"/proc/{name}/cmdline", "rb") as file:
                command = file.read().replace(b"\0", b" ").decode(errors="replace").strip()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if state not in "ZX":
            found.append(Process(int(name), int(parent), int(group), state, command))
    return found


def eventually(condition: Callable[[], object], what: str, *, within: float = 20.0) -> object:
    """Return the first true value of `condition`; fail if there is none `within` seconds."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s: {what}")
        time.sleep(0.01)
    return value


def assert_gone(mark: str, *, within: float = 2.0) -> None:
    """Fail if a process with `mark` still lives after `within` seconds; such processes are killed."""
    deadline = time.monotonic() + within
    while left := marked(mark):
        if time.monotonic() > deadline:
            kill_all(mark)
            lines = "\n".join(f"  {process}" for process in left)
            raise AssertionError(f"left behind after {within} s:\n{lines}")
        time.sleep(0.01)


def kill_all(mark: str) -> None:
    """Kill every process with `mark`, also those they start meanwhile."""
    for _ in range(100):
        if not (left := marked(mark)):
            return
        for process in left:
            try:
                os.kill(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.01)


def keepers(mark: str) -> list[Process]:
    """Return the processes that wait for zygotes to end."""
    found = _of_zygotes(mark)
    return [process for process in found if process.parent not in {other.pid for other in found}]


def zygotes(mark: str) -> list[Process]:
    """Return the processes that fork tasks (not the tasks: those have a zygote as their parent)."""
    pids = {process.pid for process in keepers(mark)}
    return [process for process in _of_zygotes(mark) if process.parent in pids]


def _of_zygotes(mark: str) -> list[Process]:
    return [process for process in marked(mark) if "metaflow.compute.local.zygote" in process.command]
