"""Why a task in a container failed: the supervisor's word, the backend's, and which of them counts."""

from __future__ import annotations

from metaflow.compute.jobs.ends import failure_of_job, never_started
from metaflow.compute.jobs.outcome import ProcessEnd
from metaflow.compute.jobs.protocol import JobEnded
from metaflow.exception import TaskExited, TaskKilled, TaskOutOfMemory, TaskPreempted, TaskTimedOut

KILLED = ProcessEnd(None, 9, peak_mb=500.0, limit_mb=512.0)
ENDED = JobEnded(1, 0, 137)
TOO_MUCH = ENDED._replace(failure=TaskOutOfMemory("the pod was killed for lack of memory"))


def test_the_supervisor_saw_the_kernel_kill_it() -> None:
    failure = failure_of_job("train", ENDED, KILLED._replace(oom=True))
    assert type(failure) is TaskOutOfMemory
    assert failure.values["peak_mb"] == 500.0
    assert "its limit is 512 MB" in failure.message


def test_what_the_supervisor_measured_goes_with_the_word_of_the_backend() -> None:
    failure = failure_of_job("train", TOO_MUCH, KILLED)
    assert failure is not None
    assert failure.message != "the pod was killed for lack of memory"
    assert failure_of_job("train", TOO_MUCH, None) is TOO_MUCH.failure


def test_the_backend_knows_more_than_the_signal() -> None:
    evicted = TaskPreempted("the node was taken away")
    assert failure_of_job("train", ENDED._replace(failure=evicted), KILLED) is evicted


def test_a_time_limit() -> None:
    assert type(failure_of_job("train", ENDED, KILLED._replace(timed_out=True))) is TaskTimedOut


def test_the_boot_program_says_why_it_could_not_start_the_task() -> None:
    failure = failure_of_job("train", JobEnded(1, 0, 64, tail=[b"no python", b"the package is damaged."]), None)
    assert type(failure) is TaskExited
    assert failure.message.endswith("the package is damaged")


def test_a_container_that_was_asked_to_end() -> None:
    left = ProcessEnd(143, None, terminated=True)
    evicted = TaskPreempted("the node was taken away")
    assert failure_of_job("train", ENDED._replace(failure=evicted), left) is evicted
    told = failure_of_job("train", ENDED, left)
    assert type(told) is TaskKilled
    assert "asked to end" in told.message


def test_nothing_but_a_signal() -> None:
    assert failure_of_job("train", ENDED, KILLED) is None


def test_a_sentence_of_the_scheduler_keeps_no_full_stop_of_its_own() -> None:
    failure = never_started("train", 5, "no node has so much memory.", "DEADLINE")
    assert failure.message == "the step 'train' has waited 5 seconds to be started: no node has so much memory"
