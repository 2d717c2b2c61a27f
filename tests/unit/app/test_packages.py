from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

import pytest

from metaflow.app import packages


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go; there is no home."""
    monkeypatch.setenv("HOME", "/nowhere/at/all")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_the_cache_is_the_user_s(tmp_path: Path) -> None:
    assert packages.cache_directory({"XDG_CACHE_HOME": str(tmp_path)}) == str(tmp_path / "millrace")


def test_without_a_home_there_is_one_of_the_user_s_own(temporary: Path) -> None:
    directory = packages.cache_directory({})
    assert directory == packages.cache_directory({}) == str(temporary / f"millrace-{os.getuid()}")
    assert stat.S_IMODE(os.stat(directory).st_mode) == 0o700


def test_what_others_can_write_to_is_not_trusted(temporary: Path) -> None:
    own = temporary / f"millrace-{os.getuid()}"
    own.mkdir()
    own.chmod(0o777)
    assert packages.cache_directory({}) != str(own)


def test_a_link_is_not_trusted(temporary: Path) -> None:
    (temporary / "other").mkdir(0o700)
    (temporary / f"millrace-{os.getuid()}").symlink_to("other")
    assert packages.cache_directory({}) != str(temporary / f"millrace-{os.getuid()}")
