"""Where a card is made: interpreter, machine, installed packages. Only true of the task that makes its own card."""

from __future__ import annotations

import os
import platform
import socket
import sys
from functools import cache
from typing import NamedTuple

_MOST_PACKAGES = 500


class Surroundings(NamedTuple):
    """Where a task runs.

    Attributes
    ----------
    python, executable, platform, host : str
        The interpreter and the machine.
    packages : tuple of (str, str)
        Names and versions of installed distributions, by name.
    """

    python: str
    executable: str
    platform: str
    host: str
    packages: tuple[tuple[str, str], ...]


@cache
def surroundings() -> Surroundings:
    """Return where this process runs."""
    machine = os.uname()  # `platform.platform` starts a process
    return Surroundings(
        f"{platform.python_implementation()} {platform.python_version()}",
        sys.executable or "",
        f"{machine.sysname}-{machine.release}-{machine.machine}",
        socket.gethostname(),
        tuple(sorted(_packages().items(), key=lambda each: each[0].lower())[:_MOST_PACKAGES]),
    )


def _packages() -> dict[str, str]:
    """Return what is installed, by the names of directories: to read their files would take a hundred times as long."""
    found: dict[str, str] = {}
    for directory in sys.path:
        try:
            entries = os.listdir(directory or ".")
        except OSError:
            continue
        for entry in entries:
            stem, dot, _ = entry.rpartition(".dist-info")
            name, dash, version = stem.rpartition("-")
            if dot and dash:
                found.setdefault(name, version)  # the first one is that which is imported
    return found
