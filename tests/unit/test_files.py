"""Files that are there whole or not at all."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
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


def test_link_gives_a_second_name_that_outlives_the_first(tmp_path: Path) -> None:
    files.write(str(tmp_path / "file"), b"content")
    files.link(str(tmp_path / "file"), str(tmp_path / "a" / "b" / "name"))
    files.link(str(tmp_path / "file"), str(tmp_path / "a" / "other"))
    files.write(str(tmp_path / "file"), b"replaced")
    assert (tmp_path / "a" / "b" / "name").read_bytes() == b"content"
    files.discard(str(tmp_path / "file"))
    assert (tmp_path / "a" / "other").read_bytes() == b"content"
    assert names(tmp_path / "a") == ["b", "other"]


def test_link_copies_where_there_can_be_no_link(tmp_path: Path) -> None:
    elsewhere = Path("/dev/shm")
    if not elsewhere.is_dir() or elsewhere.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs two file systems")
    with tempfile.NamedTemporaryFile(dir=elsewhere) as source:
        source.write(b"content")
        source.flush()
        files.link(source.name, str(tmp_path / "a" / "name"))
    assert (tmp_path / "a" / "name").read_bytes() == b"content"
    assert names(tmp_path / "a") == ["name"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root may act as somebody else")
def test_link_copies_what_belongs_to_somebody_else(tmp_path: Path) -> None:
    """Linux refuses a link to a file that one may only read (``fs.protected_hardlinks``)."""
    (tmp_path / "file").write_bytes(b"content")
    tmp_path.chmod(0o777)
    nobody = 65534
    words = [sys.executable, "-c", "from metaflow import files; files.link('file', 'name')"]
    try:
        done = subprocess.run(words, cwd=tmp_path, user=nobody, group=nobody, extra_groups=[], capture_output=True)
    except PermissionError:
        pytest.skip("nobody may not run this interpreter")
    if b"ModuleNotFoundError" in done.stderr:
        pytest.skip("nobody may not read this checkout")
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "name").read_bytes() == b"content"
    assert (tmp_path / "name").stat().st_uid in (0, nobody)


def test_link_to_what_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable, match=f"Cannot read {tmp_path}/missing: No such file"):
        files.link(str(tmp_path / "missing"), str(tmp_path / "name"))
    assert names(tmp_path) == []


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
