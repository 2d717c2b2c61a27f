"""Names that users import from `metaflow.tagging_util`; the rules are in `metaflow.metadata_provider.tags`."""

from __future__ import annotations

from collections.abc import Iterable

from metaflow.metadata_provider.tags import MAX_COUNT, MAX_LENGTH, check_tags

MAX_TAG_SIZE = MAX_LENGTH
MAX_USER_TAG_SET_SIZE = MAX_COUNT


def validate_tags(tags: Iterable[str], existing_tags: Iterable[str] | None = None) -> None:
    """Raise `metaflow.exception.MetaflowTaggingError` if one of `tags` cannot be a tag."""
    check_tags(tags)


def validate_tag(tag: str) -> None:
    """Raise `metaflow.exception.MetaflowTaggingError` if this cannot be a tag."""
    check_tags([tag])
