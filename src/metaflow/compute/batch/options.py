"""The settings that the backend itself reads; those of a step come in its `ResourceRequest`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from metaflow.exception import SettingsError
from metaflow.settings.numbers import seconds


class Options(NamedTuple):
    """How to reach AWS Batch, and how long a job may wait.

    Attributes
    ----------
    client : dict of str to object
        METAFLOW_BATCH_CLIENT_PARAMS, a JSON object: parameters of boto3's clients, such as ``region_name``.
    pending_deadline : float or None
        METAFLOW_BATCH_PENDING_DEADLINE: seconds that a job may wait for a machine.
    queue : str or None
        METAFLOW_BATCH_JOB_QUEUE: where jobs are looked for if the queues cannot be listed.
    """

    client: dict[str, Any]
    pending_deadline: float | None
    queue: str | None

    @classmethod
    def read(cls, entries: Mapping[str, str]) -> Options:
        """Read the METAFLOW_* settings.

        Raises
        ------
        SettingsError
            A value is not of its kind.
        """
        return cls(
            _client(entries.get("METAFLOW_BATCH_CLIENT_PARAMS") or "{}"),
            seconds(entries, "METAFLOW_BATCH_PENDING_DEADLINE"),
            entries.get("METAFLOW_BATCH_JOB_QUEUE") or None,
        )


def _client(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise SettingsError(
            f"METAFLOW_BATCH_CLIENT_PARAMS is '{text}'.",
            hint='it is a JSON object, such as {"region_name": "eu-west-1"}',
        )
    return value
