"""How an attempt ended: which word about its end counts, and the class and the sentence of its failure.

The same for a local process, a pod and a Batch job; what only one backend knows is in that backend's `endings`. A
sentence says what happened; its hint, what to do. Pure: what is known of the end is handed in.

Start reading at `classify_end`.
"""

from __future__ import annotations

import signal
from collections.abc import Collection
from typing import NamedTuple

from metaflow.compute.protocol import Ended
from metaflow.compute.report import TaskReport
from metaflow.exception import (
    StepRaised,
    TaskCancelled,
    TaskCrashed,
    TaskExited,
    TaskFailed,
    TaskKilled,
    TaskOutOfMemory,
    TaskTimedOut,
)

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


class EndContext(NamedTuple):
    """What is known of an attempt beside what its launcher tells of its end.

    Attributes
    ----------
    step : str
        Its step.
    successors : collection of str
        The steps that may follow, as the flow's source has it.
    is_stopped : bool
        Whether the engine ended it.
    seconds : float
        How long it ran.
    time_limit : float or None
        How long it may run.
    """

    step: str
    successors: Collection[str]
    is_stopped: bool
    seconds: float
    time_limit: float | None


class AttemptResult(NamedTuple):
    """How an attempt counts.

    Attributes
    ----------
    report : TaskReport
        For the scheduler.
    is_told : bool
        Whether the task's own log says so; else its process died without a word.
    """

    report: TaskReport
    is_told: bool = True


def classify_end(ended: Ended, context: EndContext, stored: TaskReport | None = None) -> AttemptResult:
    """Decide how an attempt counts.

    What the task said of itself comes first, then what it had stored when its process died; only of a task that left
    neither does it count how its process ended.

    Parameters
    ----------
    ended : Ended
        What the launcher tells.
    context : EndContext
        What the engine knows.
    stored : TaskReport, optional
        How the attempt ended as the storage has it, if it came to its done marker.
    """
    report = ended.report or stored
    if report is not None and report.failure is not None and context.is_stopped and _is_interrupted(report.failure):
        return AttemptResult(TaskReport(failure=_stopped(context, report.failure)))
    if report is None:
        return AttemptResult(TaskReport(failure=_silent_failure(ended, context)), is_told=False)
    unexpected = [step for step in report.next if step not in context.successors]
    if unexpected:
        sentence = f"the step '{context.step}' went on to {', '.join(unexpected)}, which its source does not say"
        return AttemptResult(TaskReport(failure=StepRaised(sentence)))
    return AttemptResult(report)


def _silent_failure(ended: Ended, context: EndContext) -> TaskFailed:
    """Say why a task failed that left no word."""
    if context.is_stopped:
        return _stopped(context)
    # Exit status 1 after the limit: the exception of @timeout ended the process, and took its last word along.
    if context.time_limit is not None and ended.code == 1 and context.seconds >= context.time_limit:
        sentence = f"the step '{context.step}' took longer than its @timeout and did not react to it"
        return TaskTimedOut(sentence, limit_seconds=context.time_limit)
    peak = ended.facts.get(PEAK_FACT)
    return ended.failure or failure_of_process(
        context.step, ended.code, ended.signal, peak_mb=float(peak) if peak else None
    )


def _is_interrupted(failure: TaskFailed) -> bool:
    return failure.kind == TaskKilled.kind and failure.values.get("signal") == signal.SIGINT


def _stopped(context: EndContext, told: TaskFailed | None = None) -> TaskCancelled:
    """Return the failure of a task that the engine ended; `told`: what it said itself, with the place where it was."""
    place = {"where": told.values["where"]} if told is not None and "where" in told.values else {}
    sentence = f"the step '{context.step}' was ended before it had finished, because the run failed or was interrupted"
    return TaskCancelled(sentence, hint=None, **place)


def failure_of_process(step: str, code: int | None, number: int | None, *, peak_mb: float | None = None) -> TaskFailed:
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


def _sentence(step: str, ending: str) -> str:
    return f"the step '{step}' did not finish: {ending}"


def _memory(peak_mb: float | None, limit_mb: float | None) -> dict[str, float]:
    return {name: value for name, value in (("peak_mb", peak_mb), ("limit_mb", limit_mb)) if value is not None}


def _amount(mb: float) -> str:
    return f"{mb / 1000:.1f} GB" if mb >= 1000 else f"{mb:.0f} MB"
