"""What is a number: attributes come as numbers, or as text where they come from ``--with`` or a configuration."""

from __future__ import annotations

import reprlib
from math import isfinite, nan
from typing import Any


def amount(value: Any) -> float:
    """Return a finite number; NaN, which no comparison holds for, if the value is none."""
    if isinstance(value, bool):
        return nan
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return nan
    return number if isfinite(number) else nan


def shown(value: Any) -> str:
    """Return the value as the user may have written it, shortened if it is very long."""
    try:
        return reprlib.repr(value)
    except ValueError:  # an integer of more digits than Python prints
        return "a very large number"
