"""What stands against a request at a queue."""

from __future__ import annotations

from typing import Any

import pytest

from metaflow.compute.batch.places import UNKNOWN, Place, misfits, place_of
from metaflow.compute.batch.service import InstanceType
from metaflow.compute.resources import ResourceRequest
from support.batch_service import ENVIRONMENT, TYPES, BatchInMemory

from .asked import ROLE, request

FARGATE = {"type": "FARGATE", "maxvCpus": 64}


def place(types: list[InstanceType] | None = None, queue: dict[str, Any] | None = None, **environment: Any) -> Place:
    described = place_of({**BatchInMemory().queue, **(queue or {})}, [{**ENVIRONMENT, **environment}])
    return described._replace(types=tuple(types or ()))


def test_a_queue_is_read() -> None:
    assert place_of({**BatchInMemory().queue, "state": "DISABLED"}, []).trouble == "it is disabled"
    read = place()
    assert (read.queue, read.account, read.on_fargate, read.trouble) == ("some-queue", "111122223333", False, "")
    assert read.environments[0].patterns == ("m5.large", "g4dn.*")
    assert place(computeResources={"instanceTypes": ["optimal", "m5"]}).environments[0].patterns == ()
    assert place(computeResources=FARGATE).on_fargate


def test_what_fits() -> None:
    assert misfits(place(TYPES), request(48, 4096, gpu=4)) == []
    assert misfits(place(computeResources=FARGATE), request(2, 8000, execution_role=ROLE, ephemeral_storage=21)) == []
    assert misfits(place(computeResources=None, type="UNMANAGED"), request(1000)) == []
    assert misfits(UNKNOWN, request(1000)) == []


@pytest.mark.parametrize(
    ("where", "asked", "words", "is_certain"),
    [
        (place(queue={"state": "DISABLED"}), request(), "some-queue' takes no jobs: it is disabled", True),
        (place(queue={"status": "INVALID", "statusReason": "no"}), request(), "takes no jobs: it is invalid: no", True),
        (place(containerOrchestrationType="EKS"), request(), "belongs to a Kubernetes cluster", True),
        (place(), request(ephemeral_storage=30), "ephemeral_storage=30 needs Fargate", True),
        (place(state="DISABLED"), request(), r"starts machines \('some-machines': it is disabled\)", False),
        (place(status="INVALID"), request(), "it is invalid: no reason is given", False),
        (place(), request(65), "cpu=65 is more than the 64 vCPUs", False),
        (place(TYPES), request(49), "no machine of the queue 'some-queue' is large enough for cpu=49", False),
        (place(TYPES[:1]), request(1, 8192), "large enough for cpu=1, memory=8192 MB", False),
        (place(TYPES), request(1, gpu=5), "memory=512 MB, gpu=5", False),
        (place(TYPES[:1]), request(gpu=1), "has a GPU .m5.large: 2 cores, 8192 MB", False),
        (place(computeResources=FARGATE), request(), "needs an execution role", True),
        (place(computeResources=FARGATE), request(gpu=1, efa=1, execution_role=ROLE), "does not have gpu, efa", True),
        (place(computeResources=FARGATE), request(17, execution_role=ROLE), "more than AWS Fargate has", True),
        (
            place(computeResources=FARGATE),
            request(execution_role=ROLE, ephemeral_storage=201),
            "ephemeral_storage=201: AWS Fargate has 21 to 200 GiB",
            True,
        ),
    ],
)
def test_what_does_not(where: Place, asked: ResourceRequest, words: str, is_certain: bool) -> None:
    import re

    found = misfits(where, asked)
    assert len(found) == 1
    assert re.search(words, found[0].message)
    assert found[0].certain == is_certain
