"""Names that users import from `metaflow.packaging_sys`."""

from __future__ import annotations

from metaflow.flow.package_content import ContentType

__all__ = ["ContentType"]
