"""How a process ended, in a class and a sentence: the same words for a local process, a pod and a Batch job.

A sentence says what happened; its hint, what to do. Pure: what is known of the end is handed in.
"""

from __future__ import annotations

import signal

from metaflow.exception import TaskCrashed, TaskExited, TaskFailed, TaskKilled, TaskOutOfMemory

PEAK_FACT = "peak-memory-mb"
"""The fact that says how much memory a task had at its peak, in MB."""

_NATIVE = "an error in native code: run the step under `python -X faulthandler` to see where"

# Signals that the kernel sends because of what the process did: what it means, what to do.
_CRASHES = {
    signal.SIGSEGV: ("it crashed with a segmentation fault (SIGSEGV)", _NATIVE),
    signal.SIGABRT: ("it aborted (SIGABRT)", f"{_NATIVE}; what it printed last may say why"),
    signal.SIGBUS: (
        "it touched memory that is not there (SIGBUS)",
        "a file that it had mapped became shorter, or /dev/shm or the disk below the file is full",
    ),
    signal.SIGFPE: ("it did arithmetic that cannot be, such as an integer divided by zero (SIGFPE)", _NATIVE),
    signal.SIGILL: (
        "it met an instruction that this processor does not have (SIGILL)",
        "a library was built for another kind of processor: install a build for this one",
    ),
    signal.SIGTRAP: ("it ran into a trap (SIGTRAP)", _NATIVE),
    signal.SIGSYS: (
        "it made a system call that is not allowed here (SIGSYS)",
        "a sandbox (seccomp) forbids it: allow the call, or use a library that does without",
    ),
}
# Signals that somebody or a limit sent.
_KILLS = {
    signal.SIGKILL: ("it was killed (SIGKILL)", None),
    signal.SIGTERM: ("it was terminated (SIGTERM)", "somebody or a service of this machine ended it"),
    signal.SIGINT: ("it was interrupted (SIGINT)", None),
    signal.SIGQUIT: ("it was asked to quit (SIGQUIT)", None),
    signal.SIGHUP: ("it was hung up (SIGHUP)", "a terminal that it belonged to was closed"),
    signal.SIGPIPE: ("it wrote to a pipe that nobody reads (SIGPIPE)", "the step has changed how SIGPIPE is handled"),
    signal.SIGALRM: ("a timer that it had set ran out (SIGALRM)", "the step, or a library, has called alarm()"),
    signal.SIGXCPU: ("it used more processor time than it may (SIGXCPU)", "raise the limit: ulimit -t"),
    signal.SIGXFSZ: ("it wrote a larger file than it may (SIGXFSZ)", "raise the limit: ulimit -f"),
}


def failure_of(step: str, code: int | None, number: int | None, *, peak_mb: float | None = None) -> TaskFailed:
    """Say how a task's process ended that left no word.

    Parameters
    ----------
    step : str
        The step's name.
    code : int or None
        Its exit status.
    number : int or None
        The signal that ended it.
    peak_mb : float, optional
        The most memory that it had.
    """
    values = _memory(peak_mb, None)
    if number is None:
        ending = f"its process ended with exit status {code}"
        hint = None
        if code == 0:
            ending = "its process ended early, with exit status 0"
            hint = "the step, or a library, has called os._exit()"
        return TaskExited(_sentence(step, ending), hint=hint, exit_code=-1 if code is None else code, **values)
    values["signal"] = number
    known = signal.Signals(number) if number in set(signal.Signals) else None
    if known in _CRASHES:
        ending, hint = _CRASHES[known]
        return TaskCrashed(_sentence(step, ending), hint=hint, **values)
    name = f"signal {number}" if known is None else known.name
    ending, hint = _KILLS.get(known, (f"it was ended by {name}", None)) if known else (f"it was ended by {name}", None)
    if number == signal.SIGKILL and peak_mb is not None:
        ending += f", it seems by somebody: it had {_amount(peak_mb)} of memory"
    elif number == signal.SIGKILL:
        ending += ", by somebody or by the kernel for lack of memory"
    return TaskKilled(_sentence(step, ending), hint=hint, **values)


def out_of_memory(
    step: str, *, peak_mb: float | None = None, limit_mb: float | None = None, is_requested: bool = False
) -> TaskOutOfMemory:
    """Return the failure of a task that the kernel killed for lack of memory.

    Parameters
    ----------
    step : str
        The step's name.
    peak_mb, limit_mb : float, optional
        The most memory that it had, and the most that it could have had.
    is_requested : bool
        Whether the limit is the task's own, which it has asked for, rather than that of all processes there.
    """
    had = f" when it had {_amount(peak_mb)}" if peak_mb is not None else ""
    limit = ""
    if limit_mb is not None:
        limit = f"; its limit is {_amount(limit_mb)}" if is_requested else f"; all processes share {_amount(limit_mb)}"
    return TaskOutOfMemory(
        _sentence(step, f"the kernel killed it for lack of memory{had}{limit}"),
        hint="ask for more: @resources(memory=…), in MB"
        if is_requested
        else "load less at a time, run fewer tasks at once (--max-workers), or use a machine with more memory",
        signal=int(signal.SIGKILL),
        **_memory(peak_mb, limit_mb),
    )


def cancelled(step: str) -> str:
    """Return the sentence about a task that was ended because the run ended."""
    return f"the step '{step}' was ended before it had finished, because the run has failed or was interrupted"


def _sentence(step: str, ending: str) -> str:
    return f"the step '{step}' did not finish: {ending}"


def _memory(peak_mb: float | None, limit_mb: float | None) -> dict[str, float]:
    return {name: value for name, value in (("peak_mb", peak_mb), ("limit_mb", limit_mb)) if value is not None}


def _amount(mb: float) -> str:
    return f"{mb / 1000:.1f} GB" if mb >= 1000 else f"{mb:.0f} MB"
