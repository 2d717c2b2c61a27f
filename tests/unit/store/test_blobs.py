"""Content-addressed blobs: names, the two stored forms, the way past memory, and damage."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import pickle
import random
import time
from collections.abc import Callable, Iterable
from io import BytesIO
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaflow.exception import BlobCorrupt, MetaflowDataMissing, StorageUnavailable, TimeoutException
from metaflow.files import NewFile
from metaflow.store import serializers
from metaflow.store.blobs import SPOOL_ABOVE, BlobReader, Blobs
from metaflow.store.local import LocalStorage
from metaflow.store.memory import MemoryStorage
from metaflow.store.protocol import Storage

EMPTY = "da39a3ee5e6b4b0d3255bfef95601890afd80709"


def sha(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


def dense(size: int) -> bytes:
    """Return bytes that do not compress, the same each time."""
    return random.Random(size).randbytes(size)


def sparse(size: int) -> bytes:
    """Return bytes that compress well, and differ everywhere."""
    return b"".join(b"%015d\n" % number for number in range(size // 16 + 1))[:size]


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(str(tmp_path / "root"))


@pytest.fixture
def blobs(storage: LocalStorage) -> Blobs:
    return Blobs(storage, "F")


def stored(storage: Storage, key: str) -> tuple[bytes, dict[str, object]]:
    """Return a blob's file and its `_meta`."""
    (_, packed), (_, meta) = storage.get([f"F/data/{key[:2]}/{key}", f"F/data/{key[:2]}/{key}_meta"])
    assert packed is not None
    assert meta is not None
    return packed, json.loads(meta)


def store_by_hand(storage: Storage, key: str, packed: bytes, meta: bytes | None) -> None:
    path = f"F/data/{key[:2]}/{key}"
    storage.put([(path, packed)], overwrite=True)
    storage.delete([path + "_meta"])
    if meta is not None:
        storage.put([(path + "_meta", meta)])


def write(blobs: Blobs, *parts: bytes) -> str:
    writer = blobs.writer()
    for part in parts:
        writer.write(part)
    return writer.finish()


def read(blobs: Blobs, key: str) -> bytes:
    """Read a blob piecewise, and check it."""
    with blobs.open(key) as reader:
        content = reader.read()
        reader.check()
        return content


def temporaries(storage: LocalStorage) -> list[Path]:
    return list(Path(storage.root).rglob(".tmp-*"))


# --- names and forms -------------------------------------------------------------------------------------------------


def test_a_blob_is_named_by_the_sha1_of_its_content(blobs: Blobs, storage: LocalStorage) -> None:
    assert blobs.save([b"", b"abc"]) == [EMPTY, "a9993e364706816aba3e25717850c26c9cd0d89d"]
    assert blobs.path(EMPTY) == f"F/data/da/{EMPTY}"
    assert stored(storage, EMPTY) == (b"", {"cas_raw": True, "cas_version": 1})
    assert blobs.load(EMPTY) == b""


def test_equal_blobs_are_stored_once_and_never_again(blobs: Blobs, storage: LocalStorage) -> None:
    first, other, second = blobs.save([b"abc", b"xyz", b"abc"])
    assert first == second != other
    path = Path(storage.describe(blobs.path(first)))
    before = path.stat()
    assert blobs.save([b"abc"]) == [first]
    assert path.stat() == before
    assert len(list(path.parent.iterdir())) == 2


def test_flows_do_not_share_blobs(storage: LocalStorage) -> None:
    Blobs(storage, "F").save([b"abc"])
    with pytest.raises(MetaflowDataMissing):
        Blobs(storage, "G").load(sha(b"abc"))


@pytest.mark.parametrize("size", [5000, 40_000, SPOOL_ABOVE, 3 * SPOOL_ABOVE])
@pytest.mark.parametrize(("make", "raw"), [(dense, True), (sparse, False)])
def test_what_does_not_shrink_is_stored_as_it_is(
    make: Callable[[int], bytes], raw: bool, size: int, blobs: Blobs, storage: LocalStorage
) -> None:
    content = make(size)
    for key in (*blobs.save([content]), write(Blobs(storage, "G"), content)):
        assert key == sha(content)
    for flow in "FG":
        path = Path(storage.root, flow, "data", key[:2], key)
        assert json.loads(path.with_name(key + "_meta").read_bytes()) == {"cas_raw": raw, "cas_version": 1}
        packed = path.read_bytes()
        assert packed == content if raw else gzip.decompress(packed) == content
        assert len(packed) < 0.8 * size or raw
        assert Blobs(storage, flow).load(key) == content
        assert read(Blobs(storage, flow), key) == content
        assert Blobs(storage, flow).size(key) == len(packed)


