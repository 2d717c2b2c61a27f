"""What users' `add_to_package` may yield."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from metaflow.flow.package_content import Addition, ContentType, addition_of

USER = ContentType.USER_CONTENT


@pytest.mark.parametrize(
    ("given", "addition"),
    [
        (("a.txt", "b/a.txt"), Addition("a.txt", "b/a.txt", ContentType.CODE_CONTENT)),
        ((Path("/x/a.txt"), Path("a.txt"), USER), Addition("/x/a.txt", "a.txt", USER)),
        (("a.txt", "./b//a.txt", USER), Addition("a.txt", "b/a.txt", USER)),
        ((json, None, ContentType.MODULE_CONTENT), Addition(json, "", ContentType.MODULE_CONTENT)),
        (Addition("a", "b", USER, (".py",)), Addition("a", "b", USER, (".py",))),
    ],
)
def test_what_can_be_added(given: Any, addition: Addition) -> None:
    assert addition_of(given) == addition


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("a.txt", "it yields 'a.txt'"),
        (("a.txt",), "it yields"),
        (("a.txt", "a", USER, 4), "it yields"),
        (("a.txt", "a", "USER_CONTENT"), "it yields"),
        ((3, "a"), "it yields"),
        (("json", None, ContentType.MODULE_CONTENT), "yield the module itself"),
        (("a.txt", None), "None is not a name in the package"),
        (("a.txt", ""), "is not a name in the package"),
        (("a.txt", "."), "is not a name in the package"),
        (("a.txt", "/a"), "is not a name in the package"),
        (("a.txt", "a/../../b"), "is not a name in the package"),
    ],
)
def test_what_cannot_be_added(given: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        addition_of(given)
