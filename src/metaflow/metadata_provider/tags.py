"""The rules of tags: what a tag may be, and what becomes of a run's tags when some are removed and some added.

Pure: no provider, no clock. The limits are those of Metaflow 2.19, whose metadata service refuses what goes beyond.
"""

from __future__ import annotations

from collections.abc import Iterable

from metaflow.exception import MetaflowTaggingError

MAX_LENGTH = 500
"""Characters in a tag."""

MAX_COUNT = 50
"""User tags of a run; a change that adds to more is refused."""


def check_tags(tags: Iterable[object]) -> list[str]:
    """Return `tags` as a list without repetitions, in order.

    Raises
    ------
    MetaflowTaggingError
        One of them is not a text, is empty, too long, or cannot be encoded in UTF-8.
    """
    checked: dict[str, None] = {}
    for tag in tags:
        if not isinstance(tag, str):
            raise MetaflowTaggingError(f"A tag must be a text, not the {type(tag).__name__} {tag!r}.")
        if not tag:
            raise MetaflowTaggingError("A tag must not be empty.")
        if len(tag) > MAX_LENGTH:
            raise MetaflowTaggingError(
                f"The tag '{tag[:20]}…' has {len(tag)} characters; at most {MAX_LENGTH} are allowed."
            )
        try:
            tag.encode()
        except UnicodeEncodeError as error:
            raise MetaflowTaggingError(f"The tag {tag!r} cannot be encoded in UTF-8: {error.reason}.") from None
        checked[tag] = None
    return list(checked)


def check_first_tags(tags: Iterable[object]) -> list[str]:
    """Return the tags that a run begins with, without repetitions, in order.

    Raises
    ------
    MetaflowTaggingError
        One of them cannot be a tag, or there are too many.
    """
    checked = check_tags(tags)
    if len(checked) > MAX_COUNT:
        raise MetaflowTaggingError(
            f"The run would have {len(checked)} tags; at most {MAX_COUNT} are allowed.",
            hint="leave some out; what belongs to many runs can be part of a tag: team:research",
        )
    return checked


def changed(user: Iterable[str], system: Iterable[str], *, add: Iterable[str], remove: Iterable[str]) -> list[str]:
    """Return the user tags of a run after `remove`, then `add`.

    Parameters
    ----------
    user, system : iterable of str
        The tags that the run has.
    add : iterable of str
        Tags to add; those that the run has already, of either kind, are left as they are.
    remove : iterable of str
        Tags to remove; those that the run does not have are passed over.

    Raises
    ------
    MetaflowTaggingError
        A tag to remove is a system tag, a tag to add is not valid, nothing is asked for, or there would be too many.
    """
    given, fixed, gone = list(user), set(system), list(remove)
    new = check_tags(add)
    if not new and not gone:
        raise MetaflowTaggingError("No tag to add or to remove was given.")
    for tag in gone:
        if tag in fixed:
            raise MetaflowTaggingError(f"'{tag}' is a system tag of the run and cannot be removed.")
    left = [tag for tag in given if tag not in gone]
    result = left + [tag for tag in new if tag not in fixed and tag not in left]
    if len(result) > MAX_COUNT and len(result) > len(given):
        raise MetaflowTaggingError(
            f"The run would have {len(result)} tags; at most {MAX_COUNT} are allowed.",
            hint="remove some in the same call: replace_tags, or `tag replace --remove … --add …`",
        )
    return result
