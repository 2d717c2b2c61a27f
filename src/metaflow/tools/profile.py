"""`profile`: how long a part of a step takes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def profile(label: str, stats_dict: dict[str, int] | None = None) -> Iterator[None]:
    """Measure how long a block, or each call of a function that it decorates, takes; print it, or add it up.

    Parameters
    ----------
    label : str
        What is measured.
    stats_dict : dict of str to int, optional
        Gets the milliseconds under `label`, added to what is there; nothing is printed then.

    Examples
    --------
    >>> with profile("load"):
    ...     frame = load()
    """
    if stats_dict is None:
        print(f"PROFILE: {label} starts")
    begin = time.monotonic()
    try:
        yield
    finally:
        elapsed = int((time.monotonic() - begin) * 1000)
        if stats_dict is None:
            print(f"PROFILE: {label} took {elapsed} ms")
        else:
            stats_dict[label] = stats_dict.get(label, 0) + elapsed
