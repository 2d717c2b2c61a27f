"""The rules of tags."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaflow.exception import MetaflowTaggingError
from metaflow.metadata_provider.tags import MAX_COUNT, MAX_LENGTH, changed, check_first_tags, check_tags

TAGS = st.lists(st.text("abcdef", min_size=1, max_size=2), max_size=12)


@pytest.mark.parametrize("tag", ["a", "a,b", " padded ", "é☃", "k:v", "l" * MAX_LENGTH])
def test_tags_that_are_allowed(tag: str) -> None:
    assert check_tags([tag]) == [tag]


@pytest.mark.parametrize("tag", ["", "l" * (MAX_LENGTH + 1), "\udc80", 3, None, b"bytes"])
def test_tags_that_are_refused(tag: object) -> None:
    with pytest.raises(MetaflowTaggingError):
        check_tags([tag])


def test_a_run_begins_with_no_more_tags_than_it_may_have() -> None:
    most = [f"t{number}" for number in range(MAX_COUNT)]
    assert check_first_tags([*most, *most]) == most
    with pytest.raises(MetaflowTaggingError, match="would have 51 tags; at most 50"):
        check_first_tags([*most, "another"])


@given(TAGS, TAGS, TAGS, TAGS)
def test_removals_come_first(user: list[str], system: list[str], add: list[str], remove: list[str]) -> None:
    remove = [tag for tag in remove if tag not in system]
    if not add and not remove:
        return
    user = check_tags(user)
    expected = (set(user) - set(remove)) | (set(add) - set(system))
    result = changed(user, system, add=add, remove=remove)
    assert set(result) == expected
    assert len(result) == len(expected)


def test_a_system_tag_cannot_be_removed() -> None:
    with pytest.raises(MetaflowTaggingError, match="'user:ann' is a system tag"):
        changed(["a"], ["user:ann"], add=[], remove=["user:ann"])


def test_nothing_asked_for_is_an_error() -> None:
    with pytest.raises(MetaflowTaggingError):
        changed(["a"], [], add=[], remove=[])


def test_the_count_is_limited_where_it_grows() -> None:
    many = [f"t{number}" for number in range(MAX_COUNT)]
    with pytest.raises(MetaflowTaggingError, match="at most 50"):
        changed(many, [], add=["one more"], remove=[])
    assert len(changed(many, [], add=["one more"], remove=["t0"])) == MAX_COUNT
    beyond = [*many, "a", "b", "c"]
    assert len(changed(beyond, [], add=["x"], remove=["a", "b"])) == MAX_COUNT + 2
