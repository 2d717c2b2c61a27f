"""A name that users import from `metaflow.plugins.retry_decorator`."""

from __future__ import annotations

from metaflow.decorators.retry import RetryDecorator

__all__ = ["RetryDecorator"]
