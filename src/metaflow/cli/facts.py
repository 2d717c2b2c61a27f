"""What is recorded of every run and task of this installation: versions, user, script."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from metaflow.provider.protocol import Fact
from metaflow.version import __version__

if TYPE_CHECKING:
    from metaflow.settings import Settings

_PYTHON = ".".join(str(part) for part in sys.version_info[:3])


def system_tags(settings: Settings) -> tuple[str, ...]:
    """Return the immutable tags of a run."""
    return ("runtime:dev", f"user:{settings.user}", f"metaflow_version:{__version__}", f"python_version:{_PYTHON}")


def system_facts(settings: Settings, script: str) -> tuple[Fact, ...]:
    """Return the facts that every task records."""
    values = {
        "metaflow_version": __version__,
        "python_version": _PYTHON,
        "runtime": "dev",
        "script-name": script.rpartition("/")[2],
        "user": settings.user,
        **_code_package(settings.entries),
    }
    return tuple(Fact(name, value, name) for name, value in values.items())


def _code_package(entries: Mapping[str, str]) -> dict[str, str]:
    """Return which code package the task belongs to: the engine tells it by variables, as Metaflow's does."""
    if not entries.get("METAFLOW_CODE_SHA"):
        return {}
    import json

    names = {"ds_type": "DS", "sha": "SHA", "location": "URL", "metadata": "METADATA"}
    described = {field: entries.get(f"METAFLOW_CODE_{name}", "") for field, name in names.items()}
    return {"code-package": json.dumps(described)}
