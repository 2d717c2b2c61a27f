"""The zygote that was started before the command line was parsed: taken over by the run, or stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from metaflow.compute.local.launcher import ZygoteProcess

_started: list[ZygoteProcess] = []


def keep(zygote: ZygoteProcess) -> None:
    """Remember the process."""
    _started.append(zygote)


def take() -> ZygoteProcess | None:
    """Hand over the process, if one was started; the taker stops it."""
    return _started.pop() if _started else None


def stop() -> None:
    """Stop the process, if nobody took it."""
    zygote = take()
    if zygote is not None:
        zygote.stop()
