"""The failures of one call in one sentence."""

from __future__ import annotations

import pytest

from metaflow.exception import (
    MetaflowS3AccessDenied,
    MetaflowS3Exception,
    MetaflowS3InsufficientDiskSpace,
    MetaflowS3NotFound,
)
from metaflow.store.objects.errors import StoreError
from metaflow.tools.s3.explain import explain

MISSING = StoreError("missing", "404")
DENIED = StoreError("denied", "403 Forbidden", "ask")
SKIPPED = StoreError("skipped", "not tried")


def test_one_of_one() -> None:
    error = explain("read", [("s3://b/k", DENIED)], 1)
    assert str(error) == "Cannot read s3://b/k: access is denied (403 Forbidden)."
    assert (type(error), error.hint) == (MetaflowS3AccessDenied, "ask")
    assert error.failed == [("s3://b/k", "access is denied (403 Forbidden)")]


def test_many_for_one_reason() -> None:
    error = explain("read", [(f"s3://b/{number}", MISSING) for number in range(7)], 9)
    assert type(error) is MetaflowS3NotFound
    assert str(error) == (
        "Cannot read 7 of 9 objects: there is no such object: "
        "s3://b/0, s3://b/1, s3://b/2, s3://b/3, s3://b/4 and 2 more."
    )
    assert len(error.failed) == 7


def test_the_gravest_gives_the_class_and_what_was_not_tried_is_counted() -> None:
    error = explain("write", [("s3://b/1", MISSING), ("s3://b/2", DENIED), ("s3://b/3", SKIPPED)], 4)
    assert type(error) is MetaflowS3AccessDenied
    assert str(error) == (
        "Cannot write 2 of 4 objects: s3://b/1 (there is no such object), s3://b/2 (access is denied (403 Forbidden)). "
        "1 other was not tried."
    )


@pytest.mark.parametrize(
    ("failure", "expected"),
    [(StoreError("disk", "full"), MetaflowS3InsufficientDiskSpace), (StoreError("other", "418"), MetaflowS3Exception)],
)
def test_classes(failure: StoreError, expected: type[Exception]) -> None:
    assert type(explain("read", [("s3://b/k", failure)], 1)) is expected
