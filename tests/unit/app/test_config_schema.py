"""Classes as schemas of configs; what does not fit is in `test_configs`."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Optional

import pytest

from metaflow.app.config_schema import SchemaMismatch, conform, is_schema


@dataclasses.dataclass
class Inner:
    x: int = 1


@dataclasses.dataclass
class Outer:
    number: float
    anything: Any = None
    inner: Inner = dataclasses.field(default_factory=Inner)
    pair: tuple[int, ...] = ()
    noted: Annotated[int, "seconds"] = 0
    maybe: Optional[Inner] = None  # noqa: UP045 - as users write it
    free: dict = dataclasses.field(default_factory=dict)  # type: ignore[type-arg]
    computed: int = dataclasses.field(default=7, init=False)


def test_every_type_that_is_known() -> None:
    given = {"number": 2, "anything": [1], "inner": {"x": 3}, "pair": [1, 2], "maybe": {}, "free": {"k": "v"}}
    value = conform(given, Outer)
    assert value == {**given, "maybe": {"x": 1}, "noted": 0, "computed": 7}
    assert type(value["number"]) is float


def test_the_path_leads_to_the_fault() -> None:
    with pytest.raises(SchemaMismatch, match="'a' is not an integer") as caught:
        conform({"number": 1, "maybe": {"x": "a"}}, Outer)
    assert caught.value.path == ("maybe", "x")


def test_what_is_a_schema() -> None:
    assert is_schema(Outer)
    assert not is_schema(Outer(1))
    assert not is_schema(dict)
    assert not is_schema(3)
