"""The failures of one call as one exception: how many of how many, which, why, and what to do.

Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from metaflow.exception import (
    MetaflowS3AccessDenied,
    MetaflowS3Exception,
    MetaflowS3InsufficientDiskSpace,
    MetaflowS3InvalidRange,
    MetaflowS3NotFound,
    MetaflowS3URLException,
)
from metaflow.store.objects.errors import StoreError

_CLASSES: dict[str, type[MetaflowS3Exception]] = {
    "bucket": MetaflowS3NotFound,
    "credentials": MetaflowS3AccessDenied,
    "denied": MetaflowS3AccessDenied,
    "disk": MetaflowS3InsufficientDiskSpace,
    "key": MetaflowS3URLException,
    "missing": MetaflowS3NotFound,
    "range": MetaflowS3InvalidRange,
}

_HINTS = {
    "bucket": "check the bucket's name, and that the credentials belong to its account",
    "transient": "check the network",
}
"""What is not as `StoreError.hint_for` has it for the datastore."""
_SHOWN = 5


def explain(verb: str, failed: Sequence[tuple[str, StoreError]], total: int) -> MetaflowS3Exception:
    """Return the exception for the failures of a call.

    Parameters
    ----------
    verb : str
        What cannot be done: ``read``, ``write`` or ``list``.
    failed : sequence of (str, StoreError)
        URL and failure of each, in the order given; at least one.
    total : int
        How many were asked for.
    """
    begun = [(url, failure) for url, failure in failed if failure.kind != "skipped"] or list(failed)
    url, first = next(((url, failure) for url, failure in begun if failure.kind not in ("missing",)), begun[0])
    reasons = [(url, failure.sentence) for url, failure in failed]
    if total == 1:
        text = f"Cannot {verb} {url}: {first.sentence}."
    else:
        shown = [(url, failure.sentence) for url, failure in begun[:_SHOWN]]
        same = len({reason for _, reason in shown}) == 1
        which = ", ".join(url if same else f"{url} ({reason})" for url, reason in shown)
        more = f" and {len(begun) - _SHOWN} more" if len(begun) > _SHOWN else ""
        left = len(failed) - len(begun)
        skipped = f" {left} other{' was' if left == 1 else 's were'} not tried." if left else ""
        why = f": {shown[0][1]}" if same else ""
        text = f"Cannot {verb} {len(begun)} of {total} objects{why}: {which}{more}.{skipped}"
    return _CLASSES.get(first.kind, MetaflowS3Exception)(text, hint=_hint(url, first), failed=reasons)


def _hint(url: str, error: StoreError) -> str | None:
    kind = url.partition("://")[0]
    if error.kind == "transient" and kind == "s3":
        return "check METAFLOW_S3_ENDPOINT_URL and the network"
    return _HINTS.get(error.kind) or error.hint_for(kind)
