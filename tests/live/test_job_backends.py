"""The contract of `JobBackend` for a real Kubernetes and a real AWS Batch, or what stands for it.

They are found by the environment: KUBECONFIG; METAFLOW_BATCH_JOB_QUEUE, METAFLOW_ECS_S3_ACCESS_IAM_ROLE and what boto3
needs; and METAFLOW_DEFAULT_CONTAINER_IMAGE.
"""

from __future__ import annotations

import os

import pytest

from support.job_backend_contract import *  # noqa: F403 - tests
from support.job_stages import Batch, Kubernetes, Stage

pytestmark = pytest.mark.live

NEEDS = {
    Kubernetes: ("KUBECONFIG", "METAFLOW_DEFAULT_CONTAINER_IMAGE"),
    Batch: ("METAFLOW_BATCH_JOB_QUEUE", "METAFLOW_ECS_S3_ACCESS_IAM_ROLE", "METAFLOW_DEFAULT_CONTAINER_IMAGE"),
}


@pytest.fixture(params=[Kubernetes, Batch], ids=lambda kind: kind.__name__)
def stage(request: pytest.FixtureRequest) -> Stage:
    missing = [name for name in NEEDS[request.param] if not os.environ.get(name)]
    if missing:
        pytest.skip(f"the environment does not have {', '.join(missing)}")
    made: Stage = request.param()
    return made
