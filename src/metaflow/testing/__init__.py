"""Steps and flows under test, in this process: `run_step` and `run_flow`.

A step runs as the task that it will be, by the code of all tasks (`metaflow.runtime.task`), with a storage in memory:
what comes in and what it leaves is pickled, and no file is written. Nothing of the process is used that a test needs
itself. Start reading at `metaflow.testing.step`; for `pytest` there are fixtures, in `metaflow.testing.pytest_plugin`.

Each name is loaded when it is first touched, so that the plugin costs nothing where it is not used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metaflow.testing.flow import run_flow
    from metaflow.testing.inputs import Foreach
    from metaflow.testing.results import FlowResult, StepResult
    from metaflow.testing.step import run_step

_HOME = {
    "FlowResult": "results",
    "Foreach": "inputs",
    "StepResult": "results",
    "run_flow": "flow",
    "run_step": "step",
}

__all__ = ["FlowResult", "Foreach", "StepResult", "run_flow", "run_step"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'metaflow.testing' has no attribute '{name}'")
    from importlib import import_module

    value = getattr(import_module(f"metaflow.testing.{_HOME[name]}"), name)
    globals()[name] = value
    return value
