from __future__ import annotations

import pytest

from metaflow.cards.units import duration, size


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0.0 s"), (59.9, "59.9 s"), (61, "1 min 1 s"), (3 * 3600 + 90, "3 h 1 min"), (50 * 3600, "2 d 2 h")],
)
def test_a_duration_has_two_units_at_most(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_a_size_has_the_unit_that_suits_it() -> None:
    assert [size(each) for each in (0, 999, 1000, 2_500_000, 3 * 10**9)] == [
        "0\u00a0B",
        "999\u00a0B",
        "1.0\u00a0kB",
        "2.5\u00a0MB",
        "3.0\u00a0GB",
    ]
