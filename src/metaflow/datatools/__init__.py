"""`metaflow.datatools`: a path under which users import `S3`; the room is `metaflow.tools.s3`."""

from __future__ import annotations

from metaflow.exception import MetaflowS3Exception
from metaflow.tools.s3 import S3

__all__ = ["S3", "MetaflowS3Exception"]
