"""The contract of `Storage`: tests that every implementation passes.

A module that wants them run makes a fixture `storage` and imports all names from here.
"""

from __future__ import annotations

import os
import random
from threading import Thread

import pytest

from metaflow.exception import StorageUnavailable
from metaflow.files import NewFile
from metaflow.store.protocol import Entry, Storage


def value(storage: Storage, key: str) -> bytes | None:
    ((name, data),) = storage.get([key])
    assert name == key
    return data


def spooled(storage: Storage, content: bytes) -> NewFile:
    """Return a file for `put_file`."""
    file = storage.spool()
    file.write(content)
    return file


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
    file = spooled(storage, b"x" * 100_000)
    path, inode = file.path, os.stat(file.path).st_ino
    storage.put_file("F/data/ab/abc", file)
    assert value(storage, "F/data/ab/abc") == b"x" * 100_000
    # The path of a file without a name is that of its descriptor, which another thread may have by now.
    assert not os.path.exists(path) or os.stat(path).st_ino != inode


def test_copy_makes_an_object_known_under_a_new_key_too(storage: Storage) -> None:
    storage.put([("F/1/a", b"one"), ("F/1/b", b"x" * 100_000), ("ü ü", b"")])
    storage.copy(iter([("F/1/a", "F/2/s/a"), ("F/1/b", "F/2/s/b"), ("ü ü", "F/ö")]))
    storage.copy([])
    assert [data for _, data in storage.get(["F/2/s/a", "F/2/s/b", "F/ö"])] == [b"one", b"x" * 100_000, b""]
    storage.put([("F/1/a", b"another")], overwrite=True)
    storage.delete(["F/1/b"])
    assert [data for _, data in storage.get(["F/2/s/a", "F/2/s/b"])] == [b"one", b"x" * 100_000]


def test_copy_of_what_is_not_there_says_so(storage: Storage) -> None:
    with pytest.raises(StorageUnavailable, match="F/missing"):
        storage.copy([("F/missing", "F/new")])
    assert value(storage, "F/new") is None


def test_logs_grow(storage: Storage) -> None:
    sink = storage.log_sink()
    sink.append("F/1/log", b"one\n")
    sink.append("F/1/other", b"three\n")
    sink.append("F/1/log", b"two\n")
    sink.complete(["F/1/log", "F/1/never"])
    sink.close()
    sink.close()
    assert value(storage, "F/1/log") == b"one\ntwo\n"
    assert value(storage, "F/1/other") == b"three\n"
    assert storage.head(["F/1/log", "F/1/never"]) == [8, None]


def test_what_is_missing_is_worth_putting(storage: Storage) -> None:
    storage.put([("a", b"1")])
    assert set(storage.worth_putting(["missing", "a", "b"])) >= {"missing", "b"}


def test_open_reads_into_a_buffer(storage: Storage) -> None:
    storage.put([("F/a", b"0123456789")])
    file = storage.open("F/a")
    assert file is not None
    with file:
        assert file.attributes == b""
        assert file.read(2) == b"01"
        file.seek(0)
        buffer = bytearray(4)
        assert file.readinto(buffer) == 4
        assert bytes(buffer) == b"0123"
        assert file.read() == b"456789"
        assert file.readinto(buffer) == 0
        file.seek(3)
        assert file.read(100) == b"3456789"


def test_an_empty_object_is_an_object(storage: Storage) -> None:
    storage.put([("F/empty", b"")])
    assert value(storage, "F/empty") == b""
    file = storage.open("F/empty")
    assert file is not None
    with file:
        assert file.read() == b""
        assert file.readinto(bytearray(1)) == 0


def test_what_is_noted_with_an_object_is_read_with_it(storage: Storage) -> None:
    storage.put([("F/a", b"1"), ("F/b", b"2")], attributes={"F/a": b'{"cas_raw": true}'})
    storage.put_file("F/c", spooled(storage, b"3"), b'{"cas_raw": false}')
    noted = []
    for key in ("F/a", "F/b", "F/c"):
        file = storage.open(key)
        assert file is not None
        with file:
            noted.append(file.attributes)
    assert noted == [b'{"cas_raw": true}', b"", b'{"cas_raw": false}']


def test_keys_may_have_any_letters(storage: Storage) -> None:
    keys = ["F/a b", "F/ü☃", "F/%20", "F/#?&=+:;,@!$'()", "F/1.attempt.json", "F/data/ab/abcdef_meta"]
    storage.put([(key, key.encode()) for key in keys])
    assert list(storage.get(keys)) == [(key, key.encode()) for key in keys]
    assert {entry.key for entry in storage.list("F")} == {*keys[:-1], "F/data"}
    storage.delete(keys)
    assert storage.head(keys) == [None] * len(keys)


def test_many_keys_at_once(storage: Storage) -> None:
    items = [(f"F/{number}", str(number).encode()) for number in range(100)]
    storage.put(iter(items))
    assert list(storage.get([key for key, _ in items])) == items
    assert len(list(storage.list("F"))) == 100


def test_many_threads_at_once(storage: Storage) -> None:
    wrong: list[object] = []

    def work(name: int) -> None:
        for round in range(5):
            key = f"F/{name}"
            storage.put([(key, bytes([name]) * 1000 + bytes([round]))], overwrite=True)
            if value(storage, key) != bytes([name]) * 1000 + bytes([round]):
                wrong.append((name, round))

    threads = [Thread(target=work, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("size", [8 << 20, (17 << 20) + 5])
def test_big_objects_stream(storage: Storage, size: int) -> None:
    content = random.Random(1).randbytes(size)
    storage.put_file("F/big", spooled(storage, content))
    assert storage.head(["F/big"]) == [size]
    file = storage.open("F/big")
    assert file is not None
    with file:
        assert file.read(10) == content[:10]
        buffer, got = bytearray(size - 10), 0
        while got < len(buffer):
            got += (count := file.readinto(memoryview(buffer)[got:]))
            assert count
        assert buffer == content[10:]
        assert file.read() == b""
        file.seek(5)
        assert file.read(7) == content[5:12]
        file.seek(size - 3)
        assert file.read() == content[-3:]


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
    with spooled(storage, b"half"):
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
