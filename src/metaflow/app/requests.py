"""What each step of a flow asks for."""

from __future__ import annotations

import sys

from metaflow.app.workspace import Workspace
from metaflow.compute.resources import ResourceRequest, request_of


def resource_requests(workspace: Workspace) -> dict[str, ResourceRequest]:
    """Return what each step asks for, in the order of the flow.

    Raises
    ------
    SettingsError
        A setting has a value that an attribute cannot have.
    """
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    values = workspace.settings.values
    return {name: request_of(step, values, python=python) for name, step in workspace.plan.steps.items()}
