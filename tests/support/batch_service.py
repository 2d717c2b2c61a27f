"""A Batch that lives in this process: jobs go through states as the test says, and every call is counted."""

from __future__ import annotations

import itertools
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from metaflow.compute.batch.client import AwsError, Description, InstanceType
from metaflow.compute.jobs.retry import Unavailable

QUEUE = "some-queue"
ENVIRONMENT = {
    "computeEnvironmentName": "some-machines",
    "state": "ENABLED",
    "status": "VALID",
    "computeResources": {"type": "EC2", "maxvCpus": 64, "instanceTypes": ["m5.large", "g4dn"]},
}
TYPES = [InstanceType("m5.large", 2, 8192, 0), InstanceType("g4dn.12xlarge", 48, 196608, 4)]


Value = TypeVar("Value")


class BatchInMemory:
    """What `metaflow.compute.batch.client.Client` asks for.

    Parameters
    ----------
    life : sequence of mappings, optional
        What each new job's description says at its first look, its second, …; it stays as the last one says.

    Attributes
    ----------
    jobs : dict of str to dict
        The descriptions; a test may change them.
    counts : Counter
        Calls, by name.
    troubles : dict of str to list of exceptions
        By call: what the next ones raise. A `Unavailable` that is `unsure` comes after the call had its effect.
    threads : set of int
        Which threads have called.
    """

    region = "test-1"

    def __init__(self, life: Sequence[Mapping[str, Any]] = ()) -> None:
        self.life = list(life)
        self.queue: dict[str, Any] = {
            "jobQueueName": QUEUE,
            "jobQueueArn": f"arn:aws:batch:test-1:111122223333:job-queue/{QUEUE}",
            "state": "ENABLED",
            "status": "VALID",
            "computeEnvironmentOrder": [{"computeEnvironment": "some-machines"}],
        }
        self.environment: dict[str, Any] = dict(ENVIRONMENT)
        self.types = TYPES
        self.roles = {"flows"}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.definitions: dict[str, Description] = {}
        self.submissions: list[Description] = []
        self.lines = [b"one", b"two"]
        self.ends_when_told = True
        self.counts: Counter[str] = Counter()
        self.troubles: defaultdict[str, list[Exception]] = defaultdict(list)
        self.threads: set[int] = set()
        self._ages: Counter[str] = Counter()
        self._ids = itertools.count(1)
        self._lock = threading.Lock()

    def _called(self, name: str, effect: Callable[[], Value]) -> Value:
        with self._lock:
            self.counts[name] += 1
            self.threads.add(threading.get_ident())
            trouble = self.troubles[name].pop(0) if self.troubles[name] else None
            if trouble is None:
                return effect()
            if isinstance(trouble, Unavailable) and trouble.unsure:
                effect()
            raise trouble

    def queues(self, names: Sequence[str] = ()) -> list[Description]:
        return self._called("queues", lambda: [self.queue] if not names or QUEUE in names else [])

    def environments(self, names: Sequence[str]) -> list[Description]:
        return self._called("environments", lambda: [self.environment])

    def instance_types(self, patterns: Sequence[str]) -> list[InstanceType]:
        return self._called("instance_types", lambda: self.types)

    def has_role(self, name: str) -> bool:
        return self._called("has_role", lambda: name in self.roles)

    def definition(self, name: str) -> str | None:
        return self._called("definition", lambda: f"arn:{name}" if name in self.definitions else None)

    def register(self, definition: Description) -> str:
        def registered() -> str:
            name = str(definition["jobDefinitionName"])
            self.definitions[name] = definition
            return f"arn:{name}"

        return self._called("register", registered)

    def submit(self, call: Description) -> str:
        def submitted() -> str:
            if call["jobQueue"] != QUEUE:
                raise AwsError("ClientException", f"Job queue {call['jobQueue']} does not exist")
            id = f"job-{next(self._ids)}"
            self.submissions.append(call)
            self.jobs[id] = {
                "jobId": id,
                "jobName": call["jobName"],
                "jobQueue": self.queue["jobQueueArn"],
                "jobDefinition": call["jobDefinition"],
                "parameters": call["parameters"],
                "tags": call.get("tags", {}),
                "status": "SUBMITTED",
                "createdAt": 1000 * len(self.submissions),
                "container": {"image": "some-image", "memory": 512},
            }
            return id

        return self._called("submit", submitted)

    def find(self, queue: str, name: str) -> str | None:
        return self._called("find", lambda: next((id for id, job in self.jobs.items() if job["jobName"] == name), None))

    def describe(self, ids: Sequence[str]) -> list[Description]:
        return self._called("describe", lambda: [self._grown(id) for id in ids if id in self.jobs])

    def _grown(self, id: str) -> Description:
        if self._ages[id] < len(self.life) and self.jobs[id]["status"] != "FAILED":
            self.jobs[id].update(self.life[self._ages[id]])
        self._ages[id] += 1
        return dict(self.jobs[id])

    def unfinished(self, queue: str) -> list[Description]:
        ended = ("SUCCEEDED", "FAILED")
        return self._called("unfinished", lambda: [job for job in self.jobs.values() if job["status"] not in ended])

    def terminate(self, id: str, reason: str) -> None:
        def terminated() -> None:
            if self.ends_when_told:
                self.jobs[id].update(status="FAILED", statusReason=reason, isTerminated=True)

        self._called("terminate", terminated)

    def log_tail(self, group: str, stream: str, lines: int) -> list[bytes]:
        return self._called("log_tail", lambda: self.lines[-lines:])
