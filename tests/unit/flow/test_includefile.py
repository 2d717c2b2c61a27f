"""Included files: finding them, storing them in Metaflow's form, and getting them back."""

from __future__ import annotations

import gzip
import hashlib
import os
import pickle
import pickletools
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import metaflow.includefile
from metaflow.exception import (
    BlobCorrupt,
    CommandException,
    InvalidFlow,
    MetaflowDataMissing,
    MetaflowException,
    ParameterFieldFailed,
    ParameterFieldTypeMismatch,
    StorageUnavailable,
)
from metaflow.files import NewFile
from metaflow.flow import included
from metaflow.flow.included import LARGEST, IncludedFile, LocalFile, store_included
from metaflow.flow.includefile import IncludeFile
from metaflow.flow.parameters import ParameterContext
from metaflow.store.local import LocalStorage

CONTEXT = ParameterContext("Flow", "ada", "", print, "local", {})


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(f"{tmp_path}/.metaflow/data")


def store(parameter: IncludeFile, given: str | None, storage: LocalStorage) -> IncludedFile:
    file = parameter.default_value(CONTEXT) if given is None else parameter.resolve(given)
    assert isinstance(file, LocalFile)
    return store_included(file, storage, "Flow")


# --------------------------------------------------------------------------------------------------- finding the file


def test_a_path(place: Path) -> None:
    (place / "a.txt").write_text("x")
    found = IncludeFile("p", encoding="latin-1").parse("a.txt")
    assert found == LocalFile(str(place / "a.txt"), True, "latin-1", "--p")
    assert IncludeFile("p", is_text=False).parse(str(place / "a.txt")) == LocalFile(
        str(place / "a.txt"), False, "utf-8", "--p"
    )


def test_a_path_below_home(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(place))
    (place / "a.txt").write_text("x")
    assert IncludeFile("p").parse("~/a.txt").path == str(place / "a.txt")


@pytest.mark.parametrize("default", ["a.txt", Path("a.txt"), lambda context: "a.txt", lambda context: Path("a.txt")])
def test_a_default(place: Path, default: Any) -> None:
    (place / "a.txt").write_text("x")
    assert IncludeFile("p", default=default).default_value(CONTEXT).path == str(place / "a.txt")


def test_no_default() -> None:
    assert IncludeFile("p").default_value(CONTEXT) is None
    with pytest.raises(CommandException, match="The option --p is missing") as caught:
        IncludeFile("p", required=True).default_value(CONTEXT)
    assert caught.value.hint == "add --p FILEPATH"


def test_defaults_that_are_no_path() -> None:
    with pytest.raises(InvalidFlow, match="The default of parameter 'p', 5, is not a path"):
        IncludeFile("p", default=5).default_value(CONTEXT)
    with pytest.raises(ParameterFieldTypeMismatch, match="returned 5, which is not a path"):
        IncludeFile("p", default=lambda context: 5).default_value(CONTEXT)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("missing.txt", "--p: the file missing.txt does not exist."),
        ("/missing.txt", "--p: the file /missing.txt does not exist."),
        ("directory", "--p: the file directory is a directory."),
        ("file/inside", "--p: the file file/inside cannot be read: Not a directory."),
        ("", "--p: the file '' is a directory."),
        ("a\0b", "--p: the file a\0b cannot be read: no name of a file has such characters."),
        ("x" * 300, f"--p: the file {'x' * 300} cannot be read: File name too long."),
        ("loop", "--p: the file loop cannot be read: Too many levels of symbolic links."),
        ("s3://bucket/key", "--p: the file s3://bucket/key is not on this machine."),
        ("/dev/zero", "--p: the file /dev/zero is not a file that has an end."),
        ("socket", "--p: the file socket is not a file that has an end."),
        ('{"a": 1}', "--p: '{\"a\": 1}' does not describe a stored file."),
        ("{", "--p: '{' is neither a path nor a stored file: Expecting property name enclosed in double quotes at "
         "character 2."),
    ],
)  # fmt: skip
def test_paths_that_are_refused(place: Path, path: str, message: str) -> None:
    (place / "directory").mkdir()
    (place / "file").write_text("x")
    (place / "loop").symlink_to("loop")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        with pytest.raises(CommandException) as caught:
            IncludeFile("p").parse(path)
    assert str(caught.value) == message


