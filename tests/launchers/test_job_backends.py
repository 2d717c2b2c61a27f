"""The contract of `JobBackend` for processes, and for Kubernetes and AWS Batch against services of this process."""

from __future__ import annotations

import pytest

from support.job_backend_contract import *  # noqa: F403 - tests
from support.job_stages import Processes, SimulatedBatch, SimulatedKubernetes, Stage


@pytest.fixture(params=[Processes, SimulatedKubernetes, SimulatedBatch], ids=lambda kind: kind.__name__)
def stage(request: pytest.FixtureRequest) -> Stage:
    made: Stage = request.param()
    return made
