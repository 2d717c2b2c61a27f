"""What stands against a request at a queue."""

from __future__ import annotations

from typing import Any

import pytest

from metaflow.compute.batch.client import InstanceType
from metaflow.compute.batch.queues import UNKNOWN, Queue, mismatches, read
from metaflow.compute.resources import ResourceRequest
from support.batch_service import ENVIRONMENT, TYPES, BatchInMemory

from .asked import ROLE, request

FARGATE = {"type": "FARGATE", "maxvCpus": 64}


def a_queue(types: list[InstanceType] | None = None, queue: dict[str, Any] | None = None, **environment: Any) -> Queue:
    described = read({**BatchInMemory().queue, **(queue or {})}, [{**ENVIRONMENT, **environment}])
    return described._replace(types=tuple(types or ()))


def test_a_queue_is_read() -> None:
    assert read({**BatchInMemory().queue, "state": "DISABLED"}, []).trouble == "it is disabled"
    found = a_queue()
    assert (found.name, found.account, found.on_fargate, found.trouble) == ("some-queue", "111122223333", False, "")
    assert found.environments[0].patterns == ("m5.large", "g4dn.*")
    assert a_queue(computeResources={"instanceTypes": ["optimal", "m5"]}).environments[0].patterns == ()
    assert a_queue(computeResources=FARGATE).on_fargate


def test_what_fits() -> None:
    assert mismatches(a_queue(TYPES), request(48, 4096, gpu=4)) == []
    assert (
        mismatches(a_queue(computeResources=FARGATE), request(2, 8000, execution_role=ROLE, ephemeral_storage=21)) == []
    )
    assert mismatches(a_queue(computeResources=None, type="UNMANAGED"), request(1000)) == []
    assert mismatches(UNKNOWN, request(1000)) == []


@pytest.mark.parametrize(
    ("where", "asked", "words", "is_certain"),
    [
        (a_queue(queue={"state": "DISABLED"}), request(), "some-queue' takes no jobs: it is disabled", True),
        (
            a_queue(queue={"status": "INVALID", "statusReason": "no"}),
            request(),
            "takes no jobs: it is invalid: no",
            True,
        ),
        (a_queue(containerOrchestrationType="EKS"), request(), "belongs to a Kubernetes cluster", True),
        (a_queue(), request(ephemeral_storage=30), "ephemeral_storage=30 needs Fargate", True),
        (a_queue(state="DISABLED"), request(), r"starts machines \('some-machines': it is disabled\)", False),
        (a_queue(status="INVALID"), request(), "it is invalid: no reason is given", False),
        (a_queue(), request(65), "cpu=65 is more than the 64 vCPUs", False),
        (a_queue(TYPES), request(49), "no machine of the queue 'some-queue' is large enough for cpu=49", False),
        (a_queue(TYPES[:1]), request(1, 8192), "large enough for cpu=1, memory=8192 MB", False),
        (a_queue(TYPES), request(1, gpu=5), "memory=512 MB, gpu=5", False),
        (a_queue(TYPES[:1]), request(gpu=1), "has a GPU .m5.large: 2 cores, 8192 MB", False),
        (a_queue(computeResources=FARGATE), request(), "needs an execution role", True),
        (a_queue(computeResources=FARGATE), request(gpu=1, efa=1, execution_role=ROLE), "does not have gpu, efa", True),
        (a_queue(computeResources=FARGATE), request(17, execution_role=ROLE), "more than AWS Fargate has", True),
        (
            a_queue(computeResources=FARGATE),
            request(execution_role=ROLE, ephemeral_storage=201),
            "ephemeral_storage=201: AWS Fargate has 21 to 200 GiB",
            True,
        ),
    ],
)
def test_what_does_not(where: Queue, asked: ResourceRequest, words: str, is_certain: bool) -> None:
    import re

    found = mismatches(where, asked)
    assert len(found) == 1
    assert re.search(words, found[0].message)
    assert found[0].certain == is_certain
