"""What the kernel says of this container's memory: its limit, the most that was used, and kills for lack of it.

A container sees its own control group at the top of the file system of control groups, of version 1 or 2.
"""

from __future__ import annotations

CONTROL_GROUPS = "/sys/fs/cgroup"
_NO_LIMIT = 1 << 60


class MemoryGroup:
    """The control group of this container.

    Parameters
    ----------
    root : str
        Where control groups are mounted.
    """

    def __init__(self, root: str = CONTROL_GROUPS) -> None:
        self._root = root

    def kills(self) -> int:
        """Return how many processes were killed for lack of memory; on old kernels, how often there was none left."""
        for name in ("memory.events", "memory/memory.oom_control"):
            for line in self._read(name).splitlines():
                word, _, number = line.partition(" ")
                if word == "oom_kill" and number.isdigit():
                    return int(number)
        failures = self._read("memory/memory.failcnt").strip()
        return int(failures) if failures.isdigit() else 0

    def peak_mb(self) -> float | None:
        """Return the most memory that was used at a time, in MB; None if the kernel does not keep it."""
        return self._megabytes("memory.peak", "memory/memory.max_usage_in_bytes")

    def limit_mb(self) -> float | None:
        """Return the limit in MB; None if there is none."""
        return self._megabytes("memory.max", "memory/memory.limit_in_bytes")

    def _megabytes(self, *names: str) -> float | None:
        for name in names:
            text = self._read(name).strip()
            if text.isdigit() and int(text) < _NO_LIMIT:
                return int(text) / 1e6
        return None

    def _read(self, name: str) -> str:
        try:
            with open(f"{self._root}/{name}", encoding="ascii") as file:
                return file.read()
        except (OSError, UnicodeDecodeError):
            return ""
