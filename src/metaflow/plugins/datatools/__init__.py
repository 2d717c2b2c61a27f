"""Names that users import from `metaflow.plugins.datatools`; the room is `metaflow.tools.s3`."""

from __future__ import annotations

from metaflow.exception import MetaflowS3Exception
from metaflow.tools.s3 import S3

__all__ = ["S3", "MetaflowS3Exception"]
