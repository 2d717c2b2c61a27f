"""The backend with a Batch in this process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from metaflow.compute.batch.backend import BatchBackend
from metaflow.compute.batch.client import AwsError
from metaflow.compute.jobs.protocol import JobEnded, JobReport, JobStarted
from metaflow.compute.jobs.retry import RetryPolicy, Unavailable
from metaflow.compute.jobs.shell import Pace
from metaflow.compute.jobs.tracked import Timeouts
from metaflow.compute.protocol import Waiting
from metaflow.exception import MetaflowException, TaskCancelled, TaskLost, TaskNotPlaced, TaskOutOfMemory
from metaflow.settings.values import Values
from support.batch_service import QUEUE, BatchInMemory

from .asked import ROLE, job, request

QUICK: dict[str, Any] = {
    "timeouts": Timeouts(explain=0.1, explain_every=0.1, missing=0.5, misses=3),
    "pace": Pace(RetryPolicy(0.01, 0.02), answer=0.3, silence=0.02, told=0.2, gone=0.2, tick=0.02),
}
RUNNABLE = {"status": "RUNNABLE"}
RUNNING = {"status": "RUNNING", "startedAt": 1}
GOOD = {"status": "SUCCEEDED", "container": {"image": "python:3.11", "exitCode": 0, "logStreamName": "s"}}
BAD = {
    "status": "FAILED",
    "statusReason": "Essential container in task exited",
    "container": {"image": "i", "exitCode": 3, "logStreamName": "s"},
}


class Ground:
    """A backend at work, and what it says."""

    def __init__(
        self, service: BatchInMemory, entries: dict[str, str] | None = None, pace: dict[str, Any] = QUICK
    ) -> None:
        self.service = service
        self.said: list[str] = []
        self.reports: list[JobReport] = []
        self.backend = BatchBackend(Values(entries or {}), say=self.said.append, client=service, **pace)
        self._news = asyncio.Event()

    def hear(self, report: JobReport) -> None:
        self.reports.append(report)
        self._news.set()

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def ends(self, number: int = 1) -> list[JobEnded]:
        await self.until(lambda: len(self.of(JobEnded)) >= number)
        return [report for report in self.reports if isinstance(report, JobEnded)]

    def of(self, kind: type) -> list[JobReport]:
        return [report for report in self.reports if isinstance(report, kind)]

    def reasons(self) -> list[str]:
        return [report.reason for report in self.reports if isinstance(report, Waiting)]


@asynccontextmanager
async def ground(service: BatchInMemory, pace: dict[str, Any] = QUICK, **entries: str) -> AsyncIterator[Ground]:
    place = Ground(service, entries, pace)
    await place.backend.open(place.hear)
    try:
        yield place
    finally:
        service.ends_when_told = True
        await place.backend.close()


def test_a_job_waits_runs_and_ends() -> None:
    async def main() -> None:
        service = BatchInMemory([RUNNABLE, RUNNING, GOOD])
        async with ground(service, {}) as place:
            place.backend.submit(job(5, attempt=2))
            (ended,) = await place.ends()
            assert ended == JobEnded(5, 2, 0, None, {"batch-log-stream": "s"}, [])
            assert [type(report) for report in place.reports] == [Waiting, JobStarted, JobEnded]
            assert place.reasons() == [f"RUNNABLE in the queue {QUEUE}"]
            started = place.of(JobStarted)[0]
            assert isinstance(started, JobStarted)
            assert started.where == "Batch job job-1"
            assert started.facts["batch-queue"] == QUEUE
            assert started.facts["memory-mb"] == "512"
            assert service.counts["log_tail"] == 0

    asyncio.run(main())


def test_a_failed_job_has_its_last_lines() -> None:
    async def main() -> None:
        async with ground(BatchInMemory([BAD])) as place:
            place.backend.submit(job())
            (ended,) = await place.ends()
            assert (ended.code, ended.failure, ended.tail) == (3, None, [b"one", b"two"])
            assert place.of(JobStarted)

    asyncio.run(main())


def test_why_it_failed_is_told() -> None:
    async def main() -> None:
        container = {"exitCode": 137, "reason": "OutOfMemoryError: Container killed", "memory": 512}
        async with ground(BatchInMemory([{**BAD, "container": container}])) as place:
            place.backend.submit(job())
            (ended,) = await place.ends()
            assert isinstance(ended.failure, TaskOutOfMemory)
            assert ended.failure.values == {"limit_mb": 512.0}

    asyncio.run(main())


@pytest.mark.slow
def test_a_thousand_jobs() -> None:
    async def main() -> None:
        service = BatchInMemory([RUNNABLE, RUNNING, GOOD])
        async with ground(service, {}) as place:
            for task in range(1000):
                place.backend.submit(job(task))
            ended = await place.ends(1000)
            assert sorted(end.task for end in ended) == list(range(1000))
            assert len(service.submissions) == 1000
            assert service.counts["register"] == service.counts["definition"] == service.counts["queues"] == 1
            assert service.counts["describe"] <= 60  # three looks at each job, ten calls each, and some in between
            assert threading.get_ident() not in service.threads
            assert len(service.threads) <= 8

    asyncio.run(main())


def test_each_job_is_submitted_once_even_if_no_answer_comes() -> None:
    async def main() -> None:
        service = BatchInMemory([RUNNING, GOOD])
        service.troubles["submit"] = [
            Unavailable("too many requests"),
            Unavailable("read timed out", unsure=True),
            Unavailable("too many requests"),
        ]
        service.troubles["find"] = [Unavailable("too many requests")]
        service.troubles["register"] = [Unavailable("too many requests")]
        async with ground(service) as place:
            place.backend.submit(job())
            (ended,) = await place.ends()
            assert ended.code == 0
            assert len(service.submissions) == len(service.jobs) == 1
            assert "AWS Batch has not taken the job yet: read timed out" in place.reasons()

    asyncio.run(main())


def test_a_submission_that_was_lost_is_made_again() -> None:
    async def main() -> None:
        service = BatchInMemory([GOOD])
        original = service.find
        service.troubles["submit"] = [Unavailable("read timed out", unsure=True)]

        def not_found(queue: str, name: str) -> str | None:
            service.jobs.clear()
            return original(queue, name)

        service.find = not_found  # type: ignore[method-assign]
        async with ground(service) as place:
            place.backend.submit(job())
            assert (await place.ends())[0].code == 0
            assert len(service.submissions) == 2

    asyncio.run(main())


def test_throttled_looks_are_waited_out_and_said() -> None:
    async def main() -> None:
        service = BatchInMemory([RUNNING, GOOD])
        async with ground(service) as place:
            service.troubles["describe"] = [Unavailable("too many requests")] * 4
            place.backend.submit(job())
            (ended,) = await place.ends()
            assert ended.code == 0
            assert place.said[0].startswith("AWS Batch does not answer: too many requests.")
            assert place.said[1:] == ["AWS Batch answers again."]

    asyncio.run(main())


def test_what_batch_refuses_ends_with_its_words() -> None:
    async def main() -> None:
        service = BatchInMemory([GOOD])
        service.troubles["submit"] = [AwsError("ClientException", "memory is too small")]
        async with ground(service) as place:
            place.backend.submit(job())
            (ended,) = await place.ends()
            assert isinstance(ended.failure, TaskNotPlaced)
            assert ended.failure.message == "AWS Batch refuses the step 'start': memory is too small"
            place.backend.submit(job(2))
            assert (await place.ends(2))[1].code == 0

    asyncio.run(main())


@pytest.mark.parametrize(
    ("queue", "words"), [("other", "no job queue 'other' in test-1"), (None, "no job queue is set")]
)
def test_a_queue_that_is_not_there(queue: str | None, words: str) -> None:
    async def main() -> None:
        async with ground(BatchInMemory()) as place:
            asked = request(queue=queue)
            place.backend.submit(job(resources=asked))
            (ended,) = await place.ends()
            assert isinstance(ended.failure, TaskNotPlaced)
            assert words in ended.failure.message
            problems = await place.backend.preflight({"a": asked, "b": asked, "c": request()})
            assert [(problem.steps, problem.certain) for problem in problems] == [(("a", "b"), True)]
            assert words in problems[0].message.lower()

    asyncio.run(main())


def test_tags_that_may_not_be_set_are_left_out() -> None:
    async def main() -> None:
        service = BatchInMemory([GOOD])
        service.troubles["submit"] = [AwsError("AccessDeniedException", "no batch:TagResource for you")]
        async with ground(service, METAFLOW_BATCH_EMIT_TAGS="1") as place:
            place.backend.submit(job(1))
            await place.ends(1)
            place.backend.submit(job(2))
            await place.ends(2)
            assert ["tags" in call for call in service.submissions] == [False, False]

    asyncio.run(main())


def test_a_cancelled_job_is_terminated() -> None:
    async def main() -> None:
        service = BatchInMemory([RUNNING])
        service.troubles["terminate"] = [Unavailable("too many requests")]
        async with ground(service) as place:
            place.backend.submit(job())
            await place.until(lambda: place.of(JobStarted))
            place.backend.cancel(1)
            place.backend.cancel(1)
            place.backend.cancel(77)
            (ended,) = await place.ends()
            assert isinstance(ended.failure, TaskCancelled)
            assert service.counts["terminate"] == 2

    asyncio.run(main())


def test_a_job_that_is_cancelled_before_it_was_submitted() -> None:
    async def main() -> None:
        service = BatchInMemory([RUNNING])
        async with ground(service) as place:
            place.backend.submit(job())
            place.backend.cancel(1)
            (ended,) = await place.ends()
            assert isinstance(ended.failure, TaskCancelled)
            assert service.submissions == []

    asyncio.run(main())


def test_a_job_that_is_cancelled_while_it_is_unsure_whether_it_was_submitted() -> None:
    async def main() -> None:
        service = BatchInMemory([RUNNING])
        service.troubles["submit"] = [Unavailable("read timed out", unsure=True)]
        async with ground(service) as place:
            place.backend.submit(job())
            await place.until(place.reasons)
            place.backend.cancel(1)
            (ended,) = await place.ends()
            assert isinstance(ended.failure, TaskCancelled)
            assert service.jobs["job-1"]["status"] == "FAILED"

    asyncio.run(main())


def test_a_job_that_had_succeeded_when_it_was_cancelled_has() -> None:
    async def main() -> None:
        service = BatchInMemory([RUNNING, GOOD])
        service.ends_when_told = False
        async with ground(service) as place:
            place.backend.submit(job())
            await place.until(lambda: place.of(JobStarted))
            place.backend.cancel(1)
            (ended,) = await place.ends()
            assert (ended.code, ended.failure) == (0, None)

    asyncio.run(main())


def test_close_ends_all_and_is_silent() -> None:
    async def main() -> None:
        service = BatchInMemory([RUNNING])
        async with ground(service) as place:
            for task in range(20):
                place.backend.submit(job(task))
            await place.until(lambda: len(place.of(JobStarted)) == 20)
            number = len(place.reports)
            await place.backend.close()
            assert {each["status"] for each in service.jobs.values()} == {"FAILED"}
            assert len(place.reports) == number

    asyncio.run(main())


def test_close_names_what_it_could_not_end() -> None:
    async def main() -> None:
        service = BatchInMemory([RUNNING])
        place = Ground(service)
        await place.backend.open(place.hear)
        place.backend.submit(job())
        await place.until(lambda: place.of(JobStarted))
        service.troubles["terminate"] = [Unavailable("gone")] * 1000
        with pytest.raises(MetaflowException, match="could not be told to end 1 jobs of this run"):
            await place.backend.close()

    asyncio.run(main())


def test_a_job_that_waits_for_too_long() -> None:
    async def main() -> None:
        service = BatchInMemory([{**RUNNABLE, "statusReason": "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"}])
        async with ground(service, METAFLOW_BATCH_PENDING_DEADLINE="0.5") as place:
            place.backend.submit(job())
            (ended,) = await place.ends()
            assert isinstance(ended.failure, TaskNotPlaced)
            assert "has waited 0.5 seconds to be started: RUNNABLE in the queue" in ended.failure.message
            assert "INSUFFICIENT_INSTANCE_CAPACITY" in ended.failure.message
            assert service.jobs["job-1"]["status"] == "FAILED"

    asyncio.run(main())


def test_why_a_job_waits_for_long_is_guessed() -> None:
    async def main() -> None:
        service = BatchInMemory([RUNNABLE])
        async with ground(service) as place:
            place.backend.submit(job(resources=request(3, 9000, gpu=5)))
            await place.until(lambda: "no machine of the queue" in place.reasons()[-1] if place.reasons() else False)
            service.queue["state"] = "DISABLED"
            await place.until(lambda: "it is disabled" in place.reasons()[-1])
            service.queue["state"] = "ENABLED"
            place.backend.submit(job(2))
            await place.until(lambda: any("(at most 64 vCPUs)" in reason for reason in place.reasons()))

    asyncio.run(main())


def test_a_job_that_batch_does_not_know_any_more_is_lost() -> None:
    async def main() -> None:
        service = BatchInMemory([RUNNING])
        async with ground(service) as place:
            place.backend.submit(job())
            await place.until(lambda: place.of(JobStarted))
            service.jobs.clear()
            (ended,) = await place.ends()
            assert isinstance(ended.failure, TaskLost)
            assert "does not know the job job-1" in ended.failure.message

    asyncio.run(main())


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (Unavailable("token has expired", credentials=True), "does not accept the credentials: token has expired"),
        (AwsError("AccessDeniedException", "no batch:DescribeJobs"), "does not allow this"),
        (Unavailable("connection refused"), "does not answer: connection refused"),
    ],
)
def test_there_is_no_way_to_batch(trouble: Exception, words: str) -> None:
    service = BatchInMemory()
    service.troubles["describe"] = [trouble] * 1000
    with pytest.raises(MetaflowException, match=words):
        asyncio.run(BatchBackend(Values({}), client=service, **QUICK).open(lambda report: None))


def test_preflight_asks_for_roles_of_this_account() -> None:
    async def main() -> None:
        service = BatchInMemory()
        async with ground(service) as place:
            other = ROLE.replace("111122223333", "444455556666").replace("flows", "nobody")
            requests = {
                "good": request(),
                "missing": request(iam_role=ROLE.replace("flows", "nobody")),
                "other": request(iam_role=other),
                "large": request(1000),
            }
            problems = {problem.steps: problem for problem in await place.backend.preflight(requests)}
            assert set(problems) == {("missing",), ("large",)}
            assert "does not exist" in problems["missing",].message
            assert not problems["large",].certain

    asyncio.run(main())


def test_preflight_without_permissions_finds_nothing() -> None:
    async def main() -> None:
        service = BatchInMemory()
        async with ground(service) as place:
            service.troubles["queues"] = [AwsError("AccessDeniedException", "no")]
            service.troubles["has_role"] = [AwsError("AccessDenied", "no")]
            assert await place.backend.preflight({"a": request(9999)}) == []
            service.troubles["queues"] = [AwsError("ServerException", "odd")]
            (problem,) = await place.backend.preflight({"a": request(queue="else")})
            assert not problem.certain
            assert "could not be found out: odd" in problem.message

    asyncio.run(main())


def test_unfinished_jobs_are_found_by_their_labels_and_ended() -> None:
    async def main() -> None:
        service = BatchInMemory([RUNNING])
        async with ground(service) as place:
            place.backend.submit(job(1))
            place.backend.submit(job(2, run="8", flow="Long" * 50))
            place.backend.submit(job(3, user="bob smith"))
            await place.until(lambda: len(place.of(JobStarted)) == 3)
            every = await place.backend.unfinished({})
            assert [each.created for each in every] == [1, 2, 3]
            (own,) = await place.backend.unfinished({"flow": "Hello", "user": "ann"})
            assert own.labels == job(1).labels
            assert own.status == "running"
            assert [each.labels["task"] for each in await place.backend.unfinished({"flow": "Long" * 50})] == ["2"]
            assert [each.labels["task"] for each in await place.backend.unfinished({"user": "bob smith"})] == ["3"]
            assert await place.backend.unfinished({"flow": "Hell"}) == []
            await place.backend.end(every[2:])
            ended = await place.ends()
            assert isinstance(ended[0].failure, TaskCancelled)
            assert "somebody ended the Batch job" in ended[0].failure.message
            service.troubles["queues"] = [AwsError("AccessDeniedException", "no")]
            with pytest.raises(MetaflowException, match="does not allow"):
                await place.backend.unfinished({})

    asyncio.run(main())


def test_the_queue_of_the_settings_will_do_if_queues_cannot_be_listed() -> None:
    async def main() -> None:
        service = BatchInMemory([{**RUNNABLE, "statusReason": "busy"}])
        async with ground(service, METAFLOW_BATCH_JOB_QUEUE=QUEUE) as place:
            place.backend.submit(job(1))
            await place.until(lambda: place.reasons() and "busy" in place.reasons()[-1])
            service.troubles["queues"] = [AwsError("AccessDeniedException", "no")]
            (own,) = await place.backend.unfinished({"flow": "Hello"})
            assert own.status == f"waiting: RUNNABLE in the queue {QUEUE}: busy"

    asyncio.run(main())


def test_fargates_sizes_are_said_once() -> None:
    async def main() -> None:
        service = BatchInMemory([GOOD])
        service.environment["computeResources"] = {"type": "FARGATE"}
        async with ground(service) as place:
            for task in (1, 2):
                place.backend.submit(job(task, resources=request(1, 3000, execution_role=ROLE)))
            await place.ends(2)
            (said,) = place.said
            assert "gets 1 and 3072" in said

    asyncio.run(main())


def test_a_released_job_is_left_alone() -> None:
    async def main() -> None:
        service = BatchInMemory([RUNNING])
        async with ground(service) as place:
            place.backend.submit(job(1))
            await place.until(lambda: place.of(JobStarted))
            place.backend.abandon(1)
            place.backend.abandon(7)
            place.backend.submit(job(1, attempt=1))
            await place.until(lambda: len(place.of(JobStarted)) == 2)
            await place.backend.close()
            assert [each["status"] for each in service.jobs.values()] == ["RUNNING", "FAILED"]

    asyncio.run(main())


def test_close_without_open() -> None:
    async def main() -> None:
        await BatchBackend(Values({}), client=BatchInMemory()).close()

    asyncio.run(main())


def test_a_defect_of_ours_ends_the_jobs() -> None:
    async def main() -> None:
        service = BatchInMemory([{"status": None, "jobQueue": 7, "container": 5}])
        async with ground(service) as place:
            place.backend.submit(job())
            (ended,) = await place.ends()
            assert isinstance(ended.failure, TaskLost)
            assert "is not known: " in ended.failure.message

    asyncio.run(main())


def test_preflight_asks_each_question_once() -> None:
    async def main() -> None:
        service = BatchInMemory()
        async with ground(service) as place:
            assert await place.backend.preflight({"a": request(), "b": request()}) == []
            assert service.counts["instance_types"] == 0
            asked = {str(cpu): request(cpu, 5000) for cpu in range(20)}
            assert await place.backend.preflight(asked) == []
            names = ("queues", "environments", "instance_types", "has_role")
            assert [service.counts[name] for name in names] == [1, 1, 1, 1]

    asyncio.run(main())
