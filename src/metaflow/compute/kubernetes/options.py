"""The settings that the backend itself reads; those of a step come in its `ResourceRequest`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from metaflow.compute.kubernetes.description import DEFAULT_TTL
from metaflow.settings.numbers import seconds

_TTL = "METAFLOW_KUBERNETES_JOB_TTL_SECONDS_AFTER_FINISHED"
_DEADLINE = "METAFLOW_KUBERNETES_PENDING_DEADLINE"


class Options(NamedTuple):
    """How to reach the cluster, and how long jobs may wait and stay.

    Attributes
    ----------
    context : str or None
        METAFLOW_KUBERNETES_CONTEXT: of the kubeconfig, instead of its current one.
    namespace : str
        METAFLOW_KUBERNETES_NAMESPACE: where jobs are looked for if not all namespaces may be.
    pending_deadline : float or None
        METAFLOW_KUBERNETES_PENDING_DEADLINE: seconds that a job may wait to be started.
    ttl : int
        METAFLOW_KUBERNETES_JOB_TTL_SECONDS_AFTER_FINISHED: seconds that the cluster keeps a finished job.
    """

    context: str | None
    namespace: str
    pending_deadline: float | None
    ttl: int

    @classmethod
    def read(cls, entries: Mapping[str, str]) -> Options:
        """Read the METAFLOW_* settings.

        Raises
        ------
        SettingsError
            A value is not of its kind.
        """
        deadline, ttl = seconds(entries, _DEADLINE), seconds(entries, _TTL)
        return cls(
            entries.get("METAFLOW_KUBERNETES_CONTEXT") or None,
            entries.get("METAFLOW_KUBERNETES_NAMESPACE") or "default",
            deadline,
            DEFAULT_TTL if ttl is None else int(ttl),
        )
