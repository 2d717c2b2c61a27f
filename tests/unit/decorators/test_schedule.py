"""What `@schedule` says, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from metaflow.decorators.schedule import Schedule, ScheduleDecorator
from metaflow.exception import InvalidDecoratorAttribute


@pytest.mark.parametrize(
    ("attributes", "schedule"),
    [
        ({}, Schedule(every="daily")),
        ({"daily": True}, Schedule(every="daily")),
        ({"hourly": True}, Schedule(every="hourly")),
        ({"weekly": True, "daily": False}, Schedule(every="weekly")),
        ({"daily": False}, None),
        ({"daily": False, "timezone": "UTC"}, None),
        ({"cron": "0 1 * * *", "timezone": "Europe/Berlin"}, Schedule("0 1 * * *", None, "Europe/Berlin")),
        ({"cron": "0 1 * * *", "daily": False}, Schedule("0 1 * * *")),
    ],
)
def test_what_it_says(attributes: dict[str, Any], schedule: Schedule | None) -> None:
    assert ScheduleDecorator(attributes).schedule == schedule


@pytest.mark.parametrize(
    "cron",
    [
        "* * * * *", "*/5 0-6,12 1,15 JAN-MAR mon-fri", "0 10 * * ? *", "0 8 L * ? 2026-2030", "0 8 15W * ?",
        "0 8 LW * ?", "0 8 ? * FRI#2", "0 8 ? * 6L", "30 23 31 12 7", "0/15 * * * *", "@hourly", "0 8 * * FRIL",
        "@every 1h 30m",
    ],
)  # fmt: skip
def test_cron_expressions(cron: str) -> None:
    said = ScheduleDecorator({"cron": cron}).schedule
    assert said is not None
    assert said.cron == cron


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"cron": 5}, "expected a string"),
        ({"cron": ""}, "it has 0 fields"),
        ({"cron": "* * * *"}, "it has 4 fields"),
        ({"cron": "* * * * * * *"}, "it has 7 fields"),
        ({"cron": "60 * * * *"}, "'60' is not a valid minute"),
        ({"cron": "0 24 * * *"}, "'24' is not a valid hour"),
        ({"cron": "0 1 0 * *"}, "'0' is not a valid day of the month"),
        ({"cron": "0 1 * 13 *"}, "month"),
        ({"cron": "0 1 * FOO *"}, "'FOO' is not a valid month"),
        ({"cron": "0 1 * * 8"}, "day of the week"),
        ({"cron": "*/0 * * * *"}, "minute"),
        ({"cron": "1,, * * * *"}, "minute"),
        ({"cron": "1-99 * * * *"}, "minute"),
        ({"cron": "0 1 * * ? 1"}, "year"),
        ({"cron": "@sometimes"}, "it has 1 field"),
        ({"timezone": "Europe/Berln"}, "there is no such time zone"),
        ({"timezone": "../etc/passwd"}, "there is no such time zone"),
        ({"timezone": "Europe"}, "there is no such time zone"),
        ({"timezone": 2}, "expected a string"),
        ({"hourly": "yes"}, "expected True or False"),
        ({"hourly": True, "weekly": True}, "has hourly and weekly"),
        ({"cron": "* * * * *", "daily": True}, "has cron and daily"),
    ],
)
def test_what_cannot_be(attributes: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidDecoratorAttribute, match=said):
        ScheduleDecorator(attributes)
