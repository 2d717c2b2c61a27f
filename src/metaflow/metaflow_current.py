"""Names that users import from `metaflow.metaflow_current`; the room is `metaflow.flow.current`."""

from __future__ import annotations

from metaflow.flow.current import Current, current

__all__ = ["Current", "current"]
