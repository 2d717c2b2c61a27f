"""Where Metaflow keeps its client: the path under which users import it, and which pickled client objects name."""

from __future__ import annotations

from metaflow.client.artifacts import DataArtifact, MetaflowData
from metaflow.client.code import MetaflowCode
from metaflow.client.runs import Flow, Metaflow, Run
from metaflow.client.scope import (
    default_metadata,
    default_namespace,
    get_metadata,
    get_namespace,
    metadata,
    namespace,
)
from metaflow.client.tasks import Metadata, Step, Task

__all__ = [
    "DataArtifact",
    "Flow",
    "Metadata",
    "Metaflow",
    "MetaflowCode",
    "MetaflowData",
    "Run",
    "Step",
    "Task",
    "default_metadata",
    "default_namespace",
    "get_metadata",
    "get_namespace",
    "metadata",
    "namespace",
]
