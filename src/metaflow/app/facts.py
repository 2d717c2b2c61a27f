"""What is recorded of every run and task of this installation: versions, user, script."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from metaflow.metadata_provider.protocol import Fact
from metaflow.version import __version__

if TYPE_CHECKING:
    from metaflow.settings import Settings

_PYTHON = ".".join(str(part) for part in sys.version_info[:3])


def system_tags(settings: Settings) -> tuple[str, ...]:
    """Return the immutable tags of a run."""
    return ("runtime:dev", f"user:{settings.user}", f"metaflow_version:{__version__}", f"python_version:{_PYTHON}")


def system_facts(settings: Settings, script: str, code_package: str | None = None) -> tuple[Fact, ...]:
    """Return the facts that every task records, `code_package` among them if its run has one."""
    values = {
        "metaflow_version": __version__,
        "python_version": _PYTHON,
        "runtime": "dev",
        "script-name": script.rpartition("/")[2],
        "user": settings.user,
    }
    if code_package is not None:
        values["code-package"] = code_package
    return tuple(Fact(name, value, name) for name, value in values.items())
