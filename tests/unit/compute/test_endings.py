"""Ends of attempts: which word about an end counts; and of processes without a word, a class, a sentence, a hint."""

from __future__ import annotations

import signal

import pytest

from metaflow.compute.endings import (
    PEAK_FACT,
    AttemptResult,
    EndContext,
    classify_end,
    failure_of_process,
    out_of_memory,
)
from metaflow.compute.protocol import Ended
from metaflow.compute.report import TaskReport
from metaflow.exception import TaskCrashed, TaskExited, TaskFailed, TaskKilled, TaskOutOfMemory, TaskPreempted
from support.present import present

CRASHES = ("SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGTRAP", "SIGSYS")
KILLS = ("SIGKILL", "SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGPIPE", "SIGALRM", "SIGXCPU", "SIGXFSZ", "SIGUSR1")


@pytest.mark.parametrize(
    ("name", "kind"), [*((name, TaskCrashed) for name in CRASHES), *((name, TaskKilled) for name in KILLS)]
)
def test_a_signal_is_named(name: str, kind: type[TaskFailed]) -> None:
    number = int(signal.Signals[name])
    failure = failure_of_process("train", None, number)
    assert type(failure) is kind
    assert failure.message.startswith("the step 'train' did not finish: ")
    assert name in failure.message
    assert not failure.message.endswith(".")
    assert failure.values == {"signal": number}


@pytest.mark.parametrize("name", [name for name in CRASHES if name not in ("SIGABRT", "SIGSEGV")])
def test_a_crash_says_what_to_do(name: str) -> None:
    assert failure_of_process("train", None, int(signal.Signals[name])).hint


def test_a_signal_without_a_name() -> None:
    assert "signal 61" in failure_of_process("train", None, 61).message


@pytest.mark.parametrize(("code", "words"), [(0, "exit status 0"), (3, "exit status 3"), (137, "exit status 137")])
def test_an_exit_is_no_kill(code: int, words: str) -> None:
    failure = failure_of_process("train", code, None)
    assert type(failure) is TaskExited
    assert words in failure.message
    assert failure.values == {"exit_code": code}
    assert (failure.hint is not None) == (code == 0)


def test_the_peak_of_memory_is_kept_and_told_of_a_kill() -> None:
    assert failure_of_process("train", 3, None, peak_mb=512.0).values == {"exit_code": 3, "peak_mb": 512.0}
    assert "512 MB" in failure_of_process("train", None, 9, peak_mb=512.0).message


def test_out_of_memory_tells_peak_and_limit() -> None:
    failure = out_of_memory("train", peak_mb=1900.0, limit_mb=2000.0)
    assert failure.kind == "memory"
    assert "1.9 GB" in failure.message
    assert "2.0 GB" in failure.message
    assert failure.values == {"signal": 9, "peak_mb": 1900.0, "limit_mb": 2000.0}
    assert "memory" in out_of_memory("train").message


CONTEXT = EndContext("train", ("join",), is_stopped=False, seconds=1.0, time_limit=None)
FAILED = TaskReport(failure=TaskOutOfMemory("the step 'train' got no more memory"))


def ended(report: TaskReport | None = None, code: int | None = None, number: int | None = None) -> Ended:
    return Ended(2, 1, code, number, report)


def silent(result: AttemptResult) -> TaskFailed:
    """Return the failure of an attempt that said nothing of its end."""
    assert not result.is_told
    return present(result.report.failure)


def test_a_word_of_success_is_believed() -> None:
    report = TaskReport(("join",))
    assert classify_end(ended(report, code=0), CONTEXT) == AttemptResult(report)


def test_a_transition_that_the_source_does_not_have() -> None:
    result = classify_end(ended(TaskReport(("end",)), code=0), CONTEXT)
    assert "went on to end" in present(result.report.failure).message


def test_a_failure_that_was_told_counts_rather_than_how_the_process_ended() -> None:
    assert classify_end(ended(FAILED, number=9), CONTEXT._replace(is_stopped=True)) == AttemptResult(FAILED)


@pytest.mark.parametrize("report", [TaskReport(("join",)), FAILED])
def test_what_was_stored_before_the_process_died_counts(report: TaskReport) -> None:
    assert classify_end(ended(number=9), CONTEXT, stored=report) == AttemptResult(report)


def test_what_the_engine_ended_is_cancelled() -> None:
    assert silent(classify_end(ended(number=15), CONTEXT._replace(is_stopped=True))).kind == "cancelled"


@pytest.mark.parametrize(("seconds", "code", "kind"), [(5.0, 1, "timeout"), (4.0, 1, "exited"), (5.0, 2, "exited")])
def test_a_process_that_its_timeout_ended(seconds: float, code: int, kind: str) -> None:
    context = CONTEXT._replace(seconds=seconds, time_limit=5.0)
    failure = silent(classify_end(ended(code=code), context))
    assert failure.kind == kind
    assert failure.values.get("limit_seconds") == (5.0 if kind == "timeout" else None)


def test_what_the_launcher_knows_counts_more_than_code_and_signal() -> None:
    preempted = TaskPreempted("the node was taken away")
    assert silent(classify_end(ended(number=9)._replace(failure=preempted), CONTEXT)) is preempted


def test_the_peak_of_memory_goes_with_the_failure() -> None:
    failure = silent(classify_end(ended(number=9)._replace(facts={PEAK_FACT: "512"}), CONTEXT))
    assert type(failure) is TaskKilled
    assert failure.values == {"signal": 9, "peak_mb": 512.0}
