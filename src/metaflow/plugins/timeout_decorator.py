"""Names that users import from `metaflow.plugins.timeout_decorator`."""

from __future__ import annotations

from metaflow.decorators.timeout import TimeoutDecorator
from metaflow.exception import TimeoutException

__all__ = ["TimeoutDecorator", "TimeoutException"]