def test_what_is_smaller_than_a_disk_block_is_not_compressed(blobs: Blobs, storage: LocalStorage) -> None:
    (small, large) = blobs.save([b"x" * 4095, b"x" * 4096])
    assert stored(storage, small)[1]["cas_raw"]
    assert not stored(storage, large)[1]["cas_raw"]


def test_equal_contents_are_stored_as_equal_bytes(tmp_path: Path) -> None:
    """No clock in the gzip header: two runs of the same flow write the same files."""
    packed = []
    for name in "ab":
        storage = LocalStorage(str(tmp_path / name))
        packed.append(stored(storage, write(Blobs(storage, "F"), sparse(2 * SPOOL_ABOVE)))[0])
    assert packed[0] == packed[1]


@pytest.mark.parametrize("content", [b"", b"abc", sparse(100_000), dense(100_000), sparse(2 * SPOOL_ABOVE)])
@pytest.mark.parametrize("form", ["raw", "gzip", "gzip slowly"])
def test_both_forms_are_read_whoever_wrote_them(content: bytes, form: str, blobs: Blobs, storage: LocalStorage) -> None:
    packed = {"raw": content, "gzip": gzip.compress(content), "gzip slowly": gzip.compress(content, 9, mtime=1)}[form]
    meta = {"cas_raw": form == "raw", "cas_version": 1}
    store_by_hand(storage, sha(content), packed, json.dumps(meta).encode())
    assert blobs.load(sha(content)) == content
    assert read(blobs, sha(content)) == content


@pytest.mark.parametrize("meta", [b'{"cas_raw": true}', b'{"cas_raw": false}', b"{", b"", None])
@pytest.mark.parametrize("packed", [lambda content: content, gzip.compress], ids=["raw", "gzip"])
def test_a_wrong_meta_does_no_harm(
    packed: Callable[[bytes], bytes], meta: bytes | None, blobs: Blobs, storage: LocalStorage
) -> None:
    content = sparse(10_000)
    store_by_hand(storage, sha(content), packed(content), meta)
    assert blobs.load(sha(content)) == content
    assert read(blobs, sha(content)) == content


@pytest.mark.parametrize("size", [100, 10_000, 2 * SPOOL_ABOVE])
def test_content_that_is_a_gzip_file_itself(size: int, blobs: Blobs) -> None:
    content = gzip.compress(dense(size))
    key = write(blobs, content)
    assert key == sha(content)
    assert blobs.load(key) == content
    assert read(blobs, key) == content


def test_several_blobs_at_once(blobs: Blobs) -> None:
    contents = [b"a", sparse(10_000), b"", dense(10_000), b"a"]
    keys = blobs.save(contents)
    assert keys == [sha(content) for content in contents]
    assert blobs.load_many(keys[::-1]) == contents[::-1]
    assert blobs.save([]) == []
    assert blobs.load_many([]) == []


@given(st.lists(st.binary(max_size=200) | st.binary(max_size=50).map(lambda part: part * 200)))
def test_what_was_saved_is_loaded(contents: list[bytes]) -> None:
    blobs = Blobs(MemoryStorage("/nonexistent"), "F")
    keys = blobs.save(contents)
    assert blobs.load_many(keys) == contents
    assert [read(blobs, key) for key in keys] == contents


# --- writing piece by piece ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sizes",
    [
        (),
        (0,),
        (SPOOL_ABOVE,),
        (SPOOL_ABOVE + 1,),
        (SPOOL_ABOVE, 1),
        (1, SPOOL_ABOVE),
        (10, 0, 2 * SPOOL_ABOVE, 3),
        (700_000, 700_000, 700_000),
    ],
)
@pytest.mark.parametrize("make", [dense, sparse])
def test_pieces_become_one_blob(
    make: Callable[[int], bytes], sizes: tuple[int, ...], blobs: Blobs, storage: LocalStorage
) -> None:
    content = make(sum(sizes))
    parts, start = [], 0
    for size in sizes:
        parts.append(content[start : start + size])
        start += size
    writer = blobs.writer()
    for part in parts:
        assert writer.write(part) == len(part)
    assert writer.size == len(content)
    assert writer.in_memory == (len(content) <= SPOOL_ABOVE)
    assert writer.finish() == sha(content)
    assert blobs.load(sha(content)) == content
    assert not temporaries(storage)


