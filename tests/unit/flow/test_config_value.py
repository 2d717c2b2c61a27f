"""`ConfigValue`: a dictionary with dots that nobody can change, in a form that the original reads."""

from __future__ import annotations

import copy
import json
import pickle
import pickletools
from collections.abc import Callable
from typing import Any

import pytest

from metaflow import ConfigValue

DATA = {"a": 1, "odd key": 2, "nested": {"deep": [1, {"x": [{"y": 3}]}]}, "items": 4, 5: "five"}


@pytest.fixture
def config() -> ConfigValue:
    return ConfigValue(DATA)


def test_keys_are_attributes_however_deep(config: ConfigValue) -> None:
    assert (config.a, config["odd key"], config[5]) == (1, 2, "five")
    assert config.nested.deep[1].x[0].y == 3
    assert config["items"] == 4
    assert callable(config.items), "a method goes before a key"
    assert {"a", "nested"} <= set(dir(config))
    assert "odd key" not in dir(config)


def test_it_is_a_dictionary(config: ConfigValue) -> None:
    assert isinstance(config, dict)
    assert config == DATA
    assert {**config}["nested"] == DATA["nested"]
    assert json.loads(json.dumps(ConfigValue({"a": {"b": [1]}}))) == {"a": {"b": [1]}}
    assert config.get("none", 7) == 7
    assert repr(config) == repr(DATA)
    assert type(config | {"z": 1}) is dict


def test_what_is_not_there(config: ConfigValue) -> None:
    with pytest.raises(AttributeError, match="missing"):
        config.missing
    with pytest.raises(KeyError, match="missing"):
        config["missing"]
    assert not hasattr(config.nested, "__array__")


CHANGES: dict[str, Callable[[Any], object]] = {
    "attribute": lambda config: setattr(config, "a", 2),
    "item": lambda config: config.__setitem__("a", 2),
    "deleted attribute": lambda config: delattr(config, "a"),
    "deleted item": lambda config: config.__delitem__("a"),
    "update": lambda config: config.update(a=2),
    "|=": lambda config: config.__ior__({"a": 2}),
    "pop": lambda config: config.pop("a"),
    "popitem": lambda config: config.popitem(),
    "setdefault": lambda config: config.setdefault("z", 1),
    "clear": lambda config: config.clear(),
    "nested": lambda config: config.nested.deep[1].update(x=2),
}


@pytest.mark.parametrize("change", CHANGES)
def test_nothing_changes_it(config: ConfigValue, change: str) -> None:
    with pytest.raises(TypeError, match="cannot be changed"):
        CHANGES[change](config)
    assert config == DATA


def test_to_dict_is_plain_and_new(config: ConfigValue) -> None:
    plain = config.to_dict()
    assert plain == DATA
    assert {type(plain), type(plain["nested"]), type(plain["nested"]["deep"][1])} == {dict}
    plain["nested"]["deep"].append(9)
    assert config.nested.deep == DATA["nested"]["deep"]  # type: ignore[index]


def test_its_pickle_is_what_the_original_writes() -> None:
    config = ConfigValue({"b": [1, {"x": 3}]})
    written = pickle.dumps(config, 4)
    words = [(op.name, arg) for op, arg, _ in pickletools.genops(written) if op.name not in ("MEMOIZE", "FRAME")]
    assert words[1:4] == [
        ("SHORT_BINUNICODE", "metaflow.user_configs.config_parameters"),
        ("SHORT_BINUNICODE", "ConfigValue"),
        ("STACK_GLOBAL", None),
    ]
    assert [name for name, _ in words[-3:]] == ["TUPLE1", "REDUCE", "STOP"]
    again = pickle.loads(written)
    assert again == config
    assert again.b[1].x == 3


def test_copies(config: ConfigValue) -> None:
    assert config.copy() is config
    assert copy.copy(config) is config
    deep = copy.deepcopy(config)
    assert deep == config
    assert type(deep.nested) is ConfigValue
