from __future__ import annotations

import pytest

from metaflow.client.status import LastTask, run_status, task_state
from metaflow.exception import RunFailed
from metaflow.metadata_provider.lease import RunStatus

LOST = RunStatus("lost", RunFailed("the process is gone"))
FAILED = RunFailed("no")


@pytest.mark.parametrize(
    ("lease", "last", "expected"),
    [
        (None, None, RunStatus("unknown")),
        (None, LastTask(True, None, 5.0), RunStatus("successful", None, 5.0)),
        (None, LastTask(False, FAILED, 5.0), RunStatus("failed", FAILED, 5.0)),
        (LOST, None, LOST),
        (LOST, LastTask(True, None, 5.0), RunStatus("successful", None, 5.0)),
        (RunStatus("running"), LastTask(True, None, 5.0), RunStatus("running")),
        (RunStatus("failed", FAILED), None, RunStatus("failed", FAILED)),
    ],
)
def test_a_lease_tells_how_a_run_is_doing_and_else_its_last_task(
    lease: RunStatus | None, last: LastTask | None, expected: RunStatus
) -> None:
    assert run_status(lease, lambda: last) == expected


@pytest.mark.parametrize(
    ("successful", "finished", "is_orphan", "is_done", "expected"),
    [
        (True, True, True, True, "successful"),
        (False, True, True, True, "caught"),
        (False, False, False, True, "running"),  # it may be tried again
        (False, False, False, False, "running"),
        (False, False, True, True, "failed"),
        (False, False, True, False, "lost"),
    ],
)
def test_how_a_task_is_doing(successful: bool, finished: bool, is_orphan: bool, is_done: bool, expected: str) -> None:
    state = task_state(successful=successful, finished=finished, is_orphan=lambda: is_orphan, is_done=lambda: is_done)
    assert state == expected
