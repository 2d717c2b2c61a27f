"""``list`` and ``kill`` over a backend in this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import pytest

from metaflow import registry
from metaflow.cli.jobs import job_commands
from metaflow.compute.jobs.protocol import JobReport, RunningJob
from metaflow.exception import CommandException
from metaflow.settings.values import Values

from ..client.written import Place
from .session import Looking
from .session import invoke as invoke_plainly

JOBS: list[RunningJob] = []
ENDED: list[RunningJob] = []


class Backend:
    """As much of `JobBackend` as the commands use."""

    kind = "jobs-of-a-test"
    title = "Paper"

    def __init__(self, values: Values) -> None:
        self.values = values

    async def open(self, report: Callable[[JobReport], None]) -> None: ...

    async def unfinished(self, labels: Mapping[str, str]) -> list[RunningJob]:
        return [job for job in JOBS if labels.items() <= job.labels.items()]

    async def end(self, jobs: list[RunningJob]) -> None:
        ENDED.extend(jobs)

    async def close(self) -> None: ...


registry.register("job backend", "jobs-of-a-test", f"{__name__}:Backend")
COMMANDS = job_commands("jobs-of-a-test")


@pytest.fixture(autouse=True)
def _nothing_there() -> None:
    JOBS.clear()
    ENDED.clear()


def running(run: str, user: str = "ann", flow: str = "Numbers", seconds: float = 0) -> RunningJob:
    labels = {"flow": flow, "run": run, "step": "fit", "task": "3", "attempt": "1", "user": user}
    JOBS.append(RunningJob(f"job-{len(JOBS)}", labels, "running", time.time() - seconds))
    return JOBS[-1]


def invoke(place: Place, *words: str) -> Looking:
    return invoke_plainly(place, COMMANDS, *words)


def test_the_latest_run_unless_told_otherwise(place: Place) -> None:
    run = place.run().id
    running(run, seconds=300)
    running(run + "0")
    found = invoke(place, "list")
    assert found.results == [f"Numbers/{run}/fit/3 (attempt 1)  job-0  5 min  running"]
    assert found.remarks == [f"1 unfinished job of Numbers/{run} on Paper."]


def test_whose_jobs(place: Place) -> None:
    running("1")
    running("2")
    running("3", user="bob")
    running("4", flow="Other")
    assert len(invoke(place, "list", "--my-runs").results) == 2
    assert len(invoke(place, "list", "--user", "bob").results) == 1
    assert len(invoke(place, "list", "--run-id", "3").results) == 1
    assert len(invoke(place, "list", "--run-id", "Numbers/3", "--my-runs").results) == 0
    assert len(invoke(place, "list", "--run-id", "4").results) == 0
    assert invoke(place, "list", "-u", "cy").remarks == [
        "No unfinished jobs of the flow Numbers, started by cy on Paper."
    ]


def test_only_these_are_ended(place: Place) -> None:
    running("1")
    other = running("1", flow="Other")
    running("2", user="bob")
    found = invoke(place, "kill", "--my-runs")
    assert [job.id for job in ENDED] == ["job-0"]
    assert other not in ENDED
    assert found.results == ["Numbers/1/fit/3 (attempt 1)  job-0"]
    assert found.remarks == ["1 unfinished job of the flow Numbers, started by ann on Paper: being ended."]
    assert invoke(place, "kill", "--run-id=7").remarks == ["No unfinished jobs of Numbers/7 on Paper: nothing to kill."]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "has no runs here"),
        (["--my-runs", "--user=bob"], "cannot be given together"),
        (["--run-id="], "'' is not a name"),
        (["--run-id=Other/7"], "'Other/7' is not a name"),
        (["--user="], "'' is not a name"),
    ],
)
@pytest.mark.parametrize("command", ["list", "kill"])
def test_what_cannot_be_asked(place: Place, command: str, words: list[str], message: str) -> None:
    with pytest.raises(CommandException, match=message):
        invoke(place, command, *words)
    assert ENDED == []


def test_a_name_for_each_backend() -> None:
    batch = job_commands("batch")
    assert batch.name == "batch"
    assert sorted(batch.commands) == ["kill", "list"]
    assert registry.load("job backend", "batch").kind == "batch"
