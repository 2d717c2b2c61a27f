"""`@schedule`: when a deployed flow runs by itself. Stands on the class; without effect on this machine.

A schedule is checked here, and carried out by what a flow is deployed to.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple, TypeVar, overload

from metaflow.flow.flow_decorator import FlowDecorator
from metaflow.flow.notes import note_on_flow
from metaflow.settings.kinds import shown

Flow = TypeVar("Flow", bound=type)

_PERIODS = ("hourly", "daily", "weekly")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_FIELDS = (
    ("minute", 0, 59, ()), ("hour", 0, 23, ()), ("day of the month", 1, 31, ()), ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 7, _DAYS), ("year", 1970, 2199, ()),
)  # fmt: skip
_WORDS = re.compile(r"@(hourly|daily|midnight|weekly|monthly|yearly|annually|every( \d+[hms])+)")
_PART = re.compile(r"(?P<first>\w+)(-(?P<last>\w+))?(?P<nth>#[1-5])?")
_ANY = ("*", "?", "L", "LW")


class Schedule(NamedTuple):
    """When a flow runs.

    Attributes
    ----------
    cron : str or None
        In the form of what it is deployed to: five fields, or six with the year; or a word such as ``@monthly``.
    every : str or None
        ``hourly``, ``daily`` or ``weekly``, if there is no cron.
    timezone : str or None
        In which `cron` is meant.
    """

    cron: str | None = None
    every: str | None = None
    timezone: str | None = None


class ScheduleDecorator(FlowDecorator):
    name = "schedule"
    defaults: ClassVar[dict[str, Any]] = {
        "cron": None, "weekly": False, "daily": True, "hourly": False, "timezone": None,
    }  # fmt: skip

    schedule: Schedule | None
    """What it says; None if it switches a schedule off."""

    def check(self) -> None:
        for period in _PERIODS:
            if not isinstance(self.attributes[period], bool):
                raise self.error(f"@schedule({period}={shown(self.attributes[period])}): expected True or False.")
        cron, timezone = self.attributes["cron"], self.attributes["timezone"]
        if cron is not None:
            self._check_cron(cron)
        if timezone is not None:
            self._check_timezone(timezone)
        periods = [period for period in _PERIODS if period in self.given and self.attributes[period]]
        stated = [*(["cron"] if cron is not None else []), *periods]
        if len(stated) > 1:
            raise self.error(f"@schedule has {' and '.join(stated)}.", hint="keep one of them")
        if not stated and self.attributes["daily"]:
            periods = ["daily"]
        self.schedule = Schedule(cron, periods[0] if periods else None, timezone) if stated or periods else None

    def _check_cron(self, cron: Any) -> None:
        form = "write five fields, cron='30 8 * * MON-FRI', or six with the year, cron='30 8 ? * MON-FRI *'"
        if not isinstance(cron, str):
            raise self.error(f"@schedule(cron={shown(cron)}): expected a string.", hint=form)
        fields = cron.split()
        if _WORDS.fullmatch(cron):
            return
        if len(fields) not in (5, 6):
            raise self.error(f"@schedule(cron={shown(cron)}): it has {len(fields)} fields, not 5 or 6.", hint=form)
        for field, (what, least, most, names) in zip(fields, _FIELDS, strict=False):
            if not all(_is_part(part, least, most, names) for part in field.upper().split(",")):
                expected = f"{least} to {most}" + (f", {names[0]} to {names[-1]}" if names else "")
                raise self.error(
                    f"@schedule(cron={shown(cron)}): '{field}' is not a valid {what}.",
                    hint=f"expected {expected}, * for all, 1-5 for a range, */2 for every second",
                )

    def _check_timezone(self, timezone: Any) -> None:
        if not isinstance(timezone, str):
            raise self.error(f"@schedule(timezone={shown(timezone)}): expected a string, such as 'Europe/Berlin'.")
        from zoneinfo import ZoneInfo, available_timezones

        try:
            ZoneInfo(timezone)
        except (KeyError, ValueError, OSError):
            known = available_timezones()
            if not known:  # there is no database here, as in many images
                return
            near = difflib.get_close_matches(timezone, known, n=1)
            raise self.error(
                f"@schedule(timezone={shown(timezone)}): there is no such time zone.",
                hint=f"did you mean '{near[0]}'?" if near else "names are like 'Europe/Berlin'",
            ) from None


def _is_part(part: str, least: int, most: int, names: Sequence[str]) -> bool:
    """Tell whether this can be one of the parts of a field that are separated by commas."""
    range_, slash, step = part.partition("/")
    if slash and not (step.isdecimal() and int(step) > 0):
        return False
    if range_ in _ANY:
        return True
    found = _PART.fullmatch(range_)
    if found is None:
        return False
    first = found["first"]
    if not names and len(first) > 1:
        first = first.removesuffix("W")  # the working day nearest to it
    ends = [first.removesuffix("L") if first not in names else first, found["last"] or str(least)]
    return all(end in names or (end.isdecimal() and least <= int(end) <= most) for end in ends)


@overload
def schedule(flow: Flow) -> Flow: ...
@overload
def schedule(
    *,
    hourly: bool = False,
    daily: bool = True,
    weekly: bool = False,
    cron: str | None = None,
    timezone: str | None = None,
) -> Callable[[Flow], Flow]: ...
def schedule(flow: Any = None, **attributes: Any) -> Any:
    """Say when a flow runs by itself once it is deployed; give one of the first four.

    Parameters
    ----------
    hourly, daily, weekly : bool
        At the beginning of each hour, of each day at midnight, of each Sunday at midnight. Daily by default.
    cron : str, optional
        A cron expression, in the form of what the flow is deployed to.
    timezone : str, optional
        In which `cron` is meant, ``Europe/Berlin``.

    Raises
    ------
    InvalidDecoratorAttribute
        When the flow is used: a value cannot be, or there are two schedules.
    InvalidFlow
        It stands on something else than a flow.
    """
    return note_on_flow(ScheduleDecorator, flow, attributes)
