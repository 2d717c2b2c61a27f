"""Whether an event loop is running in this thread, as in a notebook or under an asynchronous test."""

from __future__ import annotations

import sys


def has_running_loop() -> bool:
    """Tell whether it is; asyncio is not loaded for that."""
    if "asyncio" not in sys.modules:
        return False
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
