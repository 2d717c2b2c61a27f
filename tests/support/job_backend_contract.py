"""The contract of `JobBackend`: tests that every implementation passes.

A module that wants them run makes a fixture `stage` and imports all names from here.
"""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from metaflow.compute.jobs.protocol import Job, JobEnded, JobReport, JobStarted
from metaflow.compute.jobs.shell import JobShell
from metaflow.compute.protocol import Waiting
from metaflow.exception import TaskFailed
from support.job_stages import BAD, GOOD, LONG, Stage

SECONDS = 90.0


class Launch:
    """A backend at work, and what it reports."""

    def __init__(self, stage: Stage, run: str) -> None:
        self.stage = stage
        self.run = run
        self.reports: list[JobReport] = []
        self.said: list[str] = []
        self.backend = stage.backend(self.said.append)
        self._tasks = itertools.count(1)
        self._news = asyncio.Event()

    async def open(self) -> None:
        await self.backend.open(self._hear)

    def _hear(self, report: JobReport) -> None:
        if isinstance(self.backend, JobShell):
            self.backend.machine.validate()
        self.reports.append(report)
        self._news.set()

    def submit(self, program: str, task: int | None = None, attempt: int = 0) -> int:
        task = next(self._tasks) if task is None else task
        labels = {"flow": "Contract", "run": self.run, "step": "go", "task": str(task), "attempt": str(attempt)}
        argv = ("python", "-c", program)
        job = Job(task, attempt, "go", argv, {"GIVEN": "x"}, {**labels, "user": "ann"}, self.stage.request(), 600.0)
        self.backend.submit(job)
        return task

    def of(self, task: int, attempt: int = 0) -> list[Any]:
        return [report for report in self.reports if (report.task, report.attempt) == (task, attempt)]

    async def started(self, task: int, attempt: int = 0) -> JobStarted:
        found: JobStarted = await self._until(JobStarted, task, attempt)
        return found

    async def ended(self, task: int, attempt: int = 0) -> JobEnded:
        found: JobEnded = await self._until(JobEnded, task, attempt)
        return found

    async def _until(self, kind: type, task: int, attempt: int) -> Any:
        async with asyncio.timeout(SECONDS):
            while not (found := [each for each in self.of(task, attempt) if isinstance(each, kind)]):
                self._news.clear()
                await self._news.wait()
        return found[0]

    async def unfinished(self, **labels: str) -> list[str]:
        """Return the ids of the tasks of this run that are listed as unfinished."""
        found = await self.backend.unfinished({"flow": "Contract", "run": self.run, **labels})
        return [job.labels["task"] for job in found]


Scene = Callable[[Launch], Awaitable[None]]


def play(stage: Stage, scene: Scene) -> Launch:
    """Play a scene with an open backend; when it is closed, nothing of it may run, and it must have kept its order."""

    async def main() -> Launch:
        async with stage.running():
            launch, other = (Launch(stage, run) for run in [uuid.uuid4().hex[:12]] * 2)
            await launch.open()
            try:
                await scene(launch)
            finally:
                await launch.backend.close()
            await other.open()
            left = await other.unfinished()
            await other.backend.close()
        assert left == []
        return launch

    launch = asyncio.run(main())
    for key in {(report.task, report.attempt) for report in launch.reports}:
        kinds = [type(report) for report in launch.of(*key)]
        assert kinds.count(JobEnded) <= 1
        assert JobEnded not in kinds[:-1]
        assert kinds.count(JobStarted) <= 1
        assert JobStarted not in kinds or Waiting not in kinds[kinds.index(JobStarted) :]
        reasons = [report.reason for report in launch.of(*key) if isinstance(report, Waiting)]
        assert all(one != next_one for one, next_one in itertools.pairwise(reasons))
    return launch


# --- ends ------------------------------------------------------------------------------------------------------------


def test_a_job_that_ends_well(stage: Stage) -> None:
    async def scene(launch: Launch) -> None:
        task = launch.submit(GOOD)
        started, ended = await launch.started(task), await launch.ended(task)
        assert started.where
        assert (ended.code, ended.failure, ended.tail) == (0, None, [])

    play(stage, scene)


def test_a_job_that_ends_badly_has_its_last_lines(stage: Stage) -> None:
    async def scene(launch: Launch) -> None:
        task = launch.submit(BAD)
        ended = await launch.ended(task)
        assert (ended.code, ended.failure, ended.tail) == (3, None, [b"one", b"two"])

    play(stage, scene)


def test_a_fact_is_told_once(stage: Stage) -> None:
    async def scene(launch: Launch) -> None:
        task = launch.submit(GOOD)
        started, ended = await launch.started(task), await launch.ended(task)
        assert started.facts
        assert not started.facts.items() & ended.facts.items()

    play(stage, scene)


def test_many_jobs_have_an_end_each(stage: Stage) -> None:
    async def scene(launch: Launch) -> None:
        tasks = [launch.submit(BAD if number % 3 == 0 else GOOD) for number in range(9)]
        assert [(await launch.ended(task)).code for task in tasks] == [3, 0, 0] * 3

    play(stage, scene)


