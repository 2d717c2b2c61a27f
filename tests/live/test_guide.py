"""What the guide says of clusters and object stores is what happens, on those that the environment names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from support import processes
from support.guide import PAGES, Page, blocks_of
from support.remote_site import RemoteSite

NEEDED = ("KUBECONFIG", "METAFLOW_BATCH_JOB_QUEUE", "METAFLOW_DATASTORE_SYSROOT_S3")
LIVE = [page for page in PAGES if any("live" in block.attributes for block in blocks_of(page.read_text("utf-8")))]

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(not set(NEEDED) <= os.environ.keys(), reason=f"the environment does not have all of {NEEDED}"),
]


@pytest.mark.parametrize("path", LIVE, ids=lambda path: path.stem)
def test_a_page_tells_what_happens_elsewhere(path: Path, tmp_path: Path) -> None:
    site = RemoteSite(tmp_path, "fork")
    Page(path, site, is_live=True).run()
    processes.assert_gone(site.mark)
