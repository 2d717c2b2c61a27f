"""The place in which the tests of the client write runs."""

from __future__ import annotations

from ..client.conftest import place

__all__ = ["place"]
