"""Did the kernel kill a task for lack of memory, or did somebody? And how much memory is there?

A process that is killed for lack of memory ends by SIGKILL like any other. Three places tell, the surest first: the
kernel's log names the process (where it may be read); the control group of this process, in which its tasks are too,
counts such kills; and the machine counts them, where that counter must be paired with a task that was large.
"""

from __future__ import annotations

import os
import re

_NAMED = re.compile(rb"Killed process (\d+)")
_RECORD = 8192
_LARGE = 0.5
"""Part of the memory that a task must have had for a kill counted anywhere on the machine to be taken for its."""


class MemoryWatch:
    """Tells the ends of tasks for lack of memory from others, from now on.

    Parameters
    ----------
    proc, groups, log : str
        Where the kernel shows processes, control groups (version 1 or 2) and its log.

    Attributes
    ----------
    limit_mb : float or None
        MB for all tasks together: the group's limit, or the machine's memory.
    """

    def __init__(self, proc: str = "/proc", groups: str = "/sys/fs/cgroup", log: str = "/dev/kmsg") -> None:
        self._proc = proc
        group = _group(proc, groups)
        self._counter = f"{group}/memory.events" if group else ""
        if group and not os.path.exists(self._counter):
            self._counter = f"{group}/memory.oom_control"
        self._machine_counter = f"{proc}/vmstat"
        self._named: set[int] = set()
        self._log = _open_at_end(log)
        self.limit_mb = _limit(group, groups, proc)
        self._in_group = _count(self._counter)
        self._on_machine = _count(self._machine_counter)

    def has_killed(self, pid: int, peak_mb: float | None) -> bool:
        """Tell whether the task with this process id, which ended by SIGKILL, was killed for lack of memory."""
        self._read_log()
        in_group, on_machine = _count(self._counter), _count(self._machine_counter)
        is_known = pid in self._named
        if not is_known and in_group <= self._in_group:
            large = peak_mb is not None and self.limit_mb is not None and peak_mb >= _LARGE * self.limit_mb
            if not large or on_machine <= self._on_machine:
                return False
        # One kill explains one end.
        self._named.discard(pid)
        self._in_group = min(self._in_group + 1, in_group)
        self._on_machine = min(self._on_machine + 1, on_machine)
        return True

    def close(self) -> None:
        """Let go of the kernel's log."""
        if self._log >= 0:
            os.close(self._log)
            self._log = -1

    def _read_log(self) -> None:
        while self._log >= 0:
            try:
                record = os.read(self._log, _RECORD)
            except BrokenPipeError:  # records were overwritten before they were read; there are newer ones
                continue
            except OSError:
                return
            if not record:
                return
            self._named.update(int(pid) for pid in _NAMED.findall(record))


def _open_at_end(path: str) -> int:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return -1
    try:
        os.lseek(fd, 0, os.SEEK_END)
    except OSError:
        os.close(fd)
        return -1
    return fd


def _group(proc: str, groups: str) -> str | None:
    """Return the directory of this process's control group for memory."""
    for line in _lines(f"{proc}/self/cgroup"):
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if "memory" in controllers.split(","):
            top = f"{groups}/memory"
        elif number == "0" and not controllers and not os.path.isdir(f"{groups}/memory"):
            top = groups
        else:
            continue
        # In a container the path may be the host's, and the container's own group is mounted at the top.
        own = top + path.rstrip("/")
        return own if os.path.isdir(own) else top
    return None


def _limit(group: str | None, groups: str, proc: str) -> float | None:
    limits = []
    while group is not None and group.startswith(groups):
        for name in ("memory.max", "memory.limit_in_bytes"):
            limits += [int(line) / 1e6 for line in _lines(f"{group}/{name}") if line.isdigit()]
        group = os.path.dirname(group) if group != groups else None
    for line in _lines(f"{proc}/meminfo"):
        if line.startswith("MemTotal:"):
            limits.append(int(line.split()[1]) * 1024 / 1e6)
            break
    return min(limits, default=None)


def _count(path: str) -> int:
    for line in _lines(path) if path else ():
        name, _, value = line.partition(" ")
        if name == "oom_kill" and value.isdigit():
            return int(value)
    return 0


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().splitlines()
    except OSError:
        return []
