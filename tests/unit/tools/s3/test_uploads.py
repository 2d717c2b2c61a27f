"""What users hand to put, made ready to be sent."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metaflow.exception import MetaflowS3InvalidObject, MetaflowS3NotFound
from metaflow.store.objects.address import Address
from metaflow.store.objects.bucket import PART
from metaflow.tools.s3.uploads import content, local_file

PLACE = Address("s3", "b", "k")


@pytest.fixture
def spool(tmp_path: Path) -> Callable[[str], str]:
    return lambda name: str(tmp_path / f"spooled-{name}")


@pytest.mark.parametrize(
    "value", ["ü", "ü".encode(), bytearray("ü".encode()), memoryview("ü".encode()), io.BytesIO("ü".encode())]
)
def test_what_stays_in_memory(value: Any, spool: Callable[[str], str]) -> None:
    assert content(PLACE, value, spool).data == "ü".encode()


def test_files_of_a_disk_are_sent_from_there(tmp_path: Path, spool: Callable[[str], str]) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"content")
    assert content(PLACE, path, spool).path == str(path)
    with path.open("rb") as file:
        assert content(PLACE, file, spool).path == str(path)
        assert file.read(3) == b"con"
        assert content(PLACE, file, spool).data == b"tent"


def test_big_streams_are_copied_first(tmp_path: Path, spool: Callable[[str], str]) -> None:
    data = b"x" * PART + b"y"
    found = content(PLACE, io.BytesIO(data), spool)
    assert found.path is not None
    assert Path(found.path).read_bytes() == data
    assert found.size == len(data)


def test_what_is_noted(spool: Callable[[str], str]) -> None:
    found = content(PLACE, "x", spool, "text/x", {"k": "ü"}, "AES256")
    assert (found.content_type, found.attributes, found.encryption) == ("text/x", '{"k": "\\u00fc"}', "AES256")
    assert content(PLACE, "x", spool, metadata={}).attributes is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((5,), "of type int"),
        ((None,), "of type NoneType"),
        ((io.StringIO("x"),), "open in text mode"),
        (("\ud800",), "cannot be encoded as UTF-8"),
        (("x", 5), "content_type of s3://b/k is 5"),
        (("x", "a\nb"), "content_type"),
        (("x", None, "text"), "metadata of s3://b/k"),
        (("x", None, {"a": object()}), "metadata of s3://b/k"),
    ],
)
def test_what_cannot_be_sent(arguments: tuple[Any, ...], said: str, spool: Callable[[str], str]) -> None:
    value, *rest = arguments
    with pytest.raises(MetaflowS3InvalidObject, match=said):
        content(PLACE, value, spool, *rest)


def test_local_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(MetaflowS3NotFound, match="nix, to be uploaded as s3://b/k, does not exist"):
        local_file(PLACE, tmp_path / "nix")
    for path in (tmp_path, 5.0):
        with pytest.raises(MetaflowS3InvalidObject, match=r"regular file|of type float"):
            local_file(PLACE, path)
