"""Values that are not known while the class is read: what stands for them, and what takes their place."""

from __future__ import annotations

from typing import Any

import pytest

from metaflow import Config, ConfigValue, config_expr
from metaflow.exception import InvalidFlow
from metaflow.flow.config_expression import Configs, evaluate, has_expression

PLACE = ("flow.py", 12)
FACTOR = 3


class Holder:
    config = Config("con-fig")
    other = Config("other")


VALUES = {
    "size": 4,
    "name": "key, not Config.name",
    "nested": {"list": [1, {"x": "deep"}]},
    "which": "size",
    "none": None,
}
CONFIGS = Configs({"config": ConfigValue(VALUES), "other": None}, {"con-fig": "config", "other": "other"})


def value(expression: Any) -> Any:
    return evaluate(expression, CONFIGS, PLACE)


def test_keys_items_and_whole_configs() -> None:
    config: Any = Holder.config
    assert value(config.size) == 4
    assert value(config["size"]) == 4
    assert value(config.name) == "key, not Config.name", "every attribute of a config is a key"
    assert value(config.nested.list[1].x) == "deep"
    assert value(config[config.which]) == 4
    assert value(config) == VALUES
    assert type(value(config)) is dict, "what decorators get is plain"
    assert type(value(config.nested)["list"][1]) is dict


def test_expressions_in_text_see_configs_and_the_module() -> None:
    assert value(config_expr("config.size * FACTOR")) == 12
    assert value(config_expr("max([x for x in (config.size, 9)])")) == 9
    assert value(config_expr("config.nested").list[0]) == 1


def test_the_name_of_a_config_works_as_its_attribute_does() -> None:
    configs = Configs({"attribute": ConfigValue({"x": 1})}, {"name": "attribute"})
    assert evaluate(config_expr("name.x + attribute.x"), configs, PLACE) == 2


def test_they_are_found_in_containers() -> None:
    config: Any = Holder.config
    given = {"vars": {"A": config.size, config.which: "b"}, "list": [1, (config.size,)], "plain": "p"}
    assert has_expression(given)
    assert value(given) == {"vars": {"A": 4, "size": "b"}, "list": [1, (4,)], "plain": "p"}
    assert not has_expression({"a": [1, {"b": (2,)}]})


BAD: dict[str, tuple[Any, str, str | None]] = {
    "no such key": (Holder.config.sizes, "config has no key 'sizes'", "did you mean 'size'?"),
    "no such deep key": (Holder.config.nested.other, "config.nested has no key 'other'", "its keys: list"),
    "no such element": (Holder.config.nested.list[7], "config.nested.list has no element 7: it has 2", None),
    "key of None": (Holder.config.none.x, "config.none is None", None),
    "config of None": (Holder.other.x, "other is None", None),
    "key of a number": (Holder.config.size.x, "cannot be computed: AttributeError", None),
    "no such name": (config_expr("confg.size"), "name 'confg' is not defined", "the flow's configs: con-fig, other"),
    "no Python": (config_expr("config.size +"), "SyntaxError", None),
    "error": (config_expr("config.size / 0"), "ZeroDivisionError", None),
}


@pytest.mark.parametrize("name", BAD)
def test_one_without_value_is_one_error_at_the_user_s_line(name: str) -> None:
    expression, message, hint = BAD[name]
    with pytest.raises(InvalidFlow) as caught:
        value(expression)
    assert message in caught.value.message
    assert caught.value.where == "flow.py:12"
    assert caught.value.hint == hint


def test_computing_with_one_too_early_is_refused_and_not_wrong() -> None:
    config: Any = Holder.config
    for early in (
        lambda: f"image-{config.size}",
        lambda: "image-" + config.size,
        lambda: str(config.size),
        lambda: config.size * 2,
        lambda: bool(config.flag),
        lambda: list(config.nested.list),
        lambda: config.size < 3,
        lambda: 3 in config.nested.list,
    ):
        with pytest.raises(TypeError, match="config_expr"):
            early()
    assert repr(config.size) == "<config.size, not read yet>"
