"""AWS, as `Client` wants it: the only file that knows boto3.

botocore tries again by itself where that is harmless; what is left after its tries becomes `Unavailable` or
`AwsError`. Clients are shared by the threads that call (botocore allows it); they are made anew when the
credentials have expired, so that a profile or a token file that somebody renews takes effect.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import boto3
from botocore import exceptions
from botocore.config import Config
from botocore.parsers import ResponseParserError

from metaflow.compute.batch.client import AwsError, Description, InstanceType
from metaflow.compute.jobs.retry import Unavailable

Answer = TypeVar("Answer")

CREDENTIALS_ERRORS = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_NO_CREDENTIALS = (
    exceptions.CredentialRetrievalError,
    exceptions.NoCredentialsError,
    exceptions.PartialCredentialsError,
    exceptions.SSOError,
    exceptions.TokenRetrievalError,
)
_UNFINISHED = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING")
_CONNECTIONS = 10


class AwsClient:
    """AWS Batch, and the little of EC2, IAM and CloudWatch logs that belongs to it.

    Parameters
    ----------
    parameters : mapping of str to object
        For each client, such as ``region_name`` and ``endpoint_url``; what is not here, boto3 finds in the usual
        places: environment, profile, instance.

    Raises
    ------
    AwsError
        No region is set, the profile does not exist, or a parameter is wrong.
    """

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self._parameters = dict(parameters)
        self._lock = threading.Lock()
        self._clients: dict[str, Any] = {}
        self._connect()

    def _connect(self) -> None:
        try:
            self._session = boto3.session.Session()
            self._clients = {}
            self.region = self._client("batch").meta.region_name
        except (exceptions.BotoCoreError, TypeError, ValueError) as error:
            raise AwsError(type(error).__name__, str(error)) from error

    def _client(self, name: str, tries: int = 5) -> Any:
        key = f"{name}/{tries}"
        with self._lock:  # making a client is not safe in several threads, using one is
            if key not in self._clients:
                retries = {"mode": "standard", "total_max_attempts": tries}
                config = Config(retries=retries, connect_timeout=5, read_timeout=30, max_pool_connections=_CONNECTIONS)
                self._clients[key] = self._session.client(name, config=config, **self._parameters)
            return self._clients[key]

    def _call(self, service: str, call: Callable[[Any], Answer], *, tries: int = 5) -> Answer:
        try:
            return call(self._client(service, tries))
        except (exceptions.BotoCoreError, exceptions.ClientError, ResponseParserError, KeyError) as error:
            failure = error_of(error)
            if isinstance(failure, Unavailable) and failure.credentials:
                self._connect()
            raise failure from error

    # --- queues -----------------------------------------------------------------------------------------------------

    def queues(self, names: Sequence[str] = ()) -> list[Description]:
        chosen = {"jobQueues": list(names)} if names else {}
        return self._call("batch", lambda client: list(_pages(client, "describe_job_queues", "jobQueues", **chosen)))

    def environments(self, names: Sequence[str]) -> list[Description]:
        key = "computeEnvironments"
        chosen = {key: list(names)}
        return self._call("batch", lambda client: list(_pages(client, "describe_compute_environments", key, **chosen)))

    def instance_types(self, patterns: Sequence[str]) -> list[InstanceType]:
        chosen = {"Filters": [{"Name": "instance-type", "Values": list(patterns)}]}
        found = self._call(
            "ec2", lambda client: list(_pages(client, "describe_instance_types", "InstanceTypes", **chosen))
        )
        return [
            InstanceType(
                each["InstanceType"],
                each["VCpuInfo"]["DefaultVCpus"],
                each["MemoryInfo"]["SizeInMiB"],
                sum(gpu.get("Count", 0) for gpu in each.get("GpuInfo", {}).get("Gpus", ())),
            )
            for each in found
        ]

    def has_role(self, name: str) -> bool:
        try:
            self._call("iam", lambda client: client.get_role(RoleName=name))
        except AwsError as refused:
            if refused.code != "NoSuchEntity":
                raise
            return False
        return True

    # --- jobs -------------------------------------------------------------------------------------------------------

    def definition(self, name: str) -> str | None:
        key = "jobDefinitions"
        chosen = {"jobDefinitionName": name, "status": "ACTIVE"}
        found = self._call("batch", lambda client: list(_pages(client, "describe_job_definitions", key, **chosen)))
        newest = max(found, key=lambda each: int(each["revision"]), default=None)
        return None if newest is None else str(newest["jobDefinitionArn"])

    def register(self, definition: Description) -> str:
        return self._call("batch", lambda client: str(client.register_job_definition(**definition)["jobDefinitionArn"]))

    def submit(self, call: Description) -> str:
        return self._call("batch", lambda client: str(client.submit_job(**call)["jobId"]), tries=1)

    def find(self, queue: str, name: str) -> str | None:
        chosen = {"jobQueue": queue, "filters": [{"name": "JOB_NAME", "values": [name]}]}
        found = self._call("batch", lambda client: list(_pages(client, "list_jobs", "jobSummaryList", **chosen)))
        own = [job for job in found if job["jobName"] == name]  # the filter does not tell upper from lower case
        newest = max(own, key=lambda job: int(job["createdAt"]), default=None)
        return None if newest is None else str(newest["jobId"])

    def describe(self, ids: Sequence[str]) -> list[Description]:
        return self._call("batch", lambda client: list(client.describe_jobs(jobs=list(ids))["jobs"]))

    def unfinished(self, queue: str) -> list[Description]:
        def listed(client: Any) -> list[Description]:
            return [
                job
                for status in _UNFINISHED
                for job in _pages(client, "list_jobs", "jobSummaryList", jobQueue=queue, jobStatus=status)
            ]

        return list({job["jobId"]: job for job in self._call("batch", listed)}.values())

    def terminate(self, id: str, reason: str) -> None:
        self._call("batch", lambda client: client.terminate_job(jobId=id, reason=reason))

    def log_tail(self, group: str, stream: str, lines: int) -> list[bytes]:
        chosen = {"logGroupName": group, "logStreamName": stream, "limit": lines, "startFromHead": False}
        try:
            events = self._call("logs", lambda client: client.get_log_events(**chosen)["events"], tries=2)
        except (Unavailable, AwsError):
            return []
        return [event["message"].encode() for event in events][-lines:]


def _pages(client: Any, call: str, key: str, **chosen: Any) -> Iterator[Description]:
    for page in client.get_paginator(call).paginate(**chosen):
        yield from page[key]


def error_of(error: Exception) -> Unavailable | AwsError:
    """Say what an error of botocore means for a caller."""
    if isinstance(error, (ResponseParserError, KeyError)):
        return Unavailable(f"an answer was cut off ({type(error).__name__}: {error})", unsure=True)
    if isinstance(error, exceptions.ClientError):
        details = error.response.get("Error", {})
        code, reason = str(details.get("Code", "")), str(details.get("Message", "") or error)
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code in CREDENTIALS_ERRORS:
            return Unavailable(reason, credentials=True)
        if status == 429 or "Throttl" in code or code in ("TooManyRequestsException", "RequestLimitExceeded"):
            return Unavailable(f"too many requests ({code})")
        if status >= 500:
            return Unavailable(f"{reason} ({code or status})", unsure=True)
        return AwsError(code, reason)
    if isinstance(error, _NO_CREDENTIALS):
        return Unavailable(str(error), credentials=True)
    if isinstance(
        error, (exceptions.ConnectTimeoutError, exceptions.EndpointConnectionError, exceptions.ProxyConnectionError)
    ):
        return Unavailable(str(error))
    if isinstance(error, (exceptions.HTTPClientError, exceptions.ConnectionError)):
        return Unavailable(str(error), unsure=True)
    return AwsError(type(error).__name__, str(error))
