"""A name that users import from `metaflow.plugins.package_suffixes_mutator`."""

from __future__ import annotations

from metaflow.decorators.package_suffixes import package_suffixes

__all__ = ["package_suffixes"]
