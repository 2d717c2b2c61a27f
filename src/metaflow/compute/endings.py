"""How a process ended, in a class and a sentence: the same words for a local process, a pod and a Batch job."""

from __future__ import annotations

import signal

from metaflow.exception import TaskCrashed, TaskExited, TaskFailed, TaskKilled

_CRASHES = {
    signal.SIGSEGV: "it crashed with a segmentation fault, an error in native code",
    signal.SIGABRT: "it aborted (SIGABRT), an error in native code",
}
_KILLS = {
    signal.SIGKILL: "it was killed (SIGKILL), by somebody or by the kernel for lack of memory",
    signal.SIGTERM: "it was terminated (SIGTERM)",
}


def failure_of(step: str, code: int | None, number: int | None) -> TaskFailed:
    """Say how a task's process ended that left no word.

    Parameters
    ----------
    step : str
        The step's name.
    code : int or None
        Its exit status.
    number : int or None
        The signal that ended it.
    """
    if number is not None:
        if number in _CRASHES:
            return TaskCrashed(f"the step '{step}' did not finish: {_CRASHES[signal.Signals(number)]}", signal=number)
        known = _KILLS.get(signal.Signals(number)) if number in set(signal.Signals) else None
        return TaskKilled(
            f"the step '{step}' did not finish: {known or f'it was ended by signal {number}'}", signal=number
        )
    if code == 0:
        ending = "its process ended early, with exit status 0 (os._exit?)"
    else:
        ending = f"its process ended with exit status {code}"
    return TaskExited(f"the step '{step}' did not finish: {ending}", exit_code=-1 if code is None else code)
