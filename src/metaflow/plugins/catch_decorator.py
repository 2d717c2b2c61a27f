"""A name that users import from `metaflow.plugins.catch_decorator`."""

from __future__ import annotations

from metaflow.decorators.catch import CatchDecorator

__all__ = ["CatchDecorator"]
