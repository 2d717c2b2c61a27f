"""Files that are there whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from threading import Thread

import pytest

from metaflow import files
from metaflow.exception import StorageUnavailable


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_write_makes_directories_and_leaves_no_temporary(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    files.write(str(path), b"content")
    assert path.read_bytes() == b"content"
    assert names(path.parent) == ["file"]


def test_write_replaces_unless_told_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "file"
    files.write(str(path), b"one")
    files.write(str(path), b"two", overwrite=False)
    assert path.read_bytes() == b"one"
    files.write(str(path), b"three")
    assert path.read_bytes() == b"three"


def test_a_bare_name_is_in_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files.write("file", b"content")
    assert names(tmp_path) == ["file"]
    assert files.read("file") == b"content"


def test_a_replaced_file_is_another_file(tmp_path: Path) -> None:
    """Who has opened it before goes on reading what was there."""
    path = tmp_path / "file"
    files.write(str(path), b"one")
    with path.open("rb") as before:
        files.write(str(path), b"two")
        assert before.read() == b"one"


def test_read_gives_none_for_what_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert files.read(str(tmp_path / "file")) == b""
    assert files.read(str(tmp_path / "missing")) is None
    assert files.read(str(tmp_path / "file" / "below")) is None
    assert files.read(str(tmp_path)) is None


def test_discard_forgives(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"")
    files.discard(str(path))
    files.discard(str(path))
    files.discard(str(tmp_path))
    assert names(tmp_path) == []


def test_temporary_names_differ_among_threads(tmp_path: Path) -> None:
    found: list[str] = []
    threads = [Thread(target=lambda: found.extend([files.temporary_name("d") for _ in range(500)])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 2000
    assert {os.path.dirname(name) for name in found} == {"d"}


def test_a_failed_write_keeps_what_was_there(tmp_path: Path) -> None:
    """A directory has the name: the last moment, the rename, fails."""
    (tmp_path / "file").mkdir()
    with pytest.raises(StorageUnavailable, match="Is a directory") as caught:
        files.write(str(tmp_path / "file"), b"content")
    assert str(tmp_path / "file") in caught.value.message
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize(
    ("number", "word"),
    [
        (errno.ENOSPC, "space"),
        (errno.EDQUOT, "quota"),
        (errno.EACCES, "METAFLOW_DATASTORE_SYSROOT_LOCAL"),
        (errno.EROFS, "read-only"),
        (errno.ENOTDIR, "file"),
    ],
)
def test_the_causes_that_people_meet_have_a_hint(number: int, word: str) -> None:
    with pytest.raises(StorageUnavailable) as caught:
        files.unavailable(OSError(number, "?"), "/data/file")
    assert "/data/file" in caught.value.message
    assert os.strerror(number) in caught.value.message
    assert caught.value.hint is not None
    assert word in caught.value.hint


def test_other_causes_have_a_reason_only() -> None:
    with pytest.raises(StorageUnavailable, match="Cannot read /data/file: odd") as caught:
        files.unavailable(OSError("odd"), "/data/file", "read")
    assert caught.value.hint is None
