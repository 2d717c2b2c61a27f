"""Names that users import from `metaflow.multicore_utils`; the room is `metaflow.tools.parallel`."""

from __future__ import annotations

from metaflow.tools.parallel import MulticoreException, parallel_imap_unordered, parallel_map

__all__ = ["MulticoreException", "parallel_imap_unordered", "parallel_map"]
