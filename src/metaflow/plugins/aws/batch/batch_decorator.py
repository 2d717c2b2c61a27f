"""A name that users import from `metaflow.plugins.aws.batch.batch_decorator`."""

from __future__ import annotations

from metaflow.decorators.batch import BatchDecorator

__all__ = ["BatchDecorator"]
