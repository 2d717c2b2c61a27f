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


# --- files that are being written ------------------------------------------------------------------------------------


@pytest.fixture(params=["nameless", "named"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways: as the system allows, and as on file systems that know no nameless files."""
    if request.param == "named":
        monkeypatch.setattr(files, "_NAMELESS", 0)
    elif not files._NAMELESS:
        pytest.skip("this system knows no nameless files")
    monkeypatch.setattr(files, "_looked_through", set())
    return str(request.param)


def test_nobody_finds_a_file_that_is_being_written(either: str, tmp_path: Path) -> None:
    with files.NewFile(str(tmp_path)) as file:
        file.write(b"con")
        file.write(memoryview(b"tent"))
        assert [name for name in names(tmp_path) if not name.startswith(files.TEMPORARY)] == []
        assert (names(tmp_path) == []) == (either == "nameless")
        assert Path(file.path).read_bytes() == b"content"
        assert file.publish(str(tmp_path / "file"))
    file.close()
    assert names(tmp_path) == ["file"]
    assert (tmp_path / "file").read_bytes() == b"content"


def test_what_is_not_published_is_gone(either: str, tmp_path: Path) -> None:
    with files.NewFile(str(tmp_path)) as file:
        file.write(b"content")
    assert names(tmp_path) == []


def test_of_two_writers_of_one_name(either: str, tmp_path: Path) -> None:
    target = str(tmp_path / "file")
    with (
        files.NewFile(str(tmp_path)) as one,
        files.NewFile(str(tmp_path)) as two,
        files.NewFile(str(tmp_path)) as three,
    ):
        two.write(b"two")
        three.write(b"three")
        assert one.publish(target, overwrite=False)
        assert not two.publish(target, overwrite=False)
        assert (tmp_path / "file").read_bytes() == b""
        assert three.publish(target)
    assert names(tmp_path) == ["file"]
    assert (tmp_path / "file").read_bytes() == b"three"


def test_create_in_an_open_directory(either: str, tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        assert files.create("file", b"one", dir_fd=fd)
        assert not files.create("file", b"two", overwrite=False, dir_fd=fd)
        assert (tmp_path / "file").read_bytes() == b"one"
        assert files.create("file", b"three", dir_fd=fd)
    finally:
        os.close(fd)
    assert names(tmp_path) == ["file"]
    assert (tmp_path / "file").read_bytes() == b"three"


def test_permissions(either: str, tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with files.NewFile(str(tmp_path)) as plain, files.NewFile(str(tmp_path), 0o600) as private:
            assert [os.fstat(file.fd).st_mode & 0o777 for file in (plain, private)] == [0o640, 0o600]
            plain.publish(str(tmp_path / "file"))
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_publishing_on_another_file_system_copies(either: str, tmp_path: Path) -> None:
    elsewhere = Path("/dev/shm")
    if not elsewhere.is_dir() or elsewhere.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs two file systems")
    with files.NewFile(str(elsewhere), 0o600) as file:
        file.write(b"content")
        assert file.publish(str(tmp_path / "file"))
    assert names(tmp_path) == ["file"]
    assert (tmp_path / "file").read_bytes() == b"content"
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600


def test_a_planted_link_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even of somebody who could guess the name."""
    monkeypatch.setattr(files, "_NAMELESS", 0)
    guesses = iter(["guessed", "fresh"])
    monkeypatch.setattr(files, "temporary_name", lambda directory: f"{directory}/{next(guesses)}")
    (tmp_path / "victim").write_bytes(b"precious")
    (tmp_path / "guessed").symlink_to(tmp_path / "victim")
    with pytest.raises(FileExistsError):
        files.NewFile(str(tmp_path))
    assert (tmp_path / "victim").read_bytes() == b"precious"


_KILLED = """
import os, signal, sys
from metaflow import files

if sys.argv[2] == "named":
    files._NAMELESS = 0
file = files.NewFile(sys.argv[1])
file.write(bytes(1 << 20))
print("written", flush=True)
signal.pause()
"""


def test_a_killed_writer_leaves_nothing_that_stays(
    either: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, or when the next one looks; and what a living process holds is left alone."""
    words = [sys.executable, "-c", _KILLED, str(tmp_path), either]
    with (
        subprocess.Popen(words, stdout=subprocess.PIPE) as killed,
        subprocess.Popen(words, stdout=subprocess.PIPE) as alive,
    ):
        for process in (killed, alive):
            assert process.stdout is not None
            assert process.stdout.readline() == b"written\n"
        killed.kill()
        killed.wait()
        before = names(tmp_path)
        with files.NewFile(str(tmp_path)) as file:
            own = {os.path.basename(file.path)}
        after = names(tmp_path)
        alive.kill()
    if either == "nameless":
        assert before == after == []
    else:
        assert (len(before), len(after)) == (2, 1)
        assert set(after) < set(before)
        assert not own & set(before)


def test_what_other_machines_write_is_left_alone_for_a_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_NAMELESS", 0)
    monkeypatch.setattr(files, "_looked_through", set())
    for name in ("00000000-new", "00000000-old"):
        (tmp_path / f"{files.TEMPORARY}{name}").write_bytes(b"")
    (tmp_path / f"{files.TEMPORARY}link").symlink_to("elsewhere")
    os.mkfifo(tmp_path / f"{files.TEMPORARY}00000000-pipe")
    (tmp_path / "file").write_bytes(b"")
    for name in names(tmp_path):
        if not name.endswith("-new"):
            os.utime(tmp_path / name, (0, 0), follow_symlinks=False)
    files.NewFile(str(tmp_path)).close()
    left = [name.removeprefix(files.TEMPORARY) for name in names(tmp_path)]
    assert left == ["00000000-new", "00000000-pipe", "link", "file"]


def test_names_are_met_once(tmp_path: Path) -> None:
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
