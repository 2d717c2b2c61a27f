"""A name that users import from `metaflow.metaflow_profile`; the room is `metaflow.tools.profile`."""

from __future__ import annotations

from metaflow.tools.profile import profile

__all__ = ["profile"]
