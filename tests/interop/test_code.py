"""Code packages: each side's client reads the other's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from metaflow.compute.package import FORMAT
from metaflow.metadata_provider.local import LocalMetadata
from metaflow.metadata_provider.protocol import Fact, TaskPath
from metaflow.store.blobs import Blobs
from metaflow.store.local import LocalStorage
from support.interop import INTEROP, ORIGINAL, InteropSite
from support.interpreter import PYTHON
from support.present import present
from support.site import Finished, Site

READER = Path(__file__).with_name("code_reader.py")

pytestmark = INTEROP


@pytest.fixture
def site(tmp_path: Path) -> Site:
    directory = tmp_path / "site"
    directory.mkdir()
    site = InteropSite(directory, "fork")
    site.write("lib/deep.py", "x = '☃'\n")
    site.write("query.sql", "select 1")
    return site


def read(site: Site, python: str, finished: Finished) -> dict[str, Any]:
    told = site.run_flow(
        str(READER), str(site.directory), f"LinearFlow/{finished.run_id}", command=[python], cwd=site.directory
    ).succeeded()
    found: dict[str, Any] = json.loads(told.stdout)
    assert found["source"] == (site.directory / "linear.py").read_text()
    assert found["members"] == found["files"] == ["lib/deep.py", "linear.py", "query.sql"]
    return found


def test_both_clients_read_the_original_s_package(site: Site) -> None:
    finished = site.run_flow(
        "linear.py",
        "--package-suffixes",
        ".sql",
        "run",
        command=[ORIGINAL],
        env={"METAFLOW_FEAT_ALWAYS_UPLOAD_CODE_PACKAGE": "1"},
    ).succeeded()
    assert read(site, PYTHON, finished) == read(site, ORIGINAL, finished)


def test_both_clients_read_our_package(site: Site, tmp_path: Path) -> None:
    finished = site.run_flow("linear.py", "run").succeeded()
    saved = tmp_path / "saved"
    site.run_flow("linear.py", "--package-suffixes", ".sql", "package", "save", str(saved)).succeeded()
    storage = LocalStorage(str(site.root))
    blobs = Blobs(storage, "LinearFlow")
    (sha,) = blobs.save([saved.read_bytes()])
    fact = json.dumps(
        {
            "ds_type": "local",
            "sha": sha,
            "location": storage.describe(blobs.path(sha)),
            "metadata": json.dumps(FORMAT),
        }
    )
    for step in finished.run:
        task = TaskPath("LinearFlow", str(finished.run_id), step.id, present(step.task).id)
        LocalMetadata(str(site.root), "tester").record(task, 0, [Fact("code-package", fact, "code-package")])
    assert read(site, PYTHON, finished) == read(site, ORIGINAL, finished)
