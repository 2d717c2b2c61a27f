"""A task's report on its way: through the channel, and through the outcome object of a container."""

from __future__ import annotations

import json
import os

import pytest

from metaflow.compute.jobs.outcome import Outcome, ProcessEnd
from metaflow.compute.report import CHANNEL, TaskReport, open_channel
from metaflow.exception import TaskOutOfMemory
from metaflow.metadata_provider.entries import FactsEntry
from metaflow.metadata_provider.protocol import Fact, TaskPath

ENTRY = FactsEntry(TaskPath("F", "1", "train", "2"), 0, [Fact("attempt", "0", "attempt")])
SPLIT = TaskReport(("train",), 3, entries=(ENTRY,))


def sent(report: TaskReport) -> TaskReport:
    """Send a report through a channel."""
    read_end, write_end = os.pipe()
    environ = {CHANNEL: f"{write_end}:7"}
    try:
        open_channel(environ)(report)
        message = json.loads(os.read(read_end, 1 << 16))
    finally:
        os.close(read_end)
        os.close(write_end)
    assert environ == {}, "what the task starts must not write there"
    assert message["outcome"] == 7
    return TaskReport.from_json(message)


def test_a_success_arrives_as_it_was_sent() -> None:
    assert sent(SPLIT) == SPLIT
    assert sent(TaskReport()) == TaskReport()


def test_a_failure_keeps_its_class_and_values() -> None:
    failure = TaskOutOfMemory("no more memory", hint="load less", peak_mb=9.0)
    arrived = sent(TaskReport(failure=failure, entries=(ENTRY,)))
    assert not arrived.ok
    assert type(arrived.failure) is TaskOutOfMemory
    assert arrived.failure.record() == failure.record()
    assert arrived.entries == (ENTRY,)


def test_where_nobody_listens_nothing_is_sent() -> None:
    open_channel({})(SPLIT)


def test_an_engine_that_has_gone_is_no_error_of_the_task(capsys: pytest.CaptureFixture[str]) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    open_channel({CHANNEL: f"{write_end}:7"})(SPLIT)
    os.close(write_end)
    assert "could not be told" in capsys.readouterr().err


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome(),
        Outcome(SPLIT, {"spot": "1"}, ProcessEnd(0, None, peak_mb=12.5)),
        Outcome(None, {}, ProcessEnd(None, 9, oom=True, limit_mb=512.0)),
    ],
)
def test_an_outcome_is_read_as_it_was_written(outcome: Outcome) -> None:
    assert Outcome.from_bytes(outcome.to_bytes()) == outcome


def test_an_outcome_that_is_not_there_says_nothing() -> None:
    assert Outcome.from_bytes(None) == Outcome()