def test_a_missing_default_is_named_as_the_default(place: Path) -> None:
    with pytest.raises(CommandException, match=r"--p: the file missing\.txt, the default, does not exist") as caught:
        IncludeFile("p", default="missing.txt").default_value(CONTEXT)
    assert caught.value.hint == f"it is looked for at {place}/missing.txt"


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(place: Path) -> None:
    (place / "secret").write_text("x")
    (place / "secret").chmod(0)
    with pytest.raises(CommandException, match="--p: the file secret cannot be read: Permission denied"):
        IncludeFile("p").parse("secret")


# ------------------------------------------------------------------------------------------------- storing the content


def test_the_form_of_the_original(place: Path, storage: LocalStorage) -> None:
    (place / "a.txt").write_bytes(b"hello\n")
    stored = store(IncludeFile("p"), "a.txt", storage)
    assert stored.descriptor == {
        "type": "uploader-v2",
        "url": f"local://{place}/.metaflow/data/Flow/f572d396fae9206628714fb2ce00f72e94f2258f",
        "is_text": True,
        "encoding": "utf-8",
        "sub-type": "uploaded",
        "size": 6,
    }
    blob = place / ".metaflow/data/Flow/f572d396fae9206628714fb2ce00f72e94f2258f"
    assert gzip.decompress(blob.read_bytes()) == b"hello\n"
    assert [path for path in (place / ".metaflow").rglob("*") if path.is_file()] == [blob]


def test_the_pickle_of_the_original(place: Path, storage: LocalStorage) -> None:
    (place / "a.txt").write_bytes(b"hello\n")
    stored = store(IncludeFile("p"), "a.txt", storage)
    data = pickle.dumps(stored, protocol=4)
    texts = [argument for opcode, argument, _ in pickletools.genops(data) if opcode.name == "SHORT_BINUNICODE"]
    assert texts[:3] == ["metaflow.includefile", "IncludedFile", "_descriptor"]
    assert texts[-1] == "_cached_size"
    again = pickle.loads(data)
    assert type(again) is IncludedFile is metaflow.includefile.IncludedFile
    assert (again.descriptor, again.size, again.decode()) == (stored.descriptor, 6, "hello\n")
    assert str(type(again)) == "<class 'metaflow.includefile.IncludedFile'>"


def test_a_pickle_of_metaflow_2_19(place: Path) -> None:
    url = f"local://{place}/data/P/f572d396fae9206628714fb2ce00f72e94f2258f"
    (place / "data" / "P").mkdir(parents=True)
    (place / "data" / "P" / "f572d396fae9206628714fb2ce00f72e94f2258f").write_bytes(gzip.compress(b"hello\n", mtime=0))
    data = (
        b"\x80\x04\x8c\x14metaflow.includefile\x94\x8c\x0cIncludedFile\x94\x93\x94)\x81\x94}\x94(\x8c\x0b_descriptor\x94"
        b"}\x94(\x8c\x04type\x94\x8c\x0buploader-v2\x94\x8c\x03url\x94X" + len(url).to_bytes(4, "little") + url.encode()
        + b"\x94\x8c\x07is_text\x94\x88\x8c\x08encoding\x94\x8c\x05utf-8\x94\x8c\x08sub-type\x94\x8c\x08uploaded\x94"
        b"\x8c\x04size\x94K\x06u\x8c\x0c_cached_size\x94Nub."
    )  # fmt: skip
    old = pickle.loads(data)
    assert (old.size, old.decode()) == (6, "hello\n")


def test_a_file_that_is_there_already_is_not_written_again(place: Path, storage: LocalStorage) -> None:
    (place / "a.txt").write_bytes(b"x")
    (place / "b.txt").write_bytes(b"x")
    first = store(IncludeFile("p"), "a.txt", storage)
    blob = Path(first.descriptor["url"].removeprefix("local://"))
    before = blob.stat().st_ino
    assert store(IncludeFile("q"), "b.txt", storage).descriptor == first.descriptor
    assert blob.stat().st_ino == before


class Bucket:
    """A storage whose places are URLs."""

    kind = "s3"

    def __init__(self, spool: str, objects: dict[str, bytes], root: str = "s3://bucket/data") -> None:
        self.directory, self.objects, self.root = spool, objects, root

    def put_file(self, key: str, file: NewFile) -> None:
        with file:
            self.objects[self.describe(key)] = Path(file.path).read_bytes()

    def get(self, keys: Any) -> Any:
        return ((key, self.objects.get(self.describe(key))) for key in keys)

    def head(self, keys: Any) -> list[int | None]:
        return [len(data) if data is not None else None for _, data in self.get(keys)]

    def spool(self) -> NewFile:
        return NewFile(self.directory)

    def describe(self, key: str) -> str:
        return f"{self.root}/{key}"


