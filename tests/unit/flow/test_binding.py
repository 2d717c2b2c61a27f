"""What connects a flow instance to a task: what of it can change."""

from __future__ import annotations

from collections import namedtuple
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from metaflow.flow.binding import is_immutable

Point = namedtuple("Point", "x y")


class Labelled(tuple):  # type: ignore[type-arg]
    pass


class Colour(Enum):
    RED = 1


@pytest.mark.parametrize(
    "value",
    [
        1, 1.5, True, None, "x", b"x", range(3), (), (1, ("x", (None,))), frozenset({(1, 2)}), Point(1, "x"),
        date(2020, 1, 1), datetime(2020, 1, 1, tzinfo=UTC), timedelta(1), Decimal(1), UUID(int=1), Path("x"),
    ],
)  # fmt: skip
def test_what_cannot_change(value: Any) -> None:
    assert is_immutable(value)


@pytest.mark.parametrize(
    "value",
    [
        [],
        {},
        set(),
        bytearray(),
        ([],),
        (1, (2, {})),
        Point(1, []),
        Labelled((1,)),
        type("N", (int,), {})(1),
        Colour.RED,
    ],
)
def test_what_may_change(value: Any) -> None:
    assert not is_immutable(value)


def test_numpy() -> None:
    numpy = pytest.importorskip("numpy")
    assert is_immutable((numpy.float64(1.5), numpy.bool_(True)))
    assert not is_immutable(numpy.zeros(1))
    assert not is_immutable(numpy.zeros(1, dtype=[("x", int)])[0])


def test_deep_tuples() -> None:
    deep: Any = ()
    for _ in range(100_000):
        deep = (deep,)
    assert is_immutable(deep)
