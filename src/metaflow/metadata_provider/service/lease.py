"""Who carries out a run of a metadata service: heartbeats while it lives, and a fact about how it ended.

Heartbeats are the service's own way, which others understand too: a run without them for some time is lost. How the
run ended, and why, is a fact of its parameters, which only we read. Start reading at `ServiceLease.status`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from metaflow.exception import MetaflowException, RunFailed, TaskFailed
from metaflow.metadata_provider.lease import LOST_AFTER, RunStatus
from metaflow.metadata_provider.protocol import PARAMETERS_STEP, Fact, TaskPath
from metaflow.metadata_provider.service.connection import Unavailable
from metaflow.metadata_provider.service.documents import address

if TYPE_CHECKING:
    from metaflow.metadata_provider.service.metadata import ServiceMetadata

_FACT = "run-status"
_EARLY = 1.0
"""Seconds before it is due at which a heartbeat is sent, as the next chance comes late."""


class ServiceLease:
    """The lease of one run.

    Parameters
    ----------
    metadata : ServiceMetadata
        The service.
    flow, run : str
        Names.
    """

    kind = "service"

    def __init__(self, metadata: ServiceMetadata, flow: str, run: str) -> None:
        self._metadata = metadata
        self._run = (flow, run)
        self._due: dict[Sequence[str], float] = {}

    def take(self) -> None:
        """Say that this process carries out the run."""
        self.renew()

    def renew(self, tasks: Sequence[TaskPath] = ()) -> None:
        """Say that it still does, and of tasks that they run; a heartbeat that does not arrive is no trouble."""
        now = time.monotonic()
        for path in (self._run, *tasks):
            if self._due.get(path, now) - _EARLY > now:
                continue
            try:
                answer = self._metadata.connection.call("POST", f"{address(path)}/heartbeat", {})
            except Unavailable:
                return  # the others would wait as long
            if answer.ok and isinstance(answer.content, dict):
                self._due[path] = now + float(answer.content.get("wait_time_in_seconds") or 0)

    def check(self) -> None:
        """Make sure that the run is still kept: a service that is away is waited for where it is written to."""

    def end(self, state: str, failure: TaskFailed | None = None) -> None:
        """Say how the run ended; `state` as in `RunStatus`."""
        try:
            self.keep(RunStatus(state, failure, round(time.time(), 3)))
        except MetaflowException:
            pass  # the service is given up, and its run says so

    def keep(self, status: RunStatus) -> None:
        """Say how the run ended, here or elsewhere."""
        fact = Fact(_FACT, json.dumps(status.record()), _FACT)
        self._metadata.record(self._metadata.parameters(*self._run), None, [fact])

    def status(self) -> RunStatus | None:
        """Return how the run is doing; None if nothing tells."""
        run = self._metadata.get(self._run)
        if run is None:
            return None
        facts = self._metadata.facts((*self._run, PARAMETERS_STEP, "0"), _FACT)
        if facts:
            return RunStatus.from_record(json.loads(facts[-1]["value"]))
        beaten = run.get("last_heartbeat_ts")
        if not beaten:
            return RunStatus("running") if run.get("status") == "running" else None
        silent = time.time() - _seconds(float(beaten))
        if silent <= LOST_AFTER:
            return RunStatus("running")
        message = f"the process that carried out the run is gone: it has given no sign for {silent:.0f} s"
        return RunStatus("lost", RunFailed(message, hint="`resume` goes on from what had finished", cause="lost"))


class DatabaseLease(ServiceLease):
    """The lease of a run in the server's own database, which the server only reads."""

    kind = "database"


def _seconds(time: float) -> float:
    """Return a time in seconds; some services give it in milliseconds."""
    return time / 1000 if time > 1e11 else time
