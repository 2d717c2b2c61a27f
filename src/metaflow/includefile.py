"""`metaflow.includefile`: the path under which users import, and under which artifacts are pickled."""

from __future__ import annotations

from metaflow.flow.included import IncludedFile
from metaflow.flow.includefile import IncludeFile

__all__ = ["IncludeFile", "IncludedFile"]
