"""The datastore in object stores: what needs no network."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from metaflow import files
from metaflow.store.objects.storage import S3Storage


@pytest.mark.parametrize("nameless", [True, False])
def test_what_waits_for_its_upload_is_for_nobody_else(
    nameless: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METAFLOW_TEMPDIR", str(tmp_path))
    if not nameless:
        monkeypatch.setattr(files, "_NAMELESS", 0)
    before = os.umask(0)
    try:
        file = S3Storage("s3://bucket/root").spool()
    finally:
        os.umask(before)
    with file:
        assert os.fstat(file.fd).st_mode & 0o777 == 0o600
        assert file.directory == str(tmp_path)
        assert not nameless or not files._NAMELESS or os.listdir(tmp_path) == []
    assert os.listdir(tmp_path) == []
