"""How a run ended: the status that its lease keeps, and that `Run.status` and `Run.failure` read."""

from __future__ import annotations

from metaflow.exception import MetaflowException, RunFailed, TaskFailed, text_of
from metaflow.metadata_provider.lease import RunStatus
from metaflow.runtime.events import Finish


def status_of(finish: Finish, interrupted: int | None, cause: TaskFailed | None) -> RunStatus:
    """Return the status of a run that the engine has brought to its end.

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
        return RunStatus("successful")
    if interrupted is not None:
        return RunStatus("interrupted", RunFailed(finish.reason, signal=interrupted))
    values: dict[str, float | str] = {}
    if finish.culprit is not None:
        values = {"step": finish.culprit.step, "task": str(finish.culprit.id)}
    if cause is not None:
        values["cause"] = cause.kind
        values |= {name: cause.values[name] for name in ("where", "foreach") if name in cause.values}
    return RunStatus("failed", RunFailed(finish.reason, hint=cause.hint if cause is not None else None, **values))


def culprit_line(failure: TaskFailed) -> str | None:
    """Name the task that made a run fail, and its place in the foreaches around it; None if there is none."""
    if "step" not in failure.values:
        return None
    place = f": {failure.values['foreach']}" if "foreach" in failure.values else ""
    return f"Step {failure.values['step']} (task-id {failure.values['task']}) failed{place}."


def status_after(error: BaseException) -> RunStatus:
    """Return the status of a run that the engine could not bring to its end."""
    if isinstance(error, KeyboardInterrupt):
        return RunStatus("interrupted", RunFailed("interrupted before the first task", hint=None, signal=2))
    if isinstance(error, MetaflowException):
        return RunStatus("failed", RunFailed(error.message, hint=error.hint))
    return RunStatus("failed", RunFailed(f"the run broke down: {type(error).__name__}: {text_of(error)}"))