def test_another_storage(place: Path) -> None:
    (place / "a.txt").write_text("in a bucket")
    objects: dict[str, bytes] = {}
    file = IncludeFile("p").parse("a.txt")
    stored = store_included(file, Bucket(str(place), objects), "Flow")
    assert list(objects) == [stored.descriptor["url"]]
    assert stored.descriptor["url"].startswith("s3://bucket/data/Flow/")
    opened = []

    def open_storage(kind: str, root: str) -> Bucket:
        opened.append((kind, root))
        return Bucket("", objects, root)

    assert stored.decode(open_storage) == "in a bucket"
    assert opened == [("s3", "s3://bucket/data")]


@pytest.fixture(scope="module")
def spool(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("spool"))


@given(st.binary())
def test_bytes_come_back(spool: str, content: bytes) -> None:
    check_round_trip(spool, content, IncludeFile("p", is_text=False), content)


@given(st.text(st.characters(codec="utf-8")), st.sampled_from(["utf-8", "utf-16", "utf-8-sig"]))
def test_text_comes_back_with_unix_line_ends(spool: str, content: str, encoding: str) -> None:
    expected = content.replace("\r\n", "\n").replace("\r", "\n")
    check_round_trip(spool, content.encode(encoding), IncludeFile("p", encoding=encoding), expected)


