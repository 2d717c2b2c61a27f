"""Runs from outside: flows, runs, steps, tasks and artifacts as objects, whoever wrote them, whether they go on or not.

The client reads what metadata and a storage hold; it must not know how a run is carried out. The names are
bound when they are first touched, so that a task that only sets its namespace loads no more than `scope`.

``scope``      in which site and namespace this process looks
``site``       metadata and the storage beside them
``objects``    what all objects have in common; ``errors`` if one is not to be had
``runs``, ``tasks``, ``artifacts``   the five levels
``lineage``    parents and children of tasks
``code``       code packages
``core``       all of it, under the path that Metaflow has
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metaflow.client.artifacts import DataArtifact, MetaflowData
    from metaflow.client.code import MetaflowCode
    from metaflow.client.runs import Flow, Metaflow, Run
    from metaflow.client.scope import (
        default_metadata,
        default_namespace,
        get_metadata,
        get_namespace,
        inspect_spin,
        metadata,
        namespace,
    )
    from metaflow.client.tasks import Metadata, Step, Task

_HOME = {
    "DataArtifact": "artifacts",
    "Flow": "runs",
    "Metadata": "tasks",
    "Metaflow": "runs",
    "MetaflowCode": "code",
    "MetaflowData": "artifacts",
    "Run": "runs",
    "Step": "tasks",
    "Task": "tasks",
    "default_metadata": "scope",
    "default_namespace": "scope",
    "get_metadata": "scope",
    "get_namespace": "scope",
    "inspect_spin": "scope",
    "metadata": "scope",
    "namespace": "scope",
}

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
    "inspect_spin",
    "metadata",
    "namespace",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'metaflow.client' has no attribute '{name}'")
    from importlib import import_module

    if _HOME[name] in ("artifacts", "tasks"):
        import_module("metaflow.client.runs")  # the levels find one another by depth: all are there or none
    value = vars(import_module(f"metaflow.client.{_HOME[name]}"))[name]
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
