"""Whether somebody sits at this machine whose browser can show a page, and showing it."""

from __future__ import annotations

import os
import sys
import webbrowser


def open_if_watched(address: str) -> None:
    """Open a page, if the command was typed on a terminal of a machine with a display."""
    has_display = sys.platform == "darwin" or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY")))
    if sys.stdout.isatty() and has_display:
        webbrowser.open(address)
