"""Which runs a page shows: a value that is read from the query of an address and written to one. Pure.

::

    flow=HelloFlow  status=failed  tag=nightly  user=ann  from=2026-11-30  to=2026-12-01T12:00  q=xgboost

`status` and `tag` may come several times: a run has one of the statuses, and all of the tags. Times without a zone are
UTC. Names that are not known are left to others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple


class RunFilter(NamedTuple):
    """Which runs are wanted.

    Attributes
    ----------
    flow : str or None
        Name of a flow.
    states : frozenset of str
        One of these; empty: any.
    tags : frozenset of str
        All of these, whoever set them.
    user : str or None
        Who started it.
    since, until : str or None
        Registered at this time or later; before this time, or on this day or earlier: ISO 8601.
    text : str
        All its words are in the flow's name, the id, the user or a tag, whatever the case of their letters.
    """

    flow: str | None = None
    states: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    user: str | None = None
    since: str | None = None
    until: str | None = None
    text: str = ""

    @classmethod
    def parse(cls, query: Iterable[tuple[str, str]]) -> RunFilter:
        """Return the filter of an address's query.

        Raises
        ------
        ValueError
            A time is none; the message says which.
        """
        several: dict[str, list[str]] = {}
        for name, value in query:
            if value.strip():
                several.setdefault(name, []).append(value.strip())
        last = {name: values[-1] for name, values in several.items()}
        for name in ("from", "to"):
            if name in last:
                moment(last[name])
        return cls(
            last.get("flow"),
            frozenset(several.get("status", ())),
            frozenset(several.get("tag", ())),
            last.get("user"),
            last.get("from"),
            last.get("to"),
            last.get("q", ""),
        )

    def query(self) -> list[tuple[str, str]]:
        """Return the filter as the query of an address; `parse` makes it again."""
        single = (("from", self.since), ("to", self.until), ("q", self.text))
        return [
            *((name, value) for name, value in (("flow", self.flow), ("user", self.user)) if value),
            *(("status", state) for state in sorted(self.states)),
            *(("tag", tag) for tag in sorted(self.tags)),
            *((name, value) for name, value in single if value),
        ]

    @property
    def interval(self) -> tuple[int | None, int | None]:
        """The first millisecond that is wanted, and the first after it that is not; None: no limit."""
        until = self.until
        last = None if until is None else moment(until) + (86_400_000 if _is_date(until) else 0)
        return None if self.since is None else moment(self.since), last

    def admits(self, flow: str, run: str, *, user: str, started: int, state: str | None, tags: Collection[str]) -> bool:
        """Tell whether a run is wanted; its `state` may be left open, as it is the costly part to find out."""
        since, until = self.interval
        named = " ".join((flow, run, user, *tags)).casefold() if self.text else ""
        return (
            (self.flow is None or flow == self.flow)
            and (self.user is None or user == self.user)
            and (since is None or started >= since)
            and (until is None or started < until)
            and (state is None or not self.states or state in self.states)
            and self.tags.issubset(tags)
            and all(word in named for word in self.words)
        )

    @property
    def words(self) -> tuple[str, ...]:
        """The words of `text`, in lower case."""
        return tuple(self.text.casefold().split())


def moment(text: str) -> int:
    """Return a time in ISO 8601 as milliseconds since the epoch.

    Raises
    ------
    ValueError
        It is none.
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"'{text}' is not a date or time such as 2026-11-30 or 2026-11-30T12:00") from None
    zoned = time if time.tzinfo else time.replace(tzinfo=UTC)
    return (zoned - datetime.fromtimestamp(0, UTC)) // timedelta(milliseconds=1)


def _is_date(text: str) -> bool:
    return len(text) == len("2026-11-30")