def test_buffers_of_any_kind_are_taken_as_bytes(blobs: Blobs) -> None:
    from array import array

    numbers = array("d", range(100_000))
    key = write(blobs, b"head", bytearray(b"1234"), memoryview(numbers), numbers)  # type: ignore[arg-type]
    assert blobs.load(key) == b"head1234" + numbers.tobytes() * 2


def test_a_buffer_may_change_after_write_has_returned(blobs: Blobs) -> None:
    buffer = bytearray(dense(2 * SPOOL_ABOVE))
    content = bytes(buffer)
    writer = blobs.writer()
    writer.write(buffer)
    buffer[:] = bytes(len(buffer))
    assert writer.finish() == sha(content)
    assert blobs.load(sha(content)) == content


def test_a_big_blob_that_is_there_is_not_written_again(blobs: Blobs, storage: LocalStorage) -> None:
    content = dense(2 * SPOOL_ABOVE)
    path = Path(storage.describe(blobs.path(write(blobs, content))))
    before = path.stat()
    assert write(blobs, content) == path.name
    assert path.stat() == before
    assert not temporaries(storage)


@pytest.mark.parametrize("size", [10, 2 * SPOOL_ABOVE])
def test_discard_leaves_nothing(size: int, blobs: Blobs, storage: LocalStorage) -> None:
    writer = blobs.writer()
    writer.write(dense(size))
    writer.discard()
    writer.discard()
    assert list(storage.list("")) == []
    assert not temporaries(storage)


class Refusing(LocalStorage):
    """A storage that is full, or gone, when a certain verb is called."""

    def __init__(self, root: str, verb: str) -> None:
        super().__init__(root)
        self.verb = verb

    def _refuse(self, verb: str, key: str) -> None:
        if verb == self.verb:
            raise StorageUnavailable(f"Cannot {verb} {key}.")

    def head(self, keys: Iterable[str]) -> list[int | None]:
        keys = list(keys)
        self._refuse("head", keys[0])
        return super().head(keys)

    def put_file(self, key: str, file: NewFile, attributes: bytes | None = None) -> None:
        with file:
            self._refuse("put_file", key)


@pytest.mark.parametrize("verb", ["head", "put_file"])
def test_a_storage_that_refuses_at_the_end_is_left_without_temporaries(verb: str, tmp_path: Path) -> None:
    storage = Refusing(str(tmp_path), verb)
    with pytest.raises(StorageUnavailable, match=f"Cannot {verb} F/data"):
        write(Blobs(storage, "F"), dense(2 * SPOOL_ABOVE))
    assert not temporaries(storage)


def test_a_spool_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    blobs = Blobs(LocalStorage(str(tmp_path / "file")), "F")
    writer = blobs.writer()
    with pytest.raises(StorageUnavailable, match=str(tmp_path)):
        writer.write(dense(2 * SPOOL_ABOVE))
    writer.discard()


