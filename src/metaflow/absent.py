"""What Metaflow has and this version has not: importing it says so by name, at any depth.

`hasattr` and `getattr` with a default go their usual ways. Read only where an import has failed.
"""

from __future__ import annotations

NAMES = frozenset(
    {
        "DeployedFlow", "Deployer", "NBDeployer",
        "airflow_external_task_sensor", "airflow_s3_key_sensor",
        "conda", "conda_base", "parallel",
        "pypi", "pypi_base", "pytorch_parallel", "secrets",
    }
)  # fmt: skip
"""Names in `metaflow` itself."""

MODULES = frozenset(
    {
        "R", "clone_util", "cmd", "datastore", "debug", "event_logger", "extension_support",
        "integrations", "lint", "metaflow_environment", "metaflow_git", "mflog", "monitor", "package", "plugins",
        "procpoll", "pylint_wrapper", "runner", "sidecar", "system", "system_context", "task", "tracing",
        "unbounded_foreach",
    }
)  # fmt: skip
"""Modules, with all below them; of `plugins` and `runner` those that are not files here."""


def refusal(module: str) -> ImportError | None:
    """Return the error for a module that cannot be found, if Metaflow has it or a name like it.

    Parameters
    ----------
    module : str
        Its full name. ``from metaflow import Runner`` looks for ``metaflow.Runner``.
    """
    _, _, path = module.partition(".")
    if path.partition(".")[0] not in NAMES | MODULES:
        return None
    shown = path if path in NAMES else module
    return ImportError(f"'{shown}' is not available in this version of Millrace", name=module)
