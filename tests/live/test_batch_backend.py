"""`BatchBackend` against a real AWS Batch, or a server that runs its jobs in real containers.

It is found by the environment: METAFLOW_BATCH_JOB_QUEUE, METAFLOW_ECS_S3_ACCESS_IAM_ROLE,
METAFLOW_DEFAULT_CONTAINER_IMAGE, AWS_ENDPOINT_URL and what else boto3 needs. Each test has a flow of its own and
leaves no job.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from metaflow.compute.batch.backend import BatchBackend
from metaflow.compute.jobs.protocol import Job, JobEnded, JobReport, JobStarted
from metaflow.compute.protocol import Waiting
from metaflow.compute.resources import ResourceRequest
from metaflow.exception import MetaflowException, TaskCancelled, TaskFailed, TaskNotPlaced
from metaflow.settings.values import Values
from support.fault_proxy import Answer, Cut, FaultProxy
from support.interpreter import PYTHON

QUEUE = os.environ.get("METAFLOW_BATCH_JOB_QUEUE", "")
ROLE = os.environ.get("METAFLOW_ECS_S3_ACCESS_IAM_ROLE", "")
IMAGE = os.environ.get("METAFLOW_DEFAULT_CONTAINER_IMAGE", "")
ENDPOINT = os.environ.get("AWS_ENDPOINT_URL", "")
PATIENCE = 90

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(
        not (QUEUE and ROLE and IMAGE and ENDPOINT), reason="the environment names no AWS Batch to test with"
    ),
]


class Ground:
    """A backend at work, and what it reports."""

    def __init__(self, flow: str, **entries: str) -> None:
        self.flow = flow
        self.reports: list[JobReport] = []
        self.said: list[str] = []
        self.backend = BatchBackend(Values(entries), say=self.said.append)
        self._tasks = itertools.count(1)
        self._news = asyncio.Event()

    def hear(self, report: JobReport) -> None:
        self.reports.append(report)
        self._news.set()

    def submit(
        self, code: str, resources: ResourceRequest | None = None, environment: dict[str, str] | None = None
    ) -> int:
        task = next(self._tasks)
        labels = {"flow": self.flow, "run": "7", "step": "start", "task": str(task), "attempt": "0", "user": "ann"}
        argv = ("python", "-c", code)
        self.backend.submit(
            Job(task, 0, "start", argv, environment or {}, labels, resources or request(), 600.0),
        )
        return task

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self._news.clear()
                await self._news.wait()

    def has(self, kind: type, task: int) -> bool:
        return any(isinstance(report, kind) and report.task == task for report in self.reports)

    def definitions(self) -> set[str]:
        own = [each.facts for each in self.reports if isinstance(each, (JobStarted, JobEnded))]
        return {facts["batch-job-definition"] for facts in own if "batch-job-definition" in facts}

    async def end(self, task: int) -> JobEnded:
        await self.until(lambda: self.has(JobEnded, task))
        (ended,) = [each for each in self.reports if isinstance(each, JobEnded) and each.task == task]
        return ended


def request(image: str = IMAGE, *, cpu: float = 1, memory: int = 256, gpu: int = 0, **options: Any) -> ResourceRequest:
    shared = options.pop("shared_memory", None)
    options = {"queue": QUEUE, "iam_role": ROLE, **options}
    return ResourceRequest("batch", cpu, memory, gpu=gpu, shared_memory=shared, image=image, options=options)


@asynccontextmanager
async def ground(**entries: str) -> AsyncIterator[Ground]:
    place = Ground(f"Flow{uuid.uuid4().hex[:12]}", **entries)
    await place.backend.open(place.hear)
    try:
        yield place
    finally:
        await place.backend.close()
        for definition in place.definitions():
            aws().deregister_job_definition(jobDefinition=definition)
        await assert_nothing_left(place.flow)


async def assert_nothing_left(flow: str) -> None:
    backend = BatchBackend(Values({}))
    await backend.open(lambda report: None)
    try:
        assert await backend.unfinished({"flow": flow}) == []
    finally:
        await backend.close()


@pytest.fixture
def proxy() -> Iterator[FaultProxy]:
    proxy = FaultProxy(ENDPOINT)
    yield proxy
    proxy.go()


def through(proxy: FaultProxy) -> dict[str, str]:
    return {"METAFLOW_BATCH_CLIENT_PARAMS": f'{{"endpoint_url": "{proxy.url}"}}'}


def aws(service: str = "batch") -> Any:
    import boto3

    return boto3.client(service)


def test_jobs_run_and_end() -> None:
    async def main() -> None:
        async with ground() as place:
            good = place.submit(
                "import os; assert os.environ['MILLRACE_BOOT'] == 'x'", environment={"MILLRACE_BOOT": "x"}
            )
            bad = place.submit("import sys; print('one'); print('two'); sys.exit(3)")
            good_end, bad_end = await place.end(good), await place.end(bad)
            assert (good_end.code, good_end.failure) == (0, None)
            assert (bad_end.code, bad_end.failure, bad_end.tail) == (3, None, [b"one", b"two"])
            own = [type(report) for report in place.reports if report.task == good]
            assert own[-2:] == [JobStarted, JobEnded]
            assert set(own[:-2]) <= {Waiting}, "a state that passes says nothing"
            started = next(each for each in place.reports if isinstance(each, JobStarted))
            assert started.facts["batch-queue"] == QUEUE
            assert started.facts["image"] == IMAGE
            assert started.facts["batch-job-id"] in started.where

    asyncio.run(main())


def test_a_definition_serves_many_jobs() -> None:
    async def main() -> None:
        async with ground() as place:
            tasks = [place.submit("", request(cpu=cpu, memory=100 + cpu)) for cpu in range(1, 6)]
            assert {(await place.end(task)).code for task in tasks} == {0}
            (own,) = place.definitions()
            assert own.endswith(":1")

    asyncio.run(main())


@pytest.mark.parametrize(
    ("options", "path", "value"),
    [
        ({}, "image", IMAGE),
        ({}, "jobRoleArn", ROLE),
        ({"execution_role": ROLE}, "executionRoleArn", ROLE),
        ({"shared_memory": 64}, "linuxParameters.sharedMemorySize", 64),
        ({"max_swap": 100, "swappiness": 20}, "linuxParameters", {"maxSwap": 100, "swappiness": 20}),
        ({"use_tmpfs": True, "tmpfs_path": "/x"}, "linuxParameters.tmpfs.0.size", 128),
        ({"tmpfs_size": 50}, "linuxParameters.tmpfs.0.containerPath", "/metaflow_temp"),
        ({"inferentia": 2}, "linuxParameters.devices.1.hostPath", "/dev/neuron1"),
        ({"trainium": 1}, "linuxParameters.devices.0.hostPath", "/dev/neuron0"),
        ({"efa": 2}, "linuxParameters.devices.1.containerPath", "/dev/infiniband/uverbs1"),
        ({"host_volumes": ["/tmp:/data"]}, "mountPoints.0.containerPath", "/data"),
        (
            {"log_driver": "awslogs", "log_options": ["awslogs-group:mine"]},
            "logConfiguration.options.awslogs-group",
            "mine",
        ),
        ({"privileged": True}, "privileged", True),
    ],
)
def test_attributes_are_in_the_definition(options: dict[str, Any], path: str, value: object) -> None:
    async def main() -> None:
        async with ground() as place:
            task = place.submit("", request(**options))
            ended = await place.end(task)
            assert ended.code == 0 or options.get("privileged")  # not every Docker may
            found = definition_of(place)["containerProperties"]
            for key in path.split("."):
                found = found[int(key) if key.isdigit() else key]
            assert found == value

    asyncio.run(main())


def definition_of(place: Ground) -> dict[str, Any]:
    (name,) = place.definitions()
    return dict(aws().describe_job_definitions(jobDefinitionName=name.partition(":")[0])["jobDefinitions"][0])


def test_figures_labels_and_limits_are_in_the_job() -> None:
    async def main() -> None:
        async with ground() as place:
            task = place.submit("", request(cpu=2, memory=300, aws_batch_tags={"team": "blue"}))
            ended = await place.end(task)
            assert ended.code == 0
            id = next(each.facts["batch-job-id"] for each in place.reports if isinstance(each, JobStarted))
            (job,) = aws().describe_jobs(jobs=[id])["jobs"]
            assert job["jobName"] == f"ann-{place.flow}-7-start-1-0"
            assert job["timeout"] == {"attemptDurationSeconds": 600}
            assert job["tags"] == {"team": "blue"}
            assert job["parameters"]["metaflow.flow_name"] == place.flow
            assert definition_of(place)["retryStrategy"] == {"attempts": 1}

    asyncio.run(main())


@pytest.fixture
def fargate() -> Iterator[str]:
    """A queue on Fargate; only where nobody pays for it."""
    name = f"millrace-{uuid.uuid4().hex[:8]}"
    batch, ec2 = aws(), aws("ec2")
    environment = batch.create_compute_environment(
        computeEnvironmentName=name,
        type="MANAGED",
        state="ENABLED",
        serviceRole=ROLE,
        computeResources={
            "type": "FARGATE",
            "maxvCpus": 16,
            "subnets": [ec2.describe_subnets()["Subnets"][0]["SubnetId"]],
            "securityGroupIds": [ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]],
        },
    )["computeEnvironmentArn"]
    order = [{"order": 1, "computeEnvironment": environment}]
    batch.create_job_queue(jobQueueName=name, state="ENABLED", priority=1, computeEnvironmentOrder=order)
    yield name
    batch.update_job_queue(jobQueue=name, state="DISABLED")
    batch.delete_job_queue(jobQueue=name)
    batch.update_compute_environment(computeEnvironment=name, state="DISABLED")
    batch.delete_compute_environment(computeEnvironment=name)


def test_fargate(fargate: str) -> None:
    async def main() -> None:
        async with ground() as place:
            asked = request(cpu=1, memory=3000, queue=fargate, execution_role=ROLE, ephemeral_storage=30)
            assert await place.backend.preflight({"a": asked}) == []
            task = place.submit("", asked)
            assert (await place.end(task)).code == 0
            definition = definition_of(place)
            assert definition["platformCapabilities"] == ["FARGATE"]
            assert definition["containerProperties"]["ephemeralStorage"] == {"sizeInGiB": 30}
            started = next(each for each in place.reports if isinstance(each, JobStarted))
            assert started.facts["memory-mb"] == "3072"
            refused = request(queue=fargate, gpu=1, use_tmpfs=True)
            messages = [problem.message for problem in await place.backend.preflight({"a": refused})]
            assert len(messages) == 2
            assert "does not have gpu, tmpfs" in messages[0]
            assert "needs an execution role" in messages[1]

    asyncio.run(main())


def test_preflight() -> None:
    async def main() -> None:
        async with ground() as place:
            requests = {
                "good": request(),
                "queue": request(queue="no-such-queue"),
                "role": request(iam_role=ROLE + "-gone"),
                "cores": request(cpu=100_000),
                "gpus": request(gpu=1),
            }
            problems = {problem.steps[0]: problem for problem in await place.backend.preflight(requests)}
            assert set(problems) == {"queue", "role", "cores", "gpus"}
            assert problems["queue"].certain
            assert QUEUE in problems["queue"].hint
            assert problems["role"].certain
            assert not problems["cores"].certain
            assert "has a GPU" in problems["gpus"].message

    asyncio.run(main())


@pytest.mark.parametrize(
    "resources", [request("no-such-image:1"), request(queue="no-such-queue")], ids=["image", "queue"]
)
def test_what_cannot_be_placed(resources: ResourceRequest) -> None:
    async def main() -> None:
        async with ground() as place:
            ended = await place.end(place.submit("", resources))
            assert ended.code is None
            assert isinstance(ended.failure, TaskFailed)
            assert "'start'" in ended.failure.message
            assert ended.failure.hint
            assert isinstance(ended.failure, TaskNotPlaced) or resources.image != IMAGE

    asyncio.run(main())


def test_cancel_and_close() -> None:
    async def main() -> None:
        async with ground() as place:
            first, second = (place.submit("import time; time.sleep(300)") for _ in range(2))
            await place.until(lambda: place.has(JobStarted, first) and place.has(JobStarted, second))
            assert len(await place.backend.unfinished({"flow": place.flow})) == 2
            place.backend.cancel(first)
            assert isinstance((await place.end(first)).failure, TaskCancelled)

    asyncio.run(main())


def test_others_list_and_end_them() -> None:
    async def main() -> None:
        async with ground() as place, ground() as other:
            task = place.submit("import time; time.sleep(300)")
            await place.until(lambda: place.has(JobStarted, task))
            assert await other.backend.unfinished({"flow": place.flow, "user": "bob"}) == []
            (own,) = await other.backend.unfinished({"flow": place.flow, "user": "ann", "run": "7"})
            assert own.labels == {**own.labels, "step": "start", "task": str(task), "attempt": "0"}
            assert own.status == "running"
            await other.backend.end([own])
            failure = (await place.end(task)).failure
            assert isinstance(failure, TaskCancelled)
            assert "batch kill" in failure.message

    asyncio.run(main())


def test_an_answer_that_is_cut_off_makes_no_second_job(proxy: FaultProxy) -> None:
    async def main() -> None:
        cuts: Iterator[Cut | Answer] = iter([Cut(), Answer(500, "ServerException")])
        proxy.fault = lambda number, method, path: next(cuts, None) if path.endswith("/submitjob") else None
        async with ground(**through(proxy)) as place:
            task = place.submit("")
            assert (await place.end(task)).code == 0
            filters = [{"name": "JOB_NAME", "values": [f"ann-{place.flow}-*"]}]
            assert len(aws().list_jobs(jobQueue=QUEUE, filters=filters)["jobSummaryList"]) == 1

    asyncio.run(main())


def test_throttling_is_waited_out(proxy: FaultProxy) -> None:
    async def main() -> None:
        proxy.fault = lambda number, method, path: Answer(429, "TooManyRequestsException") if number % 3 else None
        async with ground(**through(proxy)) as place:
            tasks = [place.submit("") for _ in range(3)]
            assert {(await place.end(task)).code for task in tasks} == {0}

    asyncio.run(main())


def test_an_endpoint_that_goes_away_ends_no_job(proxy: FaultProxy) -> None:
    async def main() -> None:
        async with ground(**through(proxy)) as place:
            task = place.submit("import time; time.sleep(3)")
            await place.until(lambda: place.has(JobStarted, task))
            proxy.go()
            waiting = place.submit("")
            await place.until(lambda: any(each.task == waiting for each in place.reports))
            proxy.come()
            assert (await place.end(task)).code == 0
            assert (await place.end(waiting)).code == 0

    asyncio.run(main())


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ('{"endpoint_url": "http://127.0.0.1:9"}', "does not answer"),
        ('{"endpoint_url": "nowhere"}', "cannot be used"),
        ('{"aws_secret": "x"}', "cannot be used"),
    ],
)
def test_no_way_to_batch(parameters: str, words: str) -> None:
    with pytest.raises(MetaflowException, match=words):
        asyncio.run(BatchBackend(Values({"METAFLOW_BATCH_CLIENT_PARAMS": parameters})).open(lambda report: None))


def test_the_commands(tmp_path: Path) -> None:
    async def main() -> None:
        async with ground() as place:
            script = tmp_path / "flow.py"
            script.write_text(FLOW.replace("NAME", place.flow))
            assert "has no runs here" in (await run(script, "list"))[1]
            assert (await run(script, "list", "--my-runs"))[1] == (
                f"No unfinished jobs of the flow {place.flow}, started by ann on AWS Batch.\n"
            )
            task = place.submit("import time; time.sleep(300)")
            await place.until(lambda: place.has(JobStarted, task))
            output, remark = await run(script, "list", "--run-id=7")
            assert output.startswith(f"{place.flow}/7/start/1 (attempt 0)")
            assert output.endswith("running\n")
            assert remark == f"1 unfinished job of {place.flow}/7 on AWS Batch.\n"
            assert "No unfinished jobs" in (await run(script, "kill", "--user=bob"))[1]
            assert "1 unfinished job" in (await run(script, "kill", "--my-runs"))[1]
            assert isinstance((await place.end(task)).failure, TaskCancelled)

    asyncio.run(main())


FLOW = """
from metaflow import FlowSpec, step

class NAME(FlowSpec):
    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass

if __name__ == "__main__":
    NAME()
"""


async def run(script: Path, *words: str) -> tuple[str, str]:
    process = await asyncio.create_subprocess_exec(
        PYTHON or sys.executable,
        str(script),
        "batch",
        *words,
        cwd=script.parent,
        env={**os.environ, "METAFLOW_USER": "ann"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, remarks = await process.communicate()
    return output.decode(), remarks.decode()
