"""Sizes and times as people read them. Pure."""

from __future__ import annotations


def size(amount: int) -> str:
    """Return a number of bytes with a unit that suits it."""
    for unit, bytes_ in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if amount >= bytes_:
            return f"{amount / bytes_:.1f}\N{NO-BREAK SPACE}{unit}"
    return f"{amount}\N{NO-BREAK SPACE}B"


def duration(seconds: float) -> str:
    """Return a length of time, in no more than two units."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24} d {hours % 24} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"
