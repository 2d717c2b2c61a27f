"""Settings under the names of Metaflow."""

from __future__ import annotations

from pathlib import Path

import pytest

from metaflow import metaflow_config


def test_settings_are_read_when_they_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("METAFLOW_HOME", str(tmp_path))
    assert metaflow_config.DEFAULT_DATASTORE == "local"
    assert metaflow_config.DATASTORE_SYSROOT_S3 is None
    assert metaflow_config.DATATOOLS_S3ROOT is None
    assert metaflow_config.SERVICE_URL is None
    monkeypatch.setenv("METAFLOW_DATASTORE_SYSROOT_S3", "s3://bucket/root")
    monkeypatch.setenv("METAFLOW_SERVICE_URL", "http://service")
    assert metaflow_config.DATASTORE_SYSROOT_S3 == "s3://bucket/root"
    assert metaflow_config.DATATOOLS_S3ROOT == "s3://bucket/root/data"
    assert metaflow_config.SERVICE_URL == "http://service"
    assert metaflow_config.from_conf("SERVICE_URL") == "http://service"
    assert metaflow_config.from_conf("OWN_THING", 3) == 3
    with pytest.raises(AttributeError, match="'NO_SUCH_SETTING'"):
        metaflow_config.NO_SUCH_SETTING
