from __future__ import annotations

import collections
import datetime
import pickle
import time
from typing import Any

import numpy as np
import pytest

from metaflow.serve.reading.showing import Shown, show
from metaflow.store.inert import Text, Unreadable, read
from unit.store.test_inert import HOSTILE


def shown(value: Any, protocol: int = 5) -> Shown:
    found, is_whole = read(Text(pickle.dumps(value, protocol)))
    return show(found, is_whole=is_whole)


class Point:
    def __init__(self) -> None:
        self.x = 1


@pytest.mark.parametrize("protocol", [3, 4, 5])
@pytest.mark.parametrize(
    ("value", "summary"),
    [
        (None, "None"),
        ("it's\n", '"it\'s\\n"'),
        ([1, (2,), {"a": None}], "[1, (2,), {'a': None}]"),
        (Point(), f"{__name__}.Point('x': 1)"),
        (collections.OrderedDict(a=1), "collections.OrderedDict('a': 1)"),
        (datetime.timedelta(1, 2), "1 day, 0:00:02"),
        (10**4000, "<integer of 13,288 bits>"),
        (np.zeros((100, 3)), "float64 array of shape (100, 3)"),
        (np.asfortranarray(np.ones((4, 5), "f4")), "float32 array of shape (4, 5)"),
        (np.arange(10)[::2], "int64 array of shape (5,)"),
        ([np.float64(1.5), np.int32(-7), np.bool_(True)], "[<float64 1.5>, <int32 -7>, <bool True>]"),
    ],
)
def test_a_value_in_one_line(value: Any, summary: str, protocol: int) -> None:
    assert shown(value, protocol).summary == summary


def test_dates() -> None:
    moment = datetime.datetime(2026, 12, 1, 3, 4, 5)
    assert shown(moment).summary == "2026-12-01 03:04:05"
    assert shown(moment.replace(tzinfo=datetime.UTC)).summary == "2026-12-01 03:04:05 (with a time zone)"


def test_a_longer_value_has_lines() -> None:
    assert shown({"a": [1, 2], "b": {}}).text == "{\n    'a': [1, 2],\n    'b': {}\n}"
    assert shown("one\ntwo") == Shown("'one\\ntwo'", "one\ntwo", False)
    assert shown("one").text is None


def test_what_is_left_out_is_said() -> None:
    long = shown(list(range(100_000)))
    assert long.is_cut
    assert "… (" in str(long.text)
    assert len(long.summary) < 200
    assert len(str(shown("é" * 500_000).text)) <= 1 << 16


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_values_are_short(name: str) -> None:
    begin = time.process_time()
    try:
        found, is_whole = read(Text(HOSTILE[name]))
    except Unreadable:
        return
    text = show(found, is_whole=is_whole)
    assert len(text.summary) < 400
    assert len(text.text or "") < 70_000
    assert time.process_time() - begin < 2


LIE = b"\x80\x05cnumpy._core.numeric\n_frombuffer\n(N]N)N\x87tR."


def test_what_only_looks_like_an_array_is_shown_as_it_is() -> None:
    found, _ = read(Text(LIE.replace(b"N\x87", b"")))
    assert show(found, is_whole=True).summary.startswith("numpy._core.numeric._frombuffer(")
