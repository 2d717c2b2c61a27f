"""The versions: of the API that is implemented, and of this implementation."""

from __future__ import annotations

API = "2.19.39"
"""The release of Metaflow whose documented API this is."""

MILLRACE = "0.1.0"

__version__ = f"{API}+millrace.{MILLRACE}"
"""What programs compare: the API, with our own version as the local part (PEP 440)."""
