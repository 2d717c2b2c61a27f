"""Values of users as plain data: always JSON, always bounded, whatever they do when they are asked."""

from __future__ import annotations

import datetime
import json
from typing import Any

import numpy
import pytest

from metaflow.cards.plain import cut, plain, summary, type_name


class Rude:
    def __repr__(self) -> str:
        raise RuntimeError("no")


class Numberless:
    shape = ()

    def item(self) -> Any:
        raise TypeError("none")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (3, 3),
        (2**60, str(2**60)),
        (1.5, 1.5),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        ("text", "text"),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        (datetime.datetime(2026, 1, 2, 3, 4), "2026-01-02 03:04:00"),
        (datetime.time(3, 4), "03:04:00"),
        ((1, [2, {3}]), [1, [2, [3]]]),
        ({"a": {1: None}}, {"a": {"1": None}}),
        (numpy.float64(2.5), 2.5),
        (numpy.int8(4), 4),
        (numpy.bool_(True), True),
        (b"x", "b'x'"),
        (Rude(), "Rude: its repr() raised RuntimeError>"),
    ],
)
def test_plain(value: Any, expected: Any) -> None:
    found = plain(value)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert str(found).endswith(expected) if isinstance(value, Rude) else found == expected


def test_a_container_in_itself_ends() -> None:
    loop: list[Any] = []
    loop.append(loop)
    assert len(json.dumps(plain(loop))) < 1000


def test_a_scalar_that_has_no_number_is_its_repr() -> None:
    assert "Numberless object" in plain(Numberless())


def test_long_texts_are_cut_and_counted() -> None:
    assert cut("abc", 3) == "abc"
    assert cut("x" * 1500, 500) == "x" * 500 + "… (1,000 more characters)"
    assert len(plain("x" * 10**6)) < 11_000
    assert len(plain({"x" * 10**6: 1})) == 1


def test_summaries_are_bounded() -> None:
    for value in (
        list(range(10**6)),
        [[[[0] * 100] * 100] * 100] * 100,
        "x" * 10**6,
        dict.fromkeys(range(10**4), "y" * 100),
        numpy.zeros(10**6),
    ):
        assert len(summary(value)) < 8000


def test_type_name() -> None:
    assert type_name(3) == "int"
    assert type_name(numpy.zeros(1)) == "numpy.ndarray"
