"""Which jobs to look at, and when: few calls for many jobs, and an end is heard of soon. Pure.

The longer a job has been in its state, the longer it may stay there: the next look comes after a tenth of that time,
within bounds. A call describes a hundred jobs; a round fills its calls with jobs whose turn would be next. Between two
rounds is a pause that grows with their calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from metaflow.compute.batch.client import AT_ONCE

SHORTEST, LONGEST = 0.3, 10.0
"""Seconds between two looks at a job."""
_SHARE = 0.1
_PER_CALL = 0.2
"""Seconds: at most five calls in one."""


class Polling:
    """The jobs that have not ended. All times are in seconds, of one clock."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}
        self._due: dict[str, float] = {}
        self._not_before = -inf

    def add(self, id: str, now: float) -> None:
        """Look at a job from now on."""
        self._since[id] = now
        self._due[id] = now + SHORTEST

    def drop(self, id: str) -> None:
        """Look at it no more."""
        self._since.pop(id, None)
        self._due.pop(id, None)

    def look_soon(self, id: str, now: float) -> None:
        """Look at a job soon, as if it had just changed."""
        due = self._due.get(id)
        if due is not None:
            self.saw(id, now, changed=True)
            self._due[id] = min(due, self._due[id])

    def saw(self, id: str, now: float, *, changed: bool) -> None:
        """Note a look at a job, and whether its state was another than before."""
        if changed:
            self._since[id] = now
        self._due[id] = now + min(LONGEST, max(SHORTEST, (now - self._since[id]) * _SHARE))

    def postpone(self, ids: Sequence[str], until: float) -> None:
        """Look at nothing before `until`, and at these jobs then."""
        self._not_before = max(self._not_before, until)
        for id in ids:
            if id in self._due:
                self._due[id] = until

    def wait(self, now: float) -> float | None:
        """Return the seconds until the next round, None if there is nothing to look at."""
        if not self._due:
            return None
        return max(0.0, min(self._due.values()) - now, self._not_before - now)

    def round(self, now: float) -> list[list[str]]:
        """Return the jobs to look at now, in groups that one call describes."""
        if not self._due or (self.wait(now) or 0.0) > 0.0:
            return []
        order = sorted(self._due, key=self._due.__getitem__)
        due = sum(self._due[id] <= now for id in order)
        calls = -(-due // AT_ONCE)
        self._not_before = now + calls * _PER_CALL
        chosen = order[: calls * AT_ONCE]
        return [chosen[at : at + AT_ONCE] for at in range(0, len(chosen), AT_ONCE)]
