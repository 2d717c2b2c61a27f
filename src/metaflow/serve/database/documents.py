"""What is registered and recorded, as values on their way into the database. Pure.

What comes from outside has been checked by whoever makes these values.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, NamedTuple


class Registration(NamedTuple):
    """A run, step or task that is registered.

    Attributes
    ----------
    user : str
        Who registers it.
    time : int
        When, in milliseconds.
    name : str or None
        Its name, if the service is not to choose a number.
    request : str or None
        Identifies the request: when it comes again, it means what it has registered the first time.
    tags, system_tags : sequence of str
        Of a run.
    """

    user: str
    time: int
    name: str | None = None
    request: str | None = None
    tags: Sequence[str] = ()
    system_tags: Sequence[str] = ()


class FactRow(NamedTuple):
    """A fact about a task; `value` and `tags` are JSON."""

    field_name: str
    type: str
    value: str
    tags: str
    user_name: str
    ts_epoch: int

    def row(self, task: int) -> dict[str, Any]:
        """Return the row in the table."""
        digest = blake2b("\0".join(map(str, self)).encode(), digest_size=8).digest()
        return {**self._asdict(), "task": task, "digest": int.from_bytes(digest, signed=True)}


class ArtifactRow(NamedTuple):
    """Where an artifact of an attempt is."""

    attempt_id: int
    name: str
    content_type: str
    type: str
    sha: str
    ds_type: str
    location: str
    user_name: str
    ts_epoch: int

    def row(self, task: int) -> dict[str, Any]:
        """Return the row in the table."""
        return {**self._asdict(), "task": task}
