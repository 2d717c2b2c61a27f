"""Declarations of configs: which there are, and what is wrong with them."""

from __future__ import annotations

from typing import Any

import pytest

from metaflow import Config, ConfigValue, FlowSpec, Parameter
from metaflow.exception import CannotAssign, InvalidFlow
from metaflow.flow.config import check_configs, configs_of
from metaflow.flow.config_expression import Configs
from metaflow.flow.parameters import parameters_of


class Base(FlowSpec):
    first = Config("first")
    second = Config("second", default="base.json")
    third = Config("third")


class Derived(Base):
    second = Config("second", default="derived.json")
    third = "no config any more"
    fourth = Config("fo-urth")


def test_configs_of_base_classes_come_first_and_can_be_replaced() -> None:
    found = configs_of(Derived)
    assert list(found) == ["first", "second", "fourth"]
    assert found["second"].default == "derived.json"
    assert found["fourth"].name == "fo-urth"
    assert configs_of(Base)["second"].default == "base.json"
    assert found["first"].source_file == __file__


def test_a_config_cannot_be_assigned() -> None:
    flow = object.__new__(Derived)
    with pytest.raises(CannotAssign, match=r"self\.first is a config"):
        flow.first = 3
    with pytest.raises(CannotAssign):
        del flow.first


def test_parameters_get_the_values_of_configs_and_their_types() -> None:
    class Flow(FlowSpec):
        config: Any = Config("config")
        size = Parameter("size", default=config.size, help=config.about)
        plain = Parameter("plain", default=1)

    configs = Configs({"config": ConfigValue({"size": 3, "about": "How many."})}, {"config": "config"})
    size, plain = (each.with_configs(configs) for each in parameters_of(Flow).values())
    assert (size.default, size.help, size.resolve("4")) == (3, "How many.", 4)
    assert (size.attribute, size.source_file) == ("size", __file__)
    assert plain is parameters_of(Flow)["plain"]


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "name": ({"name": "two words"}, "cannot be the name of a config"),
    "number as name": ({"name": 3}, "cannot be the name of a config"),
    "unknown argument": ({"name": "c", "defalt": 1}, "unknown argument 'defalt'"),
    "two defaults": ({"name": "c", "default": "a", "default_value": {}}, "both a default and a default_value"),
    "default": ({"name": "c", "default": {"a": 1}}, "not a path"),
    "default of another": ({"name": "c", "default": Base.first.path}, "cannot come from another config"),
    "parser": ({"name": "c", "parser": 3}, "not a function or its dotted name"),
    "parser without module": ({"name": "c", "parser": "loads"}, "names no module"),
    "schema of a plain one": ({"name": "c", "schema": dict, "plain": True}, "plain"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_declaration_is_one_error_at_its_line(name: str) -> None:
    arguments, message = BAD[name]
    config = Config(**arguments)
    with pytest.raises(InvalidFlow, match=message) as caught:
        check_configs({"c": config._declared._replace(attribute="c")})
    assert caught.value.source_file == __file__


def test_two_of_one_name() -> None:
    class Flow(FlowSpec):
        a = Config("same")
        b = Config("Same")

    with pytest.raises(InvalidFlow, match="the attributes 'a' and 'b'"):
        check_configs(configs_of(Flow))


def test_names_that_every_flow_has() -> None:
    with pytest.raises(InvalidFlow, match="'next' cannot be a config"):
        check_configs({"next": Config("c")._declared._replace(attribute="next")})
