"""The temporary directory of a client."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from metaflow.exception import MetaflowS3Exception
from metaflow.tools.s3.spool import Spool


def test_it_comes_with_the_first_file_and_goes_at_the_end(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path))
    assert list(tmp_path.iterdir()) == []
    paths = [Path(spool.new(key)) for key in ("a/data.csv", "b/data.csv", "folder/", "ü ?*\x00" + 300 * "é")]
    assert len({path.parent for path in paths}) == 1
    assert [path.name.partition("-")[2] for path in paths[:3]] == ["data.csv", "data.csv", "folder"]
    for path in paths:
        path.write_bytes(b"")
    spool.remove()
    spool.remove()
    assert list(tmp_path.iterdir()) == []
    assert Path(spool.new("a")).parent.exists()
    spool.remove()


def test_a_forked_child_leaves_it_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(str(tmp_path))
    path = Path(spool.new("a"))
    path.write_bytes(b"")
    monkeypatch.setattr(os, "getpid", lambda: -1)
    spool.remove()
    assert path.exists()


def test_a_place_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(MetaflowS3Exception, match=r"cannot create a directory .*nix: No such file") as caught:
        Spool(str(tmp_path / "nix")).new("a")
    assert "METAFLOW_TEMPDIR" in str(caught.value.hint)
