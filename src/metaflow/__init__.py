"""Millrace: an independent implementation of the Metaflow API.

This file lists the public names by hand and binds each when it is first touched, so that `import metaflow` costs next
to nothing and a step that needs no client does not load it. It has no other logic. The rooms, from the top:

    cli │ runner │ testing         doors: commands, and this file │ programs │ tests of steps
    app                            what a door does
    runtime │ client               a living run │ a finished one
    compute │ decorators │ tools   how a task goes out │ what is wrapped around it │ what steps call
    store │ metadata_provider │ flow     bytes │ facts │ the language
    registry │ settings │ options │ files
    exception

PYTEST_DONT_REWRITE: pytest wants to rewrite the asserts of all packages that bring a plugin, and warns if one of them
has been imported before.
"""

from __future__ import annotations

from metaflow import shadows

shadows.look()  # before anything is imported that a file of the user might hide

import sys  # noqa: E402
from typing import TYPE_CHECKING, Any  # noqa: E402

from metaflow.version import __version__  # noqa: E402

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
        inspect_spin,
        metadata,
        namespace,
    )
    from metaflow.decorators.batch import batch
    from metaflow.decorators.card import card
    from metaflow.decorators.catch import catch
    from metaflow.decorators.environment import environment
    from metaflow.decorators.exit_hook import exit_hook
    from metaflow.decorators.kubernetes import kubernetes
    from metaflow.decorators.package_sources import package_sources
    from metaflow.decorators.project import project
    from metaflow.decorators.resources import resources
    from metaflow.decorators.retry import retry
    from metaflow.decorators.schedule import schedule
    from metaflow.decorators.timeout import timeout
    from metaflow.decorators.trigger import namespaced_event_name, trigger
    from metaflow.decorators.trigger_on_finish import trigger_on_finish
    from metaflow.flow.config import Config
    from metaflow.flow.config_expression import config_expr
    from metaflow.flow.config_value import ConfigValue
    from metaflow.flow.current import current
    from metaflow.flow.includefile import IncludeFile
    from metaflow.flow.parameters import JSONType, JSONTypeClass, Parameter
    from metaflow.flow.spec import FlowSpec
    from metaflow.flow.step import step
    from metaflow.flow.user_decorators import (
        USER_SKIP_STEP,
        FlowMutator,
        StepMutator,
        UserStepDecorator,
        user_step_decorator,
    )
    from metaflow.runner.metaflow_runner import Runner
    from metaflow.runner.nbrun import NBRunner
    from metaflow.tools.config_parsers import (
        conda_environment_yml_parser,
        pyproject_toml_parser,
        requirements_txt_parser,
        yaml_parser,
    )
    from metaflow.tools.parallel import parallel_imap_unordered, parallel_map
    from metaflow.tools.profile import profile
    from metaflow.tools.s3.client import S3

