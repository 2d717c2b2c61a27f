"""The backend's settings."""

from __future__ import annotations

import pytest

from metaflow.compute.batch.options import Options
from metaflow.exception import SettingsError


def test_what_is_read() -> None:
    assert Options.read({}) == Options({}, None, None)
    entries = {
        "METAFLOW_BATCH_CLIENT_PARAMS": '{"region_name": "eu-west-1"}',
        "METAFLOW_BATCH_PENDING_DEADLINE": "90",
        "METAFLOW_BATCH_JOB_QUEUE": "q",
    }
    assert Options.read(entries) == Options({"region_name": "eu-west-1"}, 90, "q")


@pytest.mark.parametrize("text", ["-1", "soon", "nan", "inf", "0"])
def test_a_deadline_is_a_number_of_seconds(text: str) -> None:
    with pytest.raises(SettingsError, match=f"PENDING_DEADLINE is '{text}'"):
        Options.read({"METAFLOW_BATCH_PENDING_DEADLINE": text})


@pytest.mark.parametrize("text", ["[]", "{", "eu-west-1"])
def test_parameters_are_an_object(text: str) -> None:
    with pytest.raises(SettingsError, match="CLIENT_PARAMS is"):
        Options.read({"METAFLOW_BATCH_CLIENT_PARAMS": text})
