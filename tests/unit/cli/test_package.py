from __future__ import annotations

import pytest

from metaflow.cli import package


@pytest.mark.parametrize(("size", "text"), [(0, "0 bytes"), (9_999, "9999 bytes"), (1_500_000, "1.50 MB")])
def test_sizes(size: int, text: str) -> None:
    assert package._size(size) == text
