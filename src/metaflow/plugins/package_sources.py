"""Names that users import from `metaflow.plugins.package_sources`."""

from __future__ import annotations

from metaflow.decorators.package_sources import package_sources

__all__ = ["package_sources"]
