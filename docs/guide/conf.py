"""How Sphinx builds the guide: ``make docs``. The pages are MyST Markdown; what they name is in `generated`."""

from __future__ import annotations

import sys
from pathlib import Path

from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parent))

from generated import expand
from metaflow.version import MILLRACE

project = "Millrace"
version = release = MILLRACE
extensions = ["myst_parser"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
smartquotes = False  # two dashes begin an option
html_theme = "furo"
html_title = f"Millrace {MILLRACE}"
html_css_files = ["wide.css"]
html_static_path = ["static"]
html_copy_source = False
html_show_copyright = False


def setup(app: Sphinx) -> None:
    """Have each page expanded when it is read."""

    def read(app: Sphinx, name: str, source: list[str]) -> None:
        source[0] = expand(source[0])

    app.connect("source-read", read)
