"""`@card`: not in this version. It can be imported, so that flows that mention it run; using it says so."""

from __future__ import annotations

import sys
from typing import Any

from metaflow.exception import InvalidFlow
from metaflow.flow.failure import tell_plainly


def card(function: Any = None, **attributes: Any) -> Any:
    """Attach a report to a step; not available in this version.

    Raises
    ------
    InvalidFlow
        Always.
    """
    frame = sys._getframe(1)
    error = InvalidFlow(
        "@card is not available in this version of Millrace.",
        frame.f_lineno,
        frame.f_code.co_filename,
        hint="remove it from the step; nothing else depends on it",
    )
    tell_plainly(error)
    raise error
