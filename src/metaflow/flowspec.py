"""A name that users import from `metaflow.flowspec`; the room is `metaflow.flow.spec`."""

from __future__ import annotations

from metaflow.flow.spec import FlowSpec

__all__ = ["FlowSpec"]
