"""The contract of `Storage`, for every implementation; and what only files on a disk have to promise."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import pytest

from metaflow.exception import StorageUnavailable
from metaflow.store.local import LocalStorage
from metaflow.store.protocol import Entry, Storage
from support.memory_storage import MemoryStorage

KINDS: dict[str, Callable[[Path], Storage]] = {
    "local": lambda directory: LocalStorage(str(directory / "root")),
    "memory": lambda directory: MemoryStorage(str(directory)),
}


@pytest.fixture(params=sorted(KINDS))
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    return KINDS[request.param](tmp_path)


def value(storage: Storage, key: str) -> bytes | None:
    ((name, data),) = storage.get([key])
    assert name == key
    return data


# --- the contract ----------------------------------------------------------------------------------------------------


def test_nothing_is_there_before_the_first_put(storage: Storage) -> None:
    assert list(storage.get(["a", "a/b/c"])) == [("a", None), ("a/b/c", None)]
    assert storage.head(["a", "a/b/c"]) == [None, None]
    assert storage.open("a/b") is None
    assert list(storage.list("")) == []
    assert list(storage.list("a/b")) == []
    storage.delete(["a", "a/b/c"])


def test_what_was_put_is_read_back(storage: Storage) -> None:
    storage.put(iter([("F/1/a", b"one"), ("F/2", b""), ("b", bytes(range(256)) * 1000)]))
    assert list(storage.get(["b", "F/1/a", "F/2"])) == [
        ("b", bytes(range(256)) * 1000),
        ("F/1/a", b"one"),
        ("F/2", b""),
    ]
    assert storage.head(["F/2", "b", "F/1/a"]) == [0, 256_000, 3]


def test_get_and_head_keep_the_order_and_name_what_is_missing(storage: Storage) -> None:
    storage.put([("a", b"1"), ("b", b"22")])
    keys = ["b", "missing", "a", "a/below", "b"]
    assert list(storage.get(keys)) == [("b", b"22"), ("missing", None), ("a", b"1"), ("a/below", None), ("b", b"22")]
    assert storage.head(keys) == [2, None, 1, None, 2]
    assert storage.open("a/below") is None
    assert list(storage.get([])) == []
    assert storage.head([]) == []


def test_put_leaves_what_is_there_unless_told(storage: Storage) -> None:
    storage.put([("a", b"old")])
    storage.put([("a", b"new"), ("b", b"new")])
    assert list(storage.get(["a", "b"])) == [("a", b"old"), ("b", b"new")]
    storage.put([("a", b"newer")], overwrite=True)
    assert value(storage, "a") == b"newer"


def test_put_file_takes_the_file_over(storage: Storage) -> None:
    path = Path(storage.spool_directory()) / "spooled"
    path.write_bytes(b"x" * 100_000)
    storage.put_file("F/data/ab/abc", str(path))
    assert value(storage, "F/data/ab/abc") == b"x" * 100_000
    assert not path.exists()


def test_append_makes_and_extends(storage: Storage) -> None:
    storage.append("F/1/log", b"one\n")
    assert value(storage, "F/1/log") == b"one\n"
    storage.append("F/1/log", b"")
    storage.append("F/1/log", b"two\n")
    assert value(storage, "F/1/log") == b"one\ntwo\n"
    assert storage.head(["F/1/log"]) == [8]


def test_open_reads_into_a_buffer(storage: Storage) -> None:
    storage.put([("F/a", b"0123456789")])
    file = storage.open("F/a")
    assert file is not None
    with file:
        assert file.read(2) == b"01"
        file.seek(0)
        buffer = bytearray(4)
        assert file.readinto(buffer) == 4  # type: ignore[attr-defined]
        assert bytes(buffer) == b"0123"
        assert file.read() == b"456789"
        assert file.readinto(buffer) == 0  # type: ignore[attr-defined]


def test_list_gives_direct_entries_by_full_key(storage: Storage) -> None:
    storage.put([("F/1/a/x", b""), ("F/1/b", b""), ("F/2", b""), ("G", b"")])
    assert set(storage.list("")) == {Entry("F", False), Entry("G", True)}
    assert set(storage.list("F")) == {Entry("F/1", False), Entry("F/2", True)}
    assert set(storage.list("F/1")) == {Entry("F/1/a", False), Entry("F/1/b", True)}
    assert list(storage.list("F/3")) == []
    assert list(storage.list("F/1/b")) == []


def test_a_prefix_is_no_object(storage: Storage) -> None:
    storage.put([("F/1/a", b"x")])
    assert list(storage.get(["F", "F/1"])) == [("F", None), ("F/1", None)]
    assert storage.head(["F", "F/1"]) == [None, None]
    assert storage.open("F") is None
    storage.delete(["F"])
    assert value(storage, "F/1/a") == b"x"


def test_list_does_not_show_what_is_being_written(storage: Storage) -> None:
    from metaflow import files

    spooled = Path(files.temporary_name(storage.spool_directory()))
    spooled.write_bytes(b"half")
    storage.put([("F/a", b"")])
    assert [entry.key for entry in storage.list("")] == ["F"]


def test_delete_removes_objects_and_forgives_what_is_missing(storage: Storage) -> None:
    storage.put([("F/a", b"1"), ("F/b", b"2")])
    storage.delete(["F/a", "F/missing"])
    assert list(storage.get(["F/a", "F/b"])) == [("F/a", None), ("F/b", b"2")]
    storage.put([("F/a", b"again")])
    assert value(storage, "F/a") == b"again"


def test_describe_names_the_place(storage: Storage) -> None:
    assert storage.describe("F/1/a") == f"{storage.root}/F/1/a"
    assert storage.describe("") == storage.root


def test_a_reader_sees_whole_values_only(storage: Storage) -> None:
    """A value is one letter, a hundred thousand times; while a writer overwrites, no reader ever sees two letters."""
    values = [letter.encode() * 100_000 for letter in "abc"]
    storage.put([("F/a", values[0])])

    def write() -> None:
        for round in range(60):
            storage.put([("F/a", values[round % 3])], overwrite=True)

    writer = Thread(target=write)
    writer.start()
    while writer.is_alive():
        assert value(storage, "F/a") in values
        assert storage.head(["F/a"]) == [100_000]
        assert [entry.key for entry in storage.list("F")] == ["F/a"]
    writer.join()


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
            spool = storage.spool_directory() + "/.tmp-own"
            while True:
                data = random.choice(values)
                storage.put([(f"F/{number}", data) for number in range(3)], overwrite=True)
                storage.delete(["F/1"])
                with open(spool, "wb") as file:
                    file.write(data)
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


@pytest.mark.parametrize("verb", ["put", "overwrite", "append", "put_file", "spool_directory"])
def test_what_cannot_be_written_is_said_with_path_and_hint(
    verb: str, below_a_file: LocalStorage, tmp_path: Path
) -> None:
    spooled = tmp_path / "spooled"
    spooled.write_bytes(b"")
    verbs: dict[str, Callable[[], object]] = {
        "put": lambda: below_a_file.put([("F/a", b"")]),
        "overwrite": lambda: below_a_file.put([("F/a", b"")], overwrite=True),
        "append": lambda: below_a_file.append("F/a", b""),
        "put_file": lambda: below_a_file.put_file("F/a", str(spooled)),
        "spool_directory": below_a_file.spool_directory,
    }
    with pytest.raises(StorageUnavailable, match="Not a directory") as caught:
        verbs[verb]()
    assert below_a_file.describe("" if verb == "spool_directory" else "F/a") in caught.value.message
    assert caught.value.hint is not None
    assert "METAFLOW_DATASTORE_SYSROOT_LOCAL" in caught.value.hint
    assert not (verb == "put_file" and spooled.exists())


def test_nothing_is_found_below_a_file(below_a_file: LocalStorage) -> None:
    assert value(below_a_file, "F/a") is None
    assert below_a_file.head(["F/a"]) == [None]
    assert below_a_file.open("F/a") is None
    assert list(below_a_file.list("F")) == []
    below_a_file.delete(["F/a"])


def test_a_full_disk_is_said_with_a_hint(tmp_path: Path) -> None:
    (tmp_path / "log").symlink_to("/dev/full")
    with pytest.raises(StorageUnavailable, match="No space left") as caught:
        LocalStorage(str(tmp_path)).append("log", b"line\n")
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