# --- ends that are asked for -----------------------------------------------------------------------------------------


def test_cancelling_what_runs(stage: Stage) -> None:
    async def scene(launch: Launch) -> None:
        task, other = launch.submit(LONG), launch.submit(LONG)
        await launch.started(task)
        await launch.started(other)
        launch.backend.cancel(task)
        launch.backend.cancel(task)
        launch.backend.cancel(10**6)
        ended = await launch.ended(task)
        assert ended.code != 0
        assert ended.failure is None or isinstance(ended.failure, TaskFailed)
        assert not any(isinstance(report, JobEnded) for report in launch.of(other))
        launch.backend.cancel(task)

    play(stage, scene)


def test_cancelling_what_has_hardly_begun(stage: Stage) -> None:
    async def scene(launch: Launch) -> None:
        tasks = [launch.submit(LONG) for _ in range(3)]
        for task in tasks:
            launch.backend.cancel(task)
        for task in tasks:
            assert (await launch.ended(task)).code != 0

    play(stage, scene)


def test_closing_ends_all_and_is_silent(stage: Stage) -> None:
    async def scene(launch: Launch) -> None:
        await launch.started(launch.submit(LONG))
        launch.submit(LONG)
        count = len(launch.reports)
        await launch.backend.close()
        assert len(launch.reports) == count

    play(stage, scene)


def test_closing_what_was_never_opened(stage: Stage) -> None:
    async def main() -> None:
        async with stage.running():
            await Launch(stage, "0").backend.close()

    asyncio.run(main())


# --- what the launcher knows better ----------------------------------------------------------------------------------


def test_a_start_that_is_noticed_is_reported_once(stage: Stage) -> None:
    async def scene(launch: Launch) -> None:
        task = launch.submit(LONG)
        launch.backend.notice_started(task)
        launch.backend.notice_started(10**6)
        await launch.started(task)
        launch.backend.notice_started(task)

    play(stage, scene)


def test_an_abandoned_job_is_left_alone(stage: Stage) -> None:
    async def main() -> None:
        async with stage.running():
            launch, other = (Launch(stage, run) for run in [uuid.uuid4().hex[:12]] * 2)
            await launch.open()
            task = launch.submit(LONG)
            await launch.started(task)
            launch.backend.abandon(task)
            launch.backend.abandon(10**6)
            launch.submit(GOOD, task, attempt=1)
            await launch.ended(task, attempt=1)
            await launch.backend.close()
            assert [type(report) for report in launch.of(task) if not isinstance(report, Waiting)] == [JobStarted]
            await other.open()
            (left,) = await other.backend.unfinished({"flow": "Contract", "run": launch.run})
            assert left.labels["attempt"] == "0"
            await other.backend.end([left])
            await other.backend.close()

    asyncio.run(main())


# --- from outside ----------------------------------------------------------------------------------------------------


def test_others_list_jobs_by_their_labels_and_end_them(stage: Stage) -> None:
    async def scene(launch: Launch) -> None:
        first = launch.submit(LONG)
        await launch.started(first)
        second = launch.submit(LONG)
        await launch.started(second)
        other = Launch(stage, launch.run)
        await other.open()
        assert sorted(await other.unfinished()) == [str(first), str(second)]
        assert await other.unfinished(user="bob") == []
        assert await other.unfinished(task=str(second), user="ann") == [str(second)]
        jobs = await other.backend.unfinished({"flow": "Contract", "run": launch.run})
        assert jobs == sorted(jobs, key=lambda job: job.created)
        assert all(job.status.startswith("running") for job in jobs)
        await other.backend.end([job for job in jobs if job.labels["task"] == str(first)])
        assert (await launch.ended(first)).code != 0
        await other.backend.close()
        assert not any(isinstance(report, JobEnded) for report in launch.of(second))

    play(stage, scene)


def test_what_no_job_can_have_is_one_problem(stage: Stage) -> None:
    async def scene(launch: Launch) -> None:
        good, impossible = stage.request(), stage.impossible()
        assert await launch.backend.preflight({"a": good, "b": good}) == []
        if stage.has_limits:
            (problem,) = await launch.backend.preflight({"a": impossible, "b": impossible, "c": good})
            assert problem.steps == ("a", "b")
            assert problem.message.endswith(".")

    play(stage, scene)


# --- trouble ---------------------------------------------------------------------------------------------------------


def test_a_service_that_is_away_ends_no_job(stage: Stage) -> None:
    if not stage.has_outages:
        pytest.skip("this service is always there")

    async def scene(launch: Launch) -> None:
        bad, long = launch.submit(BAD), launch.submit(LONG)
        await launch.started(bad)
        await launch.started(long)
        async with stage.away():
            late = launch.submit(GOOD)
            async with asyncio.timeout(SECONDS):
                while not launch.said:
                    await asyncio.sleep(0.02)
        assert (await launch.ended(bad)).code == 3
        assert (await launch.ended(late)).code == 0
        assert not any(isinstance(report, JobEnded) for report in launch.of(long))

    launch = play(stage, scene)
    assert len(launch.said) == 2, "that it does not answer, and that it does again"
