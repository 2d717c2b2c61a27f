"""Millrace: an independent implementation of the Metaflow API.

This file lists the public names by hand and binds each when it is first touched, so that `import metaflow` costs next
to nothing and a step that needs no client does not load it. It has no other logic. The rooms, from the top:

    cli                            doors: commands, and this file
    app                            what a door does
    runtime │ client               a living run │ a finished one
    compute │ decorators │ tools   how a task goes out │ what is wrapped around it │ what steps call
    store │ metadata_provider │ flow     bytes │ facts │ the language
    registry │ settings │ options │ files
    exception
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from metaflow.version import __version__

if TYPE_CHECKING:
    from metaflow.client import (
        DataArtifact,
        Flow,
        Metaflow,
        Run,
        Step,
        Task,
        default_metadata,
        default_namespace,
        get_metadata,
        get_namespace,
        metadata,
        namespace,
    )
    from metaflow.decorators.batch import batch
    from metaflow.decorators.card import card
    from metaflow.decorators.catch import catch
    from metaflow.decorators.environment import environment
    from metaflow.decorators.exit_hook import exit_hook
    from metaflow.decorators.kubernetes import kubernetes
    from metaflow.decorators.resources import resources
    from metaflow.decorators.retry import retry
    from metaflow.decorators.timeout import timeout
    from metaflow.flow.current import current
    from metaflow.flow.includefile import IncludeFile
    from metaflow.flow.parameters import JSONType, JSONTypeClass, Parameter
    from metaflow.flow.spec import FlowSpec
    from metaflow.flow.step import step
    from metaflow.tools.s3.client import S3

_HOME = {
    "DataArtifact": "metaflow.client",
    "Flow": "metaflow.client",
    "FlowSpec": "metaflow.flow.spec",
    "IncludeFile": "metaflow.flow.includefile",
    "JSONType": "metaflow.flow.parameters",
    "JSONTypeClass": "metaflow.flow.parameters",
    "Metaflow": "metaflow.client",
    "Parameter": "metaflow.flow.parameters",
    "Run": "metaflow.client",
    "S3": "metaflow.tools.s3.client",
    "Step": "metaflow.client",
    "Task": "metaflow.client",
    "batch": "metaflow.decorators.batch",
    "card": "metaflow.decorators.card",
    "catch": "metaflow.decorators.catch",
    "current": "metaflow.flow.current",
    "default_metadata": "metaflow.client",
    "default_namespace": "metaflow.client",
    "environment": "metaflow.decorators.environment",
    "exit_hook": "metaflow.decorators.exit_hook",
    "get_metadata": "metaflow.client",
    "get_namespace": "metaflow.client",
    "kubernetes": "metaflow.decorators.kubernetes",
    "metadata": "metaflow.client",
    "namespace": "metaflow.client",
    "resources": "metaflow.decorators.resources",
    "retry": "metaflow.decorators.retry",
    "step": "metaflow.flow.step",
    "timeout": "metaflow.decorators.timeout",
}

__all__ = [
    "S3",
    "DataArtifact",
    "Flow",
    "FlowSpec",
    "IncludeFile",
    "JSONType",
    "JSONTypeClass",
    "Metaflow",
    "Parameter",
    "Run",
    "Step",
    "Task",
    "__version__",
    "batch",
    "card",
    "catch",
    "current",
    "default_metadata",
    "default_namespace",
    "environment",
    "exit_hook",
    "get_metadata",
    "get_namespace",
    "kubernetes",
    "metadata",
    "namespace",
    "resources",
    "retry",
    "step",
    "timeout",
]


# Names of the original that this version does not have: importing one says so.
_LATER = frozenset(
    {
        "Config", "ConfigValue", "DeployedFlow", "Deployer", "FlowMutator", "NBDeployer", "NBRunner", "Runner",
        "StepMutator", "UserStepDecorator", "cards", "conda", "conda_base", "config_expr",
        "inspect_spin", "parallel", "parallel_map", "project", "pypi", "pypi_base", "schedule", "secrets",
        "trigger", "trigger_on_finish", "user_step_decorator",
    }
)  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _LATER:
        raise ImportError(f"'{name}' is not available in this version of Millrace", name="metaflow")
    if name not in _HOME:
        raise AttributeError(f"module 'metaflow' has no attribute '{name}'")
    from importlib import import_module

    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