def check_round_trip(spool: str, data: bytes, parameter: IncludeFile, expected: str | bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(included, "_CHUNK", 3)  # so that characters are cut
        reading, writing = os.pipe()
        os.write(writing, data)
        os.close(writing)
        objects: dict[str, bytes] = {}
        try:
            file = LocalFile(f"/dev/fd/{reading}", parameter.is_text, parameter.encoding, "--p")
            stored = store_included(file, Bucket(spool, objects), "Flow")
        finally:
            os.close(reading)
    assert stored.decode(lambda kind, root: Bucket("", objects, root)) == expected
    assert stored.size == len(data)


@pytest.mark.parametrize(
    ("content", "encoding", "message"),
    [
        ("größe".encode("latin-1"), "utf-8", r"position 2 \(0xf6\) is wrong: invalid start byte"),
        (b"a" * 3_000_000 + b"\xff", "utf-8", r"position 3000000 \(0xff\) is wrong: invalid start byte"),
        (b"abc\xe2\x98", "utf-8", r"position 3 \(0xe2\) is wrong: unexpected end of data"),
        (b"ab\x80", "ascii", r"position 2 \(0x80\) is wrong: ordinal not in range"),
        (b"\xff\xfea\0b", "utf-16", r"position 4 \(0x62\) is wrong: truncated data"),
    ],
)
def test_content_that_is_not_text(
    place: Path, storage: LocalStorage, content: bytes, encoding: str, message: str
) -> None:
    (place / "a.txt").write_bytes(content)
    with pytest.raises(CommandException, match=f"--p: the file .*a.txt is not {encoding} text: .*{message}") as caught:
        store(IncludeFile("p", encoding=encoding), "a.txt", storage)
    assert caught.value.hint == "give the IncludeFile its encoding=…, or is_text=False"
    assert [path for path in (place / ".metaflow").rglob("*") if path.is_file()] == []


def test_a_file_that_is_too_large(place: Path, storage: LocalStorage) -> None:
    with open("a.bin", "wb") as file:
        file.truncate(LARGEST + 1)
    with pytest.raises(CommandException, match=r"a\.bin is larger than 4 GB"):
        store(IncludeFile("p", is_text=False), "a.bin", storage)


def test_a_file_that_grows_too_large(place: Path, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(included, "LARGEST", 5)
    monkeypatch.setattr(included, "_CHUNK", 2)
    reading, writing = os.pipe()
    os.write(writing, b"1234567")
    os.close(writing)
    try:
        with pytest.raises(CommandException, match="is larger than"):
            store(IncludeFile("p"), f"/dev/fd/{reading}", storage)
    finally:
        os.close(reading)


def test_a_file_that_disappears(place: Path, storage: LocalStorage) -> None:
    (place / "a.txt").write_text("x")
    file = IncludeFile("p").parse("a.txt")
    (place / "a.txt").unlink()
    with pytest.raises(CommandException, match=r"--p: the file .*a\.txt cannot be read: No such file"):
        store_included(file, storage, "Flow")


def test_a_storage_that_refuses(place: Path) -> None:
    (place / "a.txt").write_text("x")
    (place / "occupied").write_text("x")
    with pytest.raises(StorageUnavailable, match=r"occupied/data: Not a directory"):
        store(IncludeFile("p"), "a.txt", LocalStorage(f"{place}/occupied/data"))


# --------------------------------------------------------------------------------------------------------- reading it


def descriptor(place: Path, content: bytes, **changes: Any) -> dict[str, Any]:
    name = hashlib.sha1(b"content").hexdigest()
    path = place / "data" / "Flow" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    form = {"type": "uploader-v2", "sub-type": "uploaded", "url": f"local://{path}", "is_text": True, **changes}
    return {key: value for key, value in form.items() if value is not None}


@pytest.mark.parametrize(
    ("content", "changes"),
    [
        (gzip.compress(b"content", mtime=0), {}),
        (gzip.compress(b"con", mtime=0) + gzip.compress(b"tent", mtime=0), {}),
        (gzip.compress(b"content", mtime=0), {"type": "uploader-v1", "sub-type": None}),
        (b"content", {"type": "external", "sub-type": None}),
        (b"content", {"sub-type": "external"}),
    ],
)
def test_forms(place: Path, content: bytes, changes: dict[str, Any]) -> None:
    assert IncludedFile(descriptor(place, content, **changes)).decode() == "content"
    assert IncludedFile(descriptor(place, content, **changes, is_text=False)).decode() == b"content"


@pytest.mark.parametrize("changes", [{"type": "uploader-v3"}, {"type": None}, {"sub-type": None}])
def test_forms_of_the_future(place: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(MetaflowDataMissing, match="in a form that this version cannot read"):
        IncludedFile(descriptor(place, b"", **changes)).decode()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (gzip.compress(b"other", mtime=0), "its bytes have another SHA-1"),
        (gzip.compress(b"content", mtime=0)[:-5], "it ends too early"),
        (b"content", "it cannot be decompressed"),
    ],
)
def test_damage(place: Path, content: bytes, reason: str) -> None:
    with pytest.raises(BlobCorrupt, match=reason) as caught:
        IncludedFile(descriptor(place, content)).decode()
    assert caught.value.path == f"{place}/data/Flow/{hashlib.sha1(b'content').hexdigest()}"


def test_text_in_another_encoding(place: Path) -> None:
    with pytest.raises(MetaflowException, match=r"is not utf-16 text: .*truncated data"):
        IncludedFile(descriptor(place, gzip.compress(b"content", mtime=0), encoding="utf-16")).decode()


def test_a_datastore_that_was_moved(place: Path) -> None:
    old = IncludedFile(descriptor(place, gzip.compress(b"content", mtime=0)))
    (place / "data").rename(place / "moved")
    with pytest.raises(MetaflowDataMissing, match=f"is not at local://{place}/data/Flow/"):
        old.decode()
    assert old.decode(roots=[f"{place}/nowhere", f"{place}/moved"]) == "content"


def test_a_stored_file_in_place_of_a_path(place: Path) -> None:
    import json

    found = IncludeFile("p").parse(json.dumps(descriptor(place, gzip.compress(b"content", mtime=0))))
    assert isinstance(found, IncludedFile)
    assert found.decode() == "content"


@pytest.mark.parametrize(
    ("parser", "value"), [(None, '{"a": 1}'), ("json.loads", {"a": 1}), (str.upper, '{"A": 1}'), (len, 8)]
)
def test_what_a_step_sees(
    place: Path, storage: LocalStorage, parser: str | Callable[[str], Any] | None, value: object
) -> None:
    (place / "a.json").write_text('{"a": 1}')
    parameter = IncludeFile("p", default="a.json", parser=parser)
    assert parameter.load(store(parameter, None, storage)) == value
    assert parameter.load(None) is None


@pytest.mark.parametrize("parser", ["json.laods", "no_such_module.f", len])
def test_a_parser_that_fails(parser: Any) -> None:
    parameter = IncludeFile("p", parser=parser)
    with pytest.raises(ParameterFieldFailed, match="The parser of parameter 'p' raised") as caught:
        parameter.load(5)
    assert (caught.value.source_file, caught.value.line_no) == (__file__, parameter.line)


def test_option() -> None:
    option = IncludeFile("the-file", default="a.txt", help="It.").option()
    assert (option["metavar"], option["default_text"], option["help"]) == ("FILEPATH", "a.txt", "It.")