_HOME = {
    "Config": "metaflow.flow.config",
    "ConfigValue": "metaflow.flow.config_value",
    "DataArtifact": "metaflow.client",
    "Flow": "metaflow.client",
    "FlowMutator": "metaflow.flow.user_decorators",
    "FlowSpec": "metaflow.flow.spec",
    "IncludeFile": "metaflow.flow.includefile",
    "JSONType": "metaflow.flow.parameters",
    "JSONTypeClass": "metaflow.flow.parameters",
    "Metaflow": "metaflow.client",
    "NBRunner": "metaflow.runner.nbrun",
    "Parameter": "metaflow.flow.parameters",
    "Run": "metaflow.client",
    "Runner": "metaflow.runner.metaflow_runner",
    "S3": "metaflow.tools.s3.client",
    "Step": "metaflow.client",
    "StepMutator": "metaflow.flow.user_decorators",
    "Task": "metaflow.client",
    "USER_SKIP_STEP": "metaflow.flow.user_decorators",
    "UserStepDecorator": "metaflow.flow.user_decorators",
    "batch": "metaflow.decorators.batch",
    "card": "metaflow.decorators.card",
    "catch": "metaflow.decorators.catch",
    "conda_environment_yml_parser": "metaflow.tools.config_parsers",
    "config_expr": "metaflow.flow.config_expression",
    "current": "metaflow.flow.current",
    "default_metadata": "metaflow.client",
    "default_namespace": "metaflow.client",
    "environment": "metaflow.decorators.environment",
    "exit_hook": "metaflow.decorators.exit_hook",
    "get_metadata": "metaflow.client",
    "get_namespace": "metaflow.client",
    "inspect_spin": "metaflow.client",
    "kubernetes": "metaflow.decorators.kubernetes",
    "metadata": "metaflow.client",
    "namespace": "metaflow.client",
    "namespaced_event_name": "metaflow.decorators.trigger",
    "package_sources": "metaflow.decorators.package_sources",
    "parallel_imap_unordered": "metaflow.tools.parallel",
    "parallel_map": "metaflow.tools.parallel",
    "profile": "metaflow.tools.profile",
    "project": "metaflow.decorators.project",
    "pyproject_toml_parser": "metaflow.tools.config_parsers",
    "requirements_txt_parser": "metaflow.tools.config_parsers",
    "resources": "metaflow.decorators.resources",
    "retry": "metaflow.decorators.retry",
    "schedule": "metaflow.decorators.schedule",
    "step": "metaflow.flow.step",
    "timeout": "metaflow.decorators.timeout",
    "trigger": "metaflow.decorators.trigger",
    "trigger_on_finish": "metaflow.decorators.trigger_on_finish",
    "user_step_decorator": "metaflow.flow.user_decorators",
    "yaml_parser": "metaflow.tools.config_parsers",
}

__all__ = [
    "S3",
    "USER_SKIP_STEP",
    "Config",
    "ConfigValue",
    "DataArtifact",
    "Flow",
    "FlowMutator",
    "FlowSpec",
    "IncludeFile",
    "JSONType",
    "JSONTypeClass",
    "Metaflow",
    "NBRunner",
    "Parameter",
    "Run",
    "Runner",
    "Step",
    "StepMutator",
    "Task",
    "UserStepDecorator",
    "__version__",
    "batch",
    "card",
    "catch",
    "conda_environment_yml_parser",
    "config_expr",
    "current",
    "default_metadata",
    "default_namespace",
    "environment",
    "exit_hook",
    "get_metadata",
    "get_namespace",
    "inspect_spin",
    "kubernetes",
    "metadata",
    "namespace",
    "namespaced_event_name",
    "package_sources",
    "parallel_imap_unordered",
    "parallel_map",
    "profile",
    "project",
    "pyproject_toml_parser",
    "requirements_txt_parser",
    "resources",
    "retry",
    "schedule",
    "step",
    "timeout",
    "trigger",
    "trigger_on_finish",
    "user_step_decorator",
    "yaml_parser",
]


# Modules that can be reached as attributes without having been imported, as in Metaflow.
_MODULES = frozenset(
    {
        "client", "events", "exception", "flowspec", "graph", "includefile", "metaflow_config", "metaflow_current",
        "metaflow_profile", "metaflow_version", "multicore_utils", "parameters", "plugins", "runner",
        "tagging_util", "util",
    }
)  # fmt: skip


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _HOME and name not in _MODULES:
        return _added(name)

    if name in _MODULES:
        return import_module(f"metaflow.{name}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def _added(name: str) -> Any:
    """Return what an extension adds under a name that is none of Metaflow's, and of no module here."""
    from importlib.machinery import PathFinder

    if not name.startswith("_") and PathFinder.find_spec(f"{__name__}.{name}", __path__) is None:
        from metaflow.absent import MODULES, NAMES
        from metaflow.flow.added import added

        found = None if name in NAMES or name in MODULES else added(name)
        if found is not None:
            globals()[name] = found
            return found
    raise AttributeError(f"module 'metaflow' has no attribute '{name}'")


class _Absent:
    """The last finder of modules: what Metaflow has and this version has not is named."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        if name.startswith("metaflow."):
            from metaflow.absent import refusal

            error = refusal(name)
            if error is not None:
                raise error


sys.meta_path.append(_Absent)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
