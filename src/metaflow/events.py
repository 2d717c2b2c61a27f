"""Names that users import from `metaflow.events`."""

from __future__ import annotations

from metaflow.flow.events import MetaflowEvent, Trigger

MetaflowTrigger = Trigger

__all__ = ["MetaflowEvent", "MetaflowTrigger", "Trigger"]
