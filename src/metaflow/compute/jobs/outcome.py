"""The outcome object ``<task>/<attempt>.outcome.json``: all that a container says of the attempt that ran in it.

The supervisor writes it as its last word but the end marker, the launcher reads it. Pure: bytes out, bytes in::

    {"outcome": what the task told of itself, or null, "recorded": entries that it carries home,
     "facts": what the supervisor noticed,
     "ending": {"code", "signal", "oom", "peak_mb", "limit_mb", "timed_out", "terminated"}}
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from metaflow.compute.report import TaskReport


class ProcessEnd(NamedTuple):
    """How the process of a task ended, as its supervisor saw it.

    Attributes
    ----------
    code, signal : int or None
        Exit status, or the signal that ended it.
    oom : bool
        Whether the kernel killed it for lack of memory.
    peak_mb, limit_mb : float or None
        The most memory that it had, and the most that it could have had.
    timed_out : bool
        Whether the supervisor ended it at its time limit.
    terminated : bool
        Whether the container was asked to end.
    """

    code: int | None
    signal: int | None
    oom: bool = False
    peak_mb: float | None = None
    limit_mb: float | None = None
    timed_out: bool = False
    terminated: bool = False


class Outcome(NamedTuple):
    """What a container says of the attempt that ran in it.

    Attributes
    ----------
    report : TaskReport or None
        What the task told; None if its process ended without a word.
    facts : dict of str to str
        What the supervisor noticed, for the task's metadata.
    end : ProcessEnd or None
        How the process ended; None if nothing is known of it, because the supervisor died before it could say.
    """

    report: TaskReport | None = None
    facts: dict[str, str] = {}
    end: ProcessEnd | None = None

    def to_bytes(self) -> bytes:
        """Return the content of the outcome object."""
        told = self.report.to_json() if self.report is not None else None
        entries = told.pop("recorded", []) if told is not None else []
        end = self.end._asdict() if self.end is not None else None
        return json.dumps({"outcome": told, "recorded": entries, "facts": self.facts, "ending": end}).encode()

    @staticmethod
    def from_bytes(data: bytes | None) -> Outcome:
        """Read the content of an outcome object; None: there is no such object."""
        if not data:
            return Outcome()
        document: dict[str, Any] = json.loads(data)
        told, end = document["outcome"], document["ending"]
        report = TaskReport.from_json({**told, "recorded": document["recorded"]}) if told is not None else None
        return Outcome(report, document["facts"], ProcessEnd(**end) if end is not None else None)
