"""What the container of a remote task is told: a fixed command, and one variable with all that differs."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from metaflow.exception import TaskExited, TaskFailed

BOOT_FAILED = range(64, 80)
"""Exit statuses of the boot program: it has said why in its last line."""

LINK_EXPIRED = 70
"""The one of them that says that the job has waited for longer than its links are good for."""

VARIABLE = "MILLRACE_BOOT"

CERTIFICATES = "MILLRACE_CERTIFICATES"
"""Variable with the certificates, as PEM, that a task trusts besides those of its image."""

SPOT = "MILLRACE_SPOT"
"""Variable that names whose notices of machines that are taken away the supervisor waits for: ``aws``."""

GRACE = 15.0
"""Seconds between the polite and the forced end of a task; Kubernetes and Batch give its container 30."""


class Package(NamedTuple):
    """An archive that a task needs.

    Attributes
    ----------
    name : str
        ``runtime`` or ``code``.
    url : str
        Where the container gets it, without credentials of its own.
    sha256 : str
        Of the archive.
    """

    name: str
    url: str
    sha256: str


@cache
def argv(python: str | None = None) -> tuple[str, ...]:
    """Return the command of the container: its python, and the boot program as text."""
    with open(os.path.join(os.path.dirname(__file__), "boot.py"), encoding="utf-8") as file:
        return (python or "python", "-c", file.read())


def boot_failure(step: str, code: int | None, tail: Sequence[bytes]) -> TaskFailed | None:
    """Return why the boot program could not start the task, None if that is not how the container ended.

    Parameters
    ----------
    step : str
        The step's name.
    code : int or None
        Exit status of the container.
    tail : sequence of bytes
        Its last lines.
    """
    if code not in BOOT_FAILED or not tail:
        return None
    reason = tail[-1].decode("utf-8", "replace").rstrip(".")
    return TaskExited(f"the step '{step}' could not be started in its container: {reason}", exit_code=code or 0)


def boot_variable(
    packages: Sequence[Package],
    *,
    script: str,
    command: Sequence[str],
    storage: tuple[str, str],
    task: str,
    attempt: int,
    time_limit: float,
    grace: float = GRACE,
    log_bytes: int | None = None,
    module: str = "",
) -> dict[str, str]:
    """Return the variable that the container's command reads.

    Parameters
    ----------
    packages : sequence of Package
        What to fetch.
    script : str
        The flow file, relative to the code package.
    command : sequence of str
        The words after it.
    storage : tuple of str
        Kind and root.
    task : str
        ``flow/run/step/task``.
    attempt : int
        From 0.
    time_limit : float
        Seconds.
    grace : float
        Seconds between the request to end and the forced end.
    log_bytes : int, optional
        Most bytes kept of each stream.
    module : str, optional
        The flow file's dotted name, if it is started by that.
    """
    document = {
        "packages": [package._asdict() for package in packages],
        "script": script,
        "command": list(command),
        "storage": {"kind": storage[0], "root": storage[1]},
        "task": task,
        "attempt": attempt,
        "time_limit": time_limit,
        "grace": grace,
        **({"log_bytes": log_bytes} if log_bytes is not None else {}),
        **({"module": module} if module else {}),
    }
    return {VARIABLE: json.dumps(document, separators=(",", ":"))}
