"""What ``--with`` and ``--without`` say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaflow.exception import CommandException
from metaflow.flow.with_option import join_with, parse_with, parse_without


@pytest.mark.parametrize(
    ("spec", "attributes"),
    [
        ("d", {}),
        ("d:", {}),
        ("d:a=1", {"a": 1}),
        ("d:a=1,b=2.5,c=true,d=null", {"a": 1, "b": 2.5, "c": True, "d": None}),
        ("d:a=text", {"a": "text"}),
        ("d:a=True", {"a": "True"}),
        ("d:a=4G,b=1", {"a": "4G", "b": 1}),
        ("d:a=", {"a": ""}),
        ("d: a = 1 , b = x ", {"a": 1, "b": "x"}),
        ("d:a=1,,b=2,", {"a": 1, "b": 2}),
        ("d:a=x=y", {"a": "x=y"}),
        ("d:a=s3://bucket/key", {"a": "s3://bucket/key"}),
        ("d:a=image:latest", {"a": "image:latest"}),
        ('d:sources=["a","b"],b=1', {"sources": ["a", "b"], "b": 1}),
        ('d:a={"x": {"y": [1, 2]}, "z": "1,2"},b=1', {"a": {"x": {"y": [1, 2]}, "z": "1,2"}, "b": 1}),
        ('d:a="x,y",b=1', {"a": "x,y", "b": 1}),
        (r'd:a="x\",y",b=1', {"a": 'x",y', "b": 1}),
        (r'd:a="x\\",b=1', {"a": "x\\", "b": 1}),
        ('d:a="[",b=1', {"a": "[", "b": 1}),
        ('d:a="5"', {"a": "5"}),
        ("d:a=f(1,2),b=1", {"a": "f(1,2)", "b": 1}),
        ("d:a=x),b=1", {"a": "x)", "b": 1}),
        ("d:a=1,a=1", {"a": 1}),
    ],
)
def test_specs(spec: str, attributes: dict[str, Any]) -> None:
    assert parse_with(spec) == ("d", attributes)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("", "names no decorator"),
        (":a=1", "names no decorator"),
        ("d:a", "'a'"),
        ("d:a=1,b", "'b'"),
        ("d:=1", "'=1'"),
        ("d:a=1,a=2", "two values"),
    ],
)
def test_malformed_specs(spec: str, words: str) -> None:
    with pytest.raises(CommandException) as caught:
        parse_with(spec)
    assert words in caught.value.message
    assert f"--with '{spec}'" in caught.value.message
    assert caught.value.hint


def test_several_of_one_decorator_are_one() -> None:
    given = ["d:a=1", "e", "d", "d:b=[1,2]", "e:c=x"]
    assert join_with(given) == ("d:a=1,b=[1,2]", "e:c=x")
    assert join_with(join_with(given)) == join_with(given)
    assert join_with(["", ":a=1", "d", "d"]) == (":a=1", "d"), "what is malformed stays so"


STRINGS = st.text() | st.text("\"'\\,=:[]{}() a1")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | STRINGS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(["depth", "tip"]), VALUES))
def test_values_written_as_json_come_back(attributes: dict[str, Any]) -> None:
    spec = "probe:" + ",".join(f"{name}={json.dumps(value)}" for name, value in attributes.items())
    name, again = parse_with(spec)
    assert name == "probe"
    assert json.dumps(again, sort_keys=True) == json.dumps(attributes, sort_keys=True)


def test_names_of_without() -> None:
    assert parse_without(["@resources", "retry, kubernetes"]) == ["resources", "retry", "kubernetes"]
