"""A name that users import from `metaflow.plugins.environment_decorator`."""

from __future__ import annotations

from metaflow.decorators.environment import EnvironmentDecorator

__all__ = ["EnvironmentDecorator"]
