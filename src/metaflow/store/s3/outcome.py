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
from metaflow.store.s3.answers import Failure

_CLASSES: dict[str, type[MetaflowS3Exception]] = {
    "bucket": MetaflowS3NotFound,
    "credentials": MetaflowS3AccessDenied,
    "denied": MetaflowS3AccessDenied,
    "disk": MetaflowS3InsufficientDiskSpace,
    "key": MetaflowS3URLException,
    "missing": MetaflowS3NotFound,
    "range": MetaflowS3InvalidRange,
}

_SENTENCES = {
    "bucket": "there is no such bucket",
    "certificate": "its certificate is not trusted",
    "changed": "it was replaced while it was read",
    "clock": "the clocks differ",
    "credentials": "the credentials are missing or refused",
    "denied": "access is denied",
    "missing": "there is no such object",
    "name": "its host is not found",
    "range": "it has no such range",
    "region": "the bucket is in another region",
    "transient": "it does not answer",
}

_PLAIN = ("bucket", "changed", "missing", "range")  # the store's words add nothing
_SHOWN = 5


def explain(verb: str, failed: Sequence[tuple[str, Failure]], total: int) -> MetaflowS3Exception:
    """Return the exception for the failures of a call.

    Parameters
    ----------
    verb : str
        What cannot be done: ``read``, ``write`` or ``list``.
    failed : sequence of (str, Failure)
        URL and failure of each, in the order given; at least one.
    total : int
        How many were asked for.
    """
    begun = [(url, failure) for url, failure in failed if failure.kind != "skipped"] or list(failed)
    url, first = next(((url, failure) for url, failure in begun if failure.kind not in ("missing",)), begun[0])
    reasons = [(url, _reason(failure)) for url, failure in failed]
    if total == 1:
        text = f"Cannot {verb} {url}: {_reason(first)}."
    else:
        shown = [(url, _reason(failure)) for url, failure in begun[:_SHOWN]]
        same = len({reason for _, reason in shown}) == 1
        which = ", ".join(url if same else f"{url} ({reason})" for url, reason in shown)
        more = f" and {len(begun) - _SHOWN} more" if len(begun) > _SHOWN else ""
        left = len(failed) - len(begun)
        skipped = f" {left} other{' was' if left == 1 else 's were'} not tried." if left else ""
        why = f": {shown[0][1]}" if same else ""
        text = f"Cannot {verb} {len(begun)} of {total} objects{why}: {which}{more}.{skipped}"
    return _CLASSES.get(first.kind, MetaflowS3Exception)(text, hint=first.hint, failed=reasons)


def _reason(failure: Failure) -> str:
    sentence = _SENTENCES.get(failure.kind)
    if sentence is None:
        return failure.reason
    return sentence if failure.kind in _PLAIN else f"{sentence} ({failure.reason})"
