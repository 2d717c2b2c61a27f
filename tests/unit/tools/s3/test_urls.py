"""URLs and keys: taken apart, put together, refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaflow.exception import MetaflowS3URLException
from metaflow.store.objects.address import Address
from metaflow.tools.s3 import urls


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("s3://bucket/a/b", Address("s3", "bucket", "a/b")),
        ("s3://bucket//a/", Address("s3", "bucket", "/a/")),
        ("s3://bucket", Address("s3", "bucket", "")),
        ("gs://bucket/ü %?#", Address("gs", "bucket", "ü %?#")),
        ("azure://container/x", Address("azure", "container", "x")),
    ],
)
def test_urls_are_taken_apart(url: str, expected: Address) -> None:
    assert urls.parse(url) == expected


@pytest.mark.parametrize(
    ("url", "said", "hint"),
    [
        ("", "is not a URL", "should begin with s3://"),
        ("bucket/key", "is not a URL", "should begin with s3://"),
        ("s3:/bucket/key", "is not a URL", "should begin with s3://"),
        ("http://host/key", "is not a URL", "should begin with s3://"),
        ("s3a://bucket/key", "is not a URL", "write s3://bucket/key"),
        ("S3://bucket/key", "is not a URL", "write s3://bucket/key"),
        ("wasbs://c/key", "is not a URL", "write azure://c/key"),
        ("s3://", "does not name a bucket", "s3://bucket/key"),
        ("gs:///key", "does not name a bucket", "gs://bucket/key"),
    ],
)
def test_what_is_no_url_is_refused(url: str, said: str, hint: str) -> None:
    with pytest.raises(MetaflowS3URLException, match=said) as caught:
        urls.parse(url)
    assert hint in str(caught.value.hint)


def test_a_bucket_has_a_plain_name() -> None:
    with pytest.raises(MetaflowS3URLException, match="is not a valid bucket name"):
        urls.parse("s3://s3:/bucket")


@pytest.mark.parametrize(
    ("root", "key", "expected"),
    [
        ("s3://b/p", "k", "s3://b/p/k"),
        ("s3://b/p/", "//k", "s3://b/p/k"),
        ("s3://b/p", "k/", "s3://b/p/k/"),
        ("s3://b/p", "", "s3://b/p"),
        ("s3://b", "k", "s3://b/k"),
    ],
)
def test_keys_are_joined_to_a_root(root: str, key: str, expected: str) -> None:
    assert urls.join(root, key) == expected


@pytest.mark.parametrize(
    ("prefix", "url", "expected"),
    [
        (None, "s3://b/k", "s3://b/k"),
        ("s3://b/p", "s3://b/p/k", "k"),
        ("s3://b/p/", "s3://b/p/k/", "k"),
        ("s3://b/p", "s3://b/p", "s3://b/p"),
        ("s3://b/p", "s3://b/p//k", "/k"),
        ("s3://b/p/", "s3://b/p//k", "/k"),
        ("s3://b/p/e", "s3://b/p/empty", "mpty"),
    ],
)
def test_keys_are_seen_from_a_prefix(prefix: str | None, url: str, expected: str) -> None:
    assert urls.relative(prefix, url) == expected


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1).filter(lambda key: key.strip("/")))
def test_a_key_comes_back(key: str) -> None:
    url = urls.join("s3://b/p", key)
    assert urls.parse(url).url == url
    assert urls.relative("s3://b/p", url) == key.lstrip("/").removesuffix("/")


@pytest.mark.parametrize("key", ["a", "a b", "a/b.c", "...", "ü%+", "a\\b"])
def test_plain_names(key: str) -> None:
    assert urls.has_plain_name(key)


@pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", ".", "a/..", "a\tb", "a\x7f"])
def test_names_that_obstore_does_not_have(key: str) -> None:
    assert not urls.has_plain_name(key)
