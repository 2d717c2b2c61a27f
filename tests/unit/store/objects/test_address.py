"""Roots of object stores, taken apart."""

from __future__ import annotations

import pytest

from metaflow.exception import CommandException
from metaflow.store.objects.address import parse_root


@pytest.mark.parametrize(
    ("kind", "text", "container", "prefix", "root"),
    [
        ("s3", "s3://bucket", "bucket", "", "s3://bucket"),
        ("s3", "s3://bucket/", "bucket", "", "s3://bucket"),
        ("s3", " s3://bucket/a/b/ ", "bucket", "a/b", "s3://bucket/a/b"),
        ("s3", "s3a://bucket/a", "bucket", "a", "s3://bucket/a"),
        ("gs", "gs://my.bucket_1/a-b/ü", "my.bucket_1", "a-b/ü", "gs://my.bucket_1/a-b/ü"),
        ("azure", "container", "container", "", "container"),
        ("azure", "container/a/b", "container", "a/b", "container/a/b"),
        ("azure", "azure://container/a", "container", "a", "container/a"),
    ],
)
def test_parts(kind: str, text: str, container: str, prefix: str, root: str) -> None:
    place = parse_root(kind, text)
    assert (place.kind, place.container, place.key, place.root) == (kind, container, prefix, root)
    assert parse_root(kind, place.root) == place
    assert place.bucket_url == f"{kind}://{container}"


@pytest.mark.parametrize(
    ("kind", "text", "why"),
    [
        ("s3", "", "lacks 's3://'"),
        ("s3", "bucket/a", "lacks 's3://'"),
        ("s3", "s3://", "does not name a bucket"),
        ("s3", "s3:///a", "does not name a bucket"),
        ("s3", "s3:/bucket", "two slashes"),
        ("s3", "s3:bucket", "two slashes"),
        ("s3", "gs://bucket/a", "belongs to the datastore 'gs'"),
        ("gs", "s3://bucket/a", "belongs to the datastore 's3'"),
        ("azure", "s3://bucket/a", "belongs to the datastore 's3'"),
        ("s3", "https://bucket.s3.amazonaws.com/a", "starts with 'https://'"),
        ("s3", "/tmp/a", "path on this machine"),
        ("s3", "./a", "path on this machine"),
        ("azure", "/container/a", "path on this machine"),
        ("s3", "s3://bucket//a", "empty"),
        ("s3", "s3://bucket/a/../b", "dots"),
        ("s3", "s3://bucket/.", "dots"),
        ("s3", "s3://b", "is not a valid"),
        ("s3", "s3://bu cket/a", "is not a valid"),
        ("s3", "s3://bucket?x=1/a", "is not a valid"),
        ("s3", "s3://key:secret@bucket/a", "is not a valid"),
        ("azure", "azure://", "does not name a container"),
    ],
)
def test_what_is_no_root(kind: str, text: str, why: str) -> None:
    with pytest.raises(CommandException) as caught:
        parse_root(kind, text)
    assert why in caught.value.message
    assert f"'{text}'" in caught.value.message
    assert str(caught.value.hint).startswith("it should look like")
