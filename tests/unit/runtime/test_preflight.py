from __future__ import annotations

import pytest

from metaflow.compute.protocol import Problem
from metaflow.exception import PreflightFailed
from metaflow.runtime.preflight import judge

NO_QUEUE = Problem(("train", "join"), "the queue 'gpu-queue' does not exist", "its queues: cpu-queue")
TOO_LARGE = Problem(("start",), "no node has 60000 MB: the largest, node-1, has 8000 MB", certain=False)


def test_what_may_change_is_a_warning() -> None:
    assert judge([TOO_LARGE], "warn") == ["Step start: no node has 60000 MB: the largest, node-1, has 8000 MB."]
    assert judge([], "fail") == []


def test_what_is_certain_is_refused_and_told_with_steps_and_hint() -> None:
    with pytest.raises(PreflightFailed) as refusal:
        judge([TOO_LARGE, NO_QUEUE], "warn")
    assert refusal.value.message == ("Steps train, join: the queue 'gpu-queue' does not exist (its queues: cpu-queue).")
    assert "METAFLOW_PREFLIGHT=off" in (refusal.value.hint or "")


def test_all_is_refused_where_that_is_asked_for() -> None:
    with pytest.raises(PreflightFailed) as refusal:
        judge([TOO_LARGE, NO_QUEUE], "fail")
    assert refusal.value.message.count("\n") == 1
