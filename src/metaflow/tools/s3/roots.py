"""What the keys of one `S3` are below: a URL, the data of a run, or nothing.

Asks the registry for `current` and `FlowSpec`, which are of another room. Start reading at `root`.
"""

from __future__ import annotations

from typing import Any

from metaflow import registry
from metaflow.exception import MetaflowS3URLException
from metaflow.tools.s3 import urls


def root(configured: str | None, bucket: str | None, prefix: str | None, run: Any, s3root: str | None) -> str | None:
    """Return the URL that the keys of an `S3` are below; None if it has none.

    Parameters
    ----------
    configured : str or None
        Where the data of runs is.
    bucket, prefix, run, s3root
        As `S3` takes them.

    Raises
    ------
    MetaflowS3URLException
        They contradict each other, or are no root.
    """
    if run is None:
        if s3root is None:
            return None
        if not isinstance(s3root, str):
            raise MetaflowS3URLException(
                f"s3root must be a string, not {type(s3root).__name__}.", hint="write 's3://bucket/prefix'"
            )
        urls.parse(s3root)
        return s3root
    flow, number = _of_run(run)
    base = configured
    if bucket is not None:
        kind, _, path = (configured or "s3://").partition("://")
        base = f"{kind}://{bucket.removeprefix(f'{kind}://').strip('/')}/{path.partition('/')[2]}"
    if base is None:
        raise MetaflowS3URLException(
            "S3(run=…) stores data under METAFLOW_DATATOOLS_S3ROOT, which is not set.",
            hint="set it (or METAFLOW_DATASTORE_SYSROOT_S3) to s3://bucket/prefix, or use S3(s3root=…)",
        )
    if "://" not in base:
        base = f"azure://{base}"  # as the settings of Azure are written
    if prefix:
        place = urls.parse(base)
        base = f"{place.kind}://{place.container}/{prefix.strip('/')}"
    urls.parse(base)
    return f"{base.rstrip('/')}/{flow}/{number}"


def _of_run(run: Any) -> tuple[str, str]:
    """Return flow and run id of a running flow or of a client object."""
    if isinstance(run, registry.load("language", "FlowSpec")):
        current = registry.load("language", "current")
        if not current.is_running_flow:
            raise MetaflowS3URLException("S3(run=self) works only inside a step, and no step is running here.")
        return str(current.flow_name), str(current.run_id)
    pathspec = getattr(run, "pathspec", None)
    parts = pathspec.split("/") if isinstance(pathspec, str) else []
    if len(parts) < 2:
        what = f"'{pathspec}'" if pathspec else f"of type {type(run).__name__}"
        raise MetaflowS3URLException(
            f"The run given to this S3 is {what}.", hint="give run=self in a step, or a Run object"
        )
    return parts[0], parts[1]
