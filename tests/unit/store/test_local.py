"""The contract of `Storage`, for those that need no network; and what only files on a disk have to promise."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from metaflow.exception import StorageUnavailable
from metaflow.files import NewFile
from metaflow.store.local import LocalStorage
from metaflow.store.memory import MemoryStorage
from metaflow.store.protocol import Storage
from support.storage_contract import *  # noqa: F403 - tests
from support.storage_contract import value

KINDS: dict[str, Callable[[Path], Storage]] = {
    "local": lambda directory: LocalStorage(str(directory / "root")),
    "memory": lambda directory: MemoryStorage(str(directory)),
}


@pytest.fixture(params=sorted(KINDS))
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    return KINDS[request.param](tmp_path)


# --- files on a disk -------------------------------------------------------------------------------------------------


def test_a_process_sees_what_another_one_has_put(tmp_path: Path) -> None:
    script = "import sys; from metaflow.store.local import LocalStorage as L; L(sys.argv[1]).put([('F/a', b'x')])"
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True)
    assert value(LocalStorage(str(tmp_path)), "F/a") == b"x"


def test_a_killed_writer_leaves_no_half_value(tmp_path: Path) -> None:
    """Writers are killed by SIGKILL, each after some random work of its own; then every value is whole."""
    script = textwrap.dedent("""
        import os, random, signal, sys
        from metaflow.store.local import LocalStorage

        storage = LocalStorage(sys.argv[1])
        values = [letter.encode() * 300_000 for letter in "abcdef"]

        def write():
            while True:
                data = random.choice(values)
                storage.put([(f"F/{number}", data) for number in range(3)], overwrite=True)
                storage.delete(["F/1"])
                spool = storage.spool()
                spool.write(data)
                storage.put_file("F/spooled", spool)

        def whole():
            keys = [entry.key for entry in storage.list("F")]
            return keys and all(data in values for key, data in storage.get(keys))

        for round in range(30):
            pid = os.fork()
            if pid == 0:
                write()
            for glance in range(random.randrange(1, 30)):
                list(storage.list("F"))
            if round == 0:
                while not storage.head(["F/spooled"])[0]:
                    pass
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            assert whole(), round
    """)
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, timeout=60)


@pytest.fixture
def below_a_file(tmp_path: Path) -> LocalStorage:
    """A storage that cannot be: its root is below a regular file. (Root may write everywhere else.)"""
    (tmp_path / "file").write_bytes(b"")
    return LocalStorage(str(tmp_path / "file" / "root"))


@pytest.mark.parametrize("verb", ["put", "overwrite", "append to a log", "put_file", "spool"])
def test_what_cannot_be_written_is_said_with_path_and_hint(
    verb: str, below_a_file: LocalStorage, tmp_path: Path
) -> None:
    spooled = NewFile(str(tmp_path))
    verbs: dict[str, Callable[[], object]] = {
        "put": lambda: below_a_file.put([("F/a", b"")]),
        "overwrite": lambda: below_a_file.put([("F/a", b"")], overwrite=True),
        "append to a log": lambda: below_a_file.log_sink().append("F/a", b""),
        "put_file": lambda: below_a_file.put_file("F/a", spooled),
        "spool": below_a_file.spool,
    }
    with pytest.raises(StorageUnavailable, match="Not a directory") as caught:
        verbs[verb]()
    assert below_a_file.describe("" if verb == "spool" else "F/a") in caught.value.message
    assert caught.value.hint is not None
    assert "METAFLOW_DATASTORE_SYSROOT_LOCAL" in caught.value.hint
    spooled.close()
    assert os.listdir(tmp_path) == ["file"]


def test_nothing_is_found_below_a_file(below_a_file: LocalStorage) -> None:
    assert value(below_a_file, "F/a") is None
    assert below_a_file.head(["F/a"]) == [None]
    assert below_a_file.open("F/a") is None
    assert list(below_a_file.list("F")) == []
    below_a_file.delete(["F/a"])


def test_a_full_disk_is_said_with_a_hint(tmp_path: Path) -> None:
    (tmp_path / "log").symlink_to("/dev/full")
    with pytest.raises(StorageUnavailable, match="No space left") as caught:
        LocalStorage(str(tmp_path)).log_sink().append("log", b"line\n")
    assert caught.value.hint is not None
    assert "resume" in caught.value.hint


def test_a_write_that_fails_halfway_leaves_nothing(tmp_path: Path) -> None:
    """The limit on file sizes stands for a disk that is full after the first thousand bytes."""
    script = textwrap.dedent("""
        import resource, sys
        from metaflow.exception import StorageUnavailable
        from metaflow.store.local import LocalStorage

        storage = LocalStorage(sys.argv[1])
        storage.put([("F/a", b"old")])
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        for key, overwrite in (("F/a", True), ("F/b", False)):
            try:
                storage.put([(key, bytes(5000))], overwrite=overwrite)
            except StorageUnavailable as error:
                assert storage.describe(key) in error.message
            else:
                raise SystemExit("no error")
        assert list(storage.get(["F/a", "F/b"])) == [("F/a", b"old"), ("F/b", None)]
    """)
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True)
    assert [path.name for path in (tmp_path / "F").iterdir()] == ["a"]


@pytest.mark.parametrize("verb", ["get", "open", "head", "list", "delete"])
def test_what_cannot_be_read_is_said_with_its_path(verb: str, tmp_path: Path) -> None:
    """Not to be allowed is another thing than not to be there. A loop of links refuses even root."""
    (tmp_path / "loop").symlink_to("loop")
    storage = LocalStorage(str(tmp_path))
    verbs: dict[str, Callable[[], object]] = {
        "get": lambda: list(storage.get(["loop/a"])),
        "open": lambda: storage.open("loop/a"),
        "head": lambda: storage.head(["loop/a"]),
        "list": lambda: list(storage.list("loop/a")),
        "delete": lambda: storage.delete(["loop/a"]),
    }
    with pytest.raises(StorageUnavailable, match="symbolic link") as caught:
        verbs[verb]()
    assert storage.describe("loop/a") in caught.value.message
    assert "write" not in caught.value.message
