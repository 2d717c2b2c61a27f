from __future__ import annotations

from pathlib import Path

import pytest

from metaflow.exception import UnpicklableArtifact
from metaflow.flow.plan import read
from metaflow.metadata_provider.local import LocalMetadata
from metaflow.runtime.begin import begin_run
from metaflow.store.local import LocalStorage
from support.sketch import flow_class, source


@pytest.fixture
def metadata(tmp_path: Path) -> LocalMetadata:
    return LocalMetadata(str(tmp_path / "root"), "ann")


def begin(tmp_path: Path, metadata: LocalMetadata, text: str = "", **options: object) -> str:
    head = "class Sketch(FlowSpec):\n"
    plan = read(flow_class(tmp_path, source("start > end; end").replace(head, head + text)))
    storage = LocalStorage(metadata.root)
    return begin_run(plan, {}, storage, metadata, tags=[], system_tags=[], facts=[], **options)  # type: ignore[arg-type]


def test_a_run_is_claimed_before_anybody_sees_it(tmp_path: Path, metadata: LocalMetadata) -> None:
    """Who is killed after that leaves a run of which is known that it is lost."""
    seen = []

    def claim(run: str) -> None:
        seen.append((run, metadata.get(("Sketch", run)), list(metadata.children(("Sketch",)))))

    run = begin(tmp_path, metadata, claim=claim)
    assert seen == [(run, None, [])]
    assert metadata.get(("Sketch", run)) is not None


def test_a_value_that_cannot_be_stored_leaves_no_run(tmp_path: Path, metadata: LocalMetadata) -> None:
    with pytest.raises(UnpicklableArtifact, match="handler"):
        begin(tmp_path, metadata, "    handler = open(__file__)\n")
    assert list(metadata.children(("Sketch",))) == []
