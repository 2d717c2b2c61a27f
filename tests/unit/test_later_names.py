"""Names that are to come say so when they are imported."""

from __future__ import annotations

import pytest

import metaflow


@pytest.mark.parametrize("name", sorted(metaflow._LATER))
def test_a_name_that_is_to_come_says_so(name: str) -> None:
    with pytest.raises(ImportError, match=f"'{name}' is not available in this version"):
        getattr(metaflow, name)


def test_no_name_is_both_here_and_to_come() -> None:
    assert not metaflow._LATER & set(metaflow.__all__)
