"""Decorators of steps and flows, one file each; and, as in Metaflow, the base classes that extensions derive from."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    if name in ("FlowDecorator", "StepDecorator"):
        from metaflow.decorators import hooks

        return getattr(hooks, name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
