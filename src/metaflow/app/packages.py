"""The packages that a run's remote tasks get, from the files of a flow."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from metaflow import extensions
from metaflow.app.workspace import Workspace
from metaflow.compute.ignore import FILE
from metaflow.compute.jobs.packages import TaskPackages
from metaflow.compute.jobs.runtime_package import platform_of, runtime_archive
from metaflow.compute.package import Manifest, archive, gather, suffixes_of
from metaflow.flow.package_content import Addition, ContentType
from metaflow.version import __version__


def task_packages(workspace: Workspace, remark: Callable[[str], None]) -> TaskPackages:
    """Read the flow's files and return what its remote tasks get; say what looks like a secret and was left out.

    Raises
    ------
    MetaflowException
        A file cannot be read, there is too much of them, or a setting cannot be used.
    """
    manifest = code_manifest(workspace, remark)
    platform = platform_of(workspace.settings.packages.platform)
    return TaskPackages(
        workspace.storage,
        workspace.name,
        archive(manifest, package_info(workspace)),
        lambda: runtime_archive(cache_directory(os.environ), platform),
        manifest.other_suffixes,
    )


def code_manifest(workspace: Workspace, remark: Callable[[str], None]) -> Manifest:
    """Return what goes into the code package; say what looks like a secret and was left out.

    Raises
    ------
    MetaflowException
        The flow cannot be planned, a file cannot be read, or there is too much of them.
    """
    configured = workspace.settings.packages
    suffixes = suffixes_of(workspace.options.package_suffixes, configured.suffixes)
    plan = workspace.plan
    decorators = [*plan.decorators, *(each for step in plan.steps.values() for each in step.decorators)]
    additions = [added for decorator in decorators for added in decorator.add_to_package()]
    additions += [Addition(module, type=ContentType.MODULE_CONTENT) for module in extensions.modules()]
    manifest = gather(workspace.path, suffixes, configured.limit_mb, workspace.module, additions)
    if manifest.secrets:
        names = ", ".join(os.path.relpath(path, manifest.directory) for path in manifest.secrets[:5])
        more = f" and {len(manifest.secrets) - 5} more" if len(manifest.secrets) > 5 else ""
        remark(
            f"Excluded from the code package because they look like secrets: {names}{more} "
            f"(add `!NAME` to {FILE} to include one)."
        )
    return manifest


def package_info(workspace: Workspace) -> dict[str, Any]:
    """Return what the package says of where it was made, as Metaflow's does."""
    return {
        "platform": {"linux": "Linux", "darwin": "Darwin"}.get(sys.platform, sys.platform),
        "username": workspace.settings.user,
        "runtime": "dev",
        "environment_type": workspace.environment,
        "use_r": False,
        "python_version": sys.version,
        "python_version_code": ".".join(str(part) for part in sys.version_info[:3]),
        "metaflow_version": __version__,
        "ext_info": [{}, {}],
    }


def cache_directory(environ: Mapping[str, str]) -> str:
    """Return a directory for what is made once for many runs: of this user alone, since it is run elsewhere."""
    home = environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    if os.path.isabs(home) and os.access(home if os.path.isdir(home) else os.path.dirname(home), os.W_OK):
        return os.path.join(home, "millrace")
    from tempfile import gettempdir, mkdtemp

    directory = os.path.join(gettempdir(), f"millrace-{os.getuid()}")
    try:
        os.mkdir(directory, 0o700)
    except FileExistsError:
        status = os.lstat(directory)
        if status.st_uid != os.getuid() or status.st_mode & 0o177077 != 0o40000:
            return mkdtemp(prefix="millrace-")
    return directory
