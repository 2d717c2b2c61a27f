"""How a run that is over stands: what its lease keeps, and what `Run.status` and `Run.failure` read."""

from __future__ import annotations

from metaflow.exception import MetaflowException, RunFailed, TaskFailed
from metaflow.metadata_provider.lease import Standing
from metaflow.runtime.events import Finish


def standing_of(finish: Finish, interrupted: int | None, cause: TaskFailed | None) -> Standing:
    """Return how a run stands that the engine has brought to its end.

    Parameters
    ----------
    finish : Finish
        The scheduler's last instruction.
    interrupted : int or None
        Number of the signal that ended the run.
    cause : TaskFailed or None
        Why the first task failed for good.
    """
    if finish.ok:
        return Standing("successful")
    if interrupted is not None:
        return Standing("interrupted", RunFailed(finish.reason, signal=interrupted))
    values: dict[str, float | str] = {}
    if finish.culprit is not None:
        values = {"step": finish.culprit.step, "task": str(finish.culprit.id)}
    if cause is not None:
        values["cause"] = cause.kind
        if "where" in cause.values:
            values["where"] = cause.values["where"]
    return Standing("failed", RunFailed(finish.reason, hint=cause.hint if cause is not None else None, **values))


def standing_after(error: BaseException) -> Standing:
    """Return how a run stands that the engine could not bring to its end."""
    if isinstance(error, KeyboardInterrupt):
        return Standing("interrupted", RunFailed("interrupted before the first task", hint=None, signal=2))
    if isinstance(error, MetaflowException):
        return Standing("failed", RunFailed(error.message, hint=error.hint))
    return Standing("failed", RunFailed(f"the run broke down: {type(error).__name__}: {error}"))
