"""What users pass: keys, ranges, pairs, iterables."""

from __future__ import annotations

from typing import Any

import pytest

from metaflow.exception import MetaflowS3InvalidObject, MetaflowS3InvalidRange, MetaflowS3URLException
from metaflow.tools.s3 import arguments
from metaflow.tools.s3.objects import S3GetObject, S3PutObject


@pytest.mark.parametrize(
    ("root", "key", "expected"),
    [
        ("s3://b/p", "k", "s3://b/p/k"),
        ("s3://b/p", None, "s3://b/p"),
        ("s3://b/p", "a:b", "s3://b/p/a:b"),
        (None, "s3://b/k", "s3://b/k"),
    ],
)
def test_keys_and_urls(root: str | None, key: str | None, expected: str) -> None:
    assert arguments.url(root, key) == expected


@pytest.mark.parametrize(
    ("root", "key", "said"),
    [
        ("s3://b/p", "s3://b/k", "is a full URL, but this S3 has the root s3://b/p"),
        ("s3://b/p", "gs://b/k", "is a full URL"),
        ("s3://b/p", 5, "must be a string, not int: '5'"),
        ("s3://b/p", b"k", "must be a string, not bytes"),
        ("s3://b/p", "\ud800", "cannot be encoded as UTF-8"),
        (None, "k", "'k' is not a full URL"),
        (None, None, "No key was given"),
    ],
)
def test_the_wrong_one_of_key_and_url(root: str | None, key: Any, said: str) -> None:
    with pytest.raises(MetaflowS3URLException, match=said) as caught:
        arguments.url(root, key)
    assert caught.value.hint or said == "cannot be encoded as UTF-8" or "must be a string" in said


def test_iterables_of_keys() -> None:
    assert arguments.several("get_many", (key for key in "ab")) == ["a", "b"]
    for keys in ("ab", b"ab", 5, None):
        with pytest.raises(MetaflowS3URLException, match="get_many takes a list of keys"):
            arguments.several("get_many", keys)


class _Range:
    key, offset, length = "k", 1, 2


def test_ranges() -> None:
    assert arguments.wanted("k") == ("k", None, None)
    assert arguments.wanted(None) == (None, None, None)
    assert arguments.wanted(S3GetObject("k", 1, 2)) == arguments.wanted(_Range()) == ("k", 1, 2)
    assert arguments.wanted(S3GetObject("k", 1, None)) == arguments.wanted(S3GetObject("k", 1, -1)) == ("k", 1, None)


@pytest.mark.parametrize(
    ("offset", "length", "said"),
    [
        (-1, 2, "starts at -1"),
        (0, 0, "length of 0"),
        (0, -2, "length of -2"),
        ("1", 2, "'1'; it must be a number"),
        (1, 2.5, "2.5"),
    ],
)
def test_ranges_that_are_none(offset: Any, length: Any, said: str) -> None:
    with pytest.raises(MetaflowS3InvalidRange, match=said):
        arguments.wanted(S3GetObject("k", offset, length))


def test_pairs_to_put() -> None:
    noted = S3PutObject("c", "w", content_type="text/x")
    found = arguments.to_put("put_many", [("a", "v"), ["b", b"v"], noted])
    assert [(key, value) for key, value, _ in found] == [("a", "v"), ("b", b"v"), ("c", "w")]
    assert found[2][2] == noted
    assert arguments.to_put("put_files", [S3PutObject("a", path="f")], files=True)[0][1] == "f"


@pytest.mark.parametrize(
    ("items", "said", "hint"),
    [
        ("ab", "takes a list of pairs, not 'ab'", "put_many([('key', value), …])"),
        ({"a": "b"}, "not a value of type dict", "mapping.items()"),
        (5, "of type int", "put_many"),
        (["ab"], "'ab' is not a pair", "put_many"),
        ([("a", "b", "c")], "is not a pair", "put_many"),
        ([S3PutObject("a", path="f")], "for 'a' has no value", "put_files sends files"),
    ],
)
def test_what_is_no_pair(items: Any, said: str, hint: str) -> None:
    with pytest.raises(MetaflowS3InvalidObject, match=said) as caught:
        arguments.to_put("put_many", items)
    assert hint in str(caught.value.hint)
