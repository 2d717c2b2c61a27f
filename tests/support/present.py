"""A value that has to be there, such as `Step.task`, whose type allows for None."""

from __future__ import annotations

from typing import TypeVar

Value = TypeVar("Value")


def present(value: Value | None) -> Value:
    """Return the value, or fail."""
    assert value is not None
    return value
