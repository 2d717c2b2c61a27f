"""Processes of this machine and their descendants: finding and ending what a task leaves behind.

On Linux a *subreaper* adopts the orphans among its descendants, so it finds them as its children. Elsewhere these calls
do nothing, and what left its process group is not found.
"""

from __future__ import annotations

import os
import resource  # noqa: F401 - what `os.wait4` imports, from wherever it is then
import signal
import sys
import time
from collections.abc import Container, Iterable, Iterator
from typing import Any

from metaflow import shadows

PATIENCE = 1.0
"""Seconds to wait for killed processes to be gone."""

STRAY_GRACE = 0.2
"""Seconds that a process may outlive its task: workers and trackers of a library end when their pipes close."""

_OURS = "metaflow.compute."
_COMMAND = 80
"""Characters of a command line that are shown."""

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def system_call() -> Any:
    """Return Linux's prctl, elsewhere a stand-in."""
    if sys.platform != "linux":
        return lambda *_: 0
    import ctypes

    return ctypes.CDLL(None).prctl


def die_with_parent(prctl: Any, number: int) -> None:
    """Have the kernel send this process a signal when its parent dies."""
    prctl(_PR_SET_PDEATHSIG, number)


def become_subreaper(prctl: Any = None) -> None:
    """Adopt the orphans among the descendants of this process."""
    (prctl or system_call())(_PR_SET_CHILD_SUBREAPER, 1)


def children() -> frozenset[int]:
    """Return the process ids of this process's children, adopted ones included."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", "rb") as file:
            return frozenset(int(pid) for pid in file.read().split())
    except OSError:
        return frozenset()


def kill_group(pid: int, number: int = signal.SIGKILL) -> None:
    """Send a signal to the group that a process leads, and to the process if it has left it: to each once."""
    try:
        os.killpg(pid, number)
        if os.getpgid(pid) == pid:
            return
    except (ProcessLookupError, PermissionError):
        pass
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        pass


def handles(pid: int, number: int) -> bool:
    """Tell whether a process has a handler for a signal; False where the system does not say."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            caught = next(int(line.split()[1], 16) for line in file if line.startswith("SigCgt:"))
    except (OSError, StopIteration):
        return False
    return bool(caught >> (number - 1) & 1)


def is_group(id: int) -> bool:
    """Tell whether there is a process group."""
    try:
        os.killpg(id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def described(pid: int) -> str:
    """Return what a process runs, for people; empty if it is over."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
    if not words:
        return ""
    # A child that was forked without an exec has the command line of what it was forked from.
    command = "a forked Python process" if _OURS in words else words.partition("\n")[0][:_COMMAND]
    return f"{command} (pid {pid})"


def ended_strays(described: Iterable[str]) -> str:
    """Return the line of a task's log about processes that were ended since their task had ended."""
    return f"Ended what the step had left running: {', '.join(described)}."


def kill_children(except_for: Container[int] = ()) -> None:
    """Kill the children, and what they leave behind in turn, and wait until they are gone."""
    end = time.monotonic() + PATIENCE
    empty = 0  # times; a list that is read while a child ends may lack another
    while empty < 3 and _has_children() and time.monotonic() < end:
        left = [pid for pid in children() if pid not in except_for]
        empty = 0 if left or not except_for else empty + 1
        for pid in left:
            kill_group(pid)
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                pass
        time.sleep(0.001)


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def dead_children() -> Iterator[tuple[int, int, float]]:
    """Take children that have died off the kernel's list: process ids, wait statuses, peaks of memory in MB."""
    unit = 1 if sys.platform == "darwin" else 1024
    while True:
        try:
            with shadows.AsMeant("resource"):  # which this call imports
                pid, status, usage = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield pid, status, usage.ru_maxrss * unit / 1e6
