"""The zygote that is started before the command line is parsed: taken over by the run, or stopped."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from metaflow.compute.local.zygote_process import ZygoteProcess

if TYPE_CHECKING:
    from metaflow.cli.session import Session

_started: list[ZygoteProcess] = []


def start(session: Session) -> None:
    """Start the process that tasks come from."""
    isolation = session.settings.local_isolation or ("fork" if sys.platform == "linux" else "exec")
    _started.append(ZygoteProcess(session.script, session.path, fork=isolation == "fork"))


def take(session: Session) -> ZygoteProcess:
    """Hand over the process, starting it if need be; the taker stops it."""
    if not _started:
        start(session)
    return _started.pop()


def stop() -> None:
    """Stop the process, if nobody took it."""
    while _started:
        _started.pop().stop()
