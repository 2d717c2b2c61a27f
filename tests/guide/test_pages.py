"""What the pages of the guide say is what happens: their blocks are run, and their outputs compared.

``MILLRACE_GUIDE_UPDATE=1 make test ARGS='-k guide'`` writes what was printed into the pages instead.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from support.guide import PAGES, Page
from support.site import Site

pytestmark = pytest.mark.ours


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_tells_what_happens(path: Path, one_site: Site) -> None:
    Page(path, one_site).run()
