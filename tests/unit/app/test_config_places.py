"""Where in its text a config is wrong."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from metaflow.app.config_places import place_in_json, place_of_error

TEXT = '{\n  "a, \\"b\\"": [1, {"x": "}"}],\n  "c": {"d": {}, "e": [[], [7]]}\n}'


@pytest.mark.parametrize(
    ("path", "begins"),
    [
        ((), TEXT),
        (('a, "b"', 0), "1, {"),
        (('a, "b"', 1, "x"), '"}"}]'),
        (("c", "e", 1, 0), "7]"),
        (("c", "missing"), '{"d"'),
        (("missing",), TEXT),
        (('a, "b"', 7), "[1, {"),
    ],
)
def test_places_of_keys(path: tuple[Any, ...], begins: str) -> None:
    line, column = place_in_json(TEXT, path) or (0, 0)
    assert "\n".join([TEXT.splitlines()[line - 1][column - 1 :], *TEXT.splitlines()[line:]]).startswith(begins)


@pytest.mark.parametrize("text", ["", "a: 1", '{"a"', "[1, 2", "{'a': 1}"])
def test_other_texts_have_none(text: str) -> None:
    assert place_in_json(text, ("a", "b")) is None


@pytest.mark.parametrize(
    ("parse", "text", "place"),
    [
        (json.loads, '{"a":\n x}', (2, 2)),
        (tomllib.loads, "a = 1\nb = ]", (2, 5)),
        (yaml.safe_load, "a: 1\nb: c: d", (2, 5)),
        (lambda text: compile(text, "", "eval"), "1 +\n", (1, 4)),
        (int, "x", None),
    ],
)
def test_places_of_parsers_errors(parse: Callable[[str], Any], text: str, place: tuple[int, int] | None) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011
        parse(text)
    assert place_of_error(caught.value) == place