def test_meta_is_there_before_its_blob(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who finds a blob on a disk can read it, so `_meta` comes first, in memory and through a file."""
    storage = LocalStorage(str(tmp_path))
    names: list[str] = []
    publish = NewFile.publish

    def journal(file: NewFile, path: str, **options: Any) -> bool:
        names.append(path.rpartition("/")[2])
        return publish(file, path, **options)

    monkeypatch.setattr(NewFile, "publish", journal)
    for size in (10, 2 * SPOOL_ABOVE):
        names.clear()
        key = write(Blobs(storage, "F"), dense(size))
        assert names == [key + "_meta", key]


# --- reading piece by piece ------------------------------------------------------------------------------------------


class Opened(BytesIO):
    """An object that is open for reading, in memory."""

    attributes = b""


def reader(content: bytes, packed: bytes | None = None) -> BlobReader:
    return BlobReader(sha(content), Opened(content if packed is None else packed), "here", packed=packed is not None)


@given(
    st.binary(max_size=3000),
    st.booleans(),
    st.lists(st.tuples(st.sampled_from(["read", "readinto", "readline"]), st.integers(0, 400))),
)
def test_reading_is_like_reading_a_file(content: bytes, packed: bool, calls: list[tuple[str, int]]) -> None:
    file = BytesIO(content)
    blob = reader(content, gzip.compress(content) if packed else None)
    for verb, size in calls:
        if verb == "read":
            assert blob.read(size) == file.read(size)
        elif verb == "readline":
            assert blob.readline() == file.readline()
        else:
            ours, theirs = bytearray(size), bytearray(size)
            assert blob.readinto(ours) == file.readinto(theirs)
            assert ours == theirs
    blob.check()


@given(st.binary(max_size=300), st.integers(0, 300))
def test_reading_to_the_end(content: bytes, first: int) -> None:
    blob = reader(content)
    assert blob.read(first) + blob.read() == content
    assert blob.read() == b""
    assert blob.read(1) == b""
    assert blob.readline() == b""
    assert blob.readinto(bytearray(1)) == 0
    blob.check()


def test_check_reads_what_is_left() -> None:
    content = sparse(300_000)
    for packed in (None, gzip.compress(content)):
        blob = reader(content, packed)
        blob.read(10)
        blob.check()
        with pytest.raises(BlobCorrupt, match="another SHA-1"):
            BlobReader(EMPTY, Opened(packed or content), "here", packed=packed is not None).check()


@pytest.mark.parametrize("packed", [dense(2 * SPOOL_ABOVE), sparse(4 * SPOOL_ABOVE)], ids=["raw", "gzip"])
def test_closing_a_reader_closes_its_file(packed: bytes, blobs: Blobs) -> None:
    key = write(blobs, packed)
    before = len(os.listdir("/proc/self/fd"))
    with blobs.open(key) as blob:
        blob.read(10)
    assert len(os.listdir("/proc/self/fd")) == before


# --- damage ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [10, 100_000, 2 * SPOOL_ABOVE])
def test_a_missing_blob_is_named_with_its_place(size: int, blobs: Blobs, storage: LocalStorage) -> None:
    key = sha(b"missing")
    for load in (blobs.load, blobs.open):
        with pytest.raises(MetaflowDataMissing) as caught:
            load(key)
        assert key in caught.value.message
        assert storage.describe(blobs.path(key)) in caught.value.message
    assert blobs.size(key) is None


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "cut": lambda data: data[: len(data) // 2],
    "one byte less": lambda data: data[:-1],
    "one byte more": lambda data: data + b"?",
    "a bit flipped at the start": lambda data: bytes([data[0] ^ 1]) + data[1:],
    "a bit flipped in the middle": lambda data: (
        data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :]
    ),
    "other content": lambda data: b"something else",
    "other content, gzipped": lambda data: gzip.compress(b"something else"),
    "nothing but a gzip header": lambda data: gzip.compress(b"")[:10],
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("make", [dense, sparse], ids=["raw", "gzip"])
def test_damage_is_found_and_named(
    damage: str, make: Callable[[int], bytes], blobs: Blobs, storage: LocalStorage
) -> None:
    (key,) = blobs.save([make(50_000)])
    path = Path(storage.describe(blobs.path(key)))
    damaged = DAMAGES[damage](path.read_bytes())
    path.write_bytes(damaged)
    for load in (blobs.load, lambda key: read(blobs, key)):
        if damage == "one byte more" and make is sparse:
            assert load(key) == make(50_000)  # what follows a gzip file is not part of it
            continue
        with pytest.raises(BlobCorrupt) as caught:
            load(key)
        assert caught.value.key == key
        assert caught.value.path == str(path)
        assert str(path) in caught.value.message
        assert key in caught.value.message
        assert caught.value.hint


class Interrupted(Opened):
    """An object whose second piece does not come: an alarm goes off while it is waited for."""

    def __init__(self, content: bytes, error: Exception) -> None:
        super().__init__(content)
        self.error = error
        self.pieces = 0

    def readinto(self, target: Any) -> int:
        self.pieces += 1
        if self.pieces == 2:
            raise self.error
        return super().readinto(target[: SPOOL_ABOVE * 2])


class SlowHash:
    """A hash that knows what it is reading, and takes its time."""

    def __init__(self) -> None:
        self.begun = Event()
        self.is_reading = False

    def update(self, data: Any) -> None:
        self.is_reading = True
        self.begun.set()
        time.sleep(0.2)  # the thread is still at it when the other one goes on
        self.is_reading = False


@pytest.mark.parametrize("error", [TimeoutException("over"), ZeroDivisionError("an alarm of the user's")])
def test_a_reading_that_is_broken_off_leaves_no_thread_in_memory_that_is_freed(error: Exception) -> None:
    """Pickle frees what it wanted to have filled as soon as `readinto` raises."""
    content = pickle.dumps(dense(6 * SPOOL_ABOVE), 5)
    source = Interrupted(content, error)
    reader = BlobReader("0" * 40, source, "there", packed=False)
    slow = reader._sha._sha = SlowHash()  # type: ignore[assignment]
    with pytest.raises(type(error)) as raised:
        serializers.load(reader, "x")
    assert raised.value is error, "and it is not taken for damage"
    assert slow.begun.is_set()
    assert not slow.is_reading
    assert source.pieces == 2, "nor is the rest read"
