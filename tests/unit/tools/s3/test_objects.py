"""What users hold: an object, a prefix, an absence."""

from __future__ import annotations

from pathlib import Path

import pytest

from metaflow.exception import MetaflowS3Exception
from metaflow.tools.s3.objects import RangeInfo, S3Object


def test_an_absence() -> None:
    found = S3Object("s3://b/p", "s3://b/p/k", None)
    assert (found.exists, found.downloaded, found.has_info) == (False, False, False)
    assert (found.size, found.path, found.blob, found.text, found.encryption) == 5 * (None,)
    assert str(found) == "<S3Object s3://b/p/k (no object)>"


def test_a_local_copy(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"\xc3\xbc\xff")
    found = S3Object("s3://b/p", "s3://b/p/k", str(tmp_path / "f"), range_info=RangeInfo(3, 0, 3))
    assert (found.exists, found.downloaded, found.has_info, found.size) == (True, True, True, 3)
    assert (found.key, found.blob, found.text) == ("k", b"\xc3\xbc\xff", "ü\ufffd")
    assert repr(found) == "<S3Object s3://b/p/k (3 bytes, local)>"
    (tmp_path / "f").unlink()
    with pytest.raises(MetaflowS3Exception, match="local copy of s3://b/p/k is gone") as caught:
        found.blob
    assert "inside the block" in str(caught.value.hint)


def test_an_empty_object_exists() -> None:
    found = S3Object(None, "s3://b/k", None, 0)
    assert found.exists
    assert str(found) == "<S3Object s3://b/k (0 bytes, in the store)>"


def test_encryption_is_asked_for_once() -> None:
    asked: list[int] = []

    def encryption() -> str:
        asked.append(1)
        return "AES256"

    found = S3Object(None, "s3://b/k", None, 0, encryption=encryption)
    assert asked == []
    assert found.encryption == found.encryption == "AES256"
    assert asked == [1]
