"""A name that users import from `metaflow.plugins.resources_decorator`."""

from __future__ import annotations

from metaflow.decorators.resources import ResourcesDecorator

__all__ = ["ResourcesDecorator"]
