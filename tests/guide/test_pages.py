"""What the pages of the guide say is what happens: their blocks are run, and their outputs compared.

``MILLRACE_GUIDE_UPDATE=1 make test ARGS='-k guide'`` writes what was printed into the pages instead.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from support import processes
from support.guide import PAGES, Page
from support.site import Site


class ReadersSite(Site):
    """A directory as a reader has it: no setting but the user's name."""

    @property
    def environment(self) -> dict[str, str]:
        given = {**super().environment, "METAFLOW_USER": "you"}
        del given["METAFLOW_LOCAL_ISOLATION"]
        return given


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_tells_what_happens(path: Path, tmp_path: Path) -> None:
    site = ReadersSite(tmp_path, "fork", warm=True)
    try:
        Page(path, site).run()
    except BaseException:
        processes.kill_all(site.mark)
        raise
    processes.assert_gone(site.mark)
