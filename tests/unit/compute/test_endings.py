"""Ends of processes that left no word: a class, a sentence, what to do."""

from __future__ import annotations

import signal

import pytest

from metaflow.compute.endings import failure_of, out_of_memory
from metaflow.exception import TaskCrashed, TaskExited, TaskFailed, TaskKilled

CRASHES = ("SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGTRAP", "SIGSYS")
KILLS = ("SIGKILL", "SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGPIPE", "SIGALRM", "SIGXCPU", "SIGXFSZ", "SIGUSR1")


@pytest.mark.parametrize(
    ("name", "kind"), [*((name, TaskCrashed) for name in CRASHES), *((name, TaskKilled) for name in KILLS)]
)
def test_a_signal_is_named(name: str, kind: type[TaskFailed]) -> None:
    number = int(signal.Signals[name])
    failure = failure_of("train", None, number)
    assert type(failure) is kind
    assert failure.message.startswith("the step 'train' did not finish: ")
    assert name in failure.message
    assert not failure.message.endswith(".")
    assert failure.values == {"signal": number}


@pytest.mark.parametrize("name", [name for name in CRASHES if name not in ("SIGABRT", "SIGSEGV")])
def test_a_crash_says_what_to_do(name: str) -> None:
    assert failure_of("train", None, int(signal.Signals[name])).hint


def test_a_signal_without_a_name() -> None:
    assert "signal 61" in failure_of("train", None, 61).message


@pytest.mark.parametrize(("code", "words"), [(0, "exit status 0"), (3, "exit status 3"), (137, "exit status 137")])
def test_an_exit_is_no_kill(code: int, words: str) -> None:
    failure = failure_of("train", code, None)
    assert type(failure) is TaskExited
    assert words in failure.message
    assert failure.values == {"exit_code": code}
    assert (failure.hint is not None) == (code == 0)


def test_the_peak_of_memory_is_kept_and_told_of_a_kill() -> None:
    assert failure_of("train", 3, None, peak_mb=512.0).values == {"exit_code": 3, "peak_mb": 512.0}
    assert "512 MB" in failure_of("train", None, 9, peak_mb=512.0).message


def test_out_of_memory_tells_peak_and_limit() -> None:
    failure = out_of_memory("train", peak_mb=1900.0, limit_mb=2000.0)
    assert failure.kind == "memory"
    assert "1.9 GB" in failure.message
    assert "2.0 GB" in failure.message
    assert failure.values == {"signal": 9, "peak_mb": 1900.0, "limit_mb": 2000.0}
    assert "memory" in out_of_memory("train").message
