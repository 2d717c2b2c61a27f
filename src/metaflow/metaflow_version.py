"""A name that users import from `metaflow.metaflow_version`."""

from __future__ import annotations

from metaflow.version import __version__


def get_version(public: bool = False) -> str:
    """Return the version; `public` makes no difference."""
    return __version__
