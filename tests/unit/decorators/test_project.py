"""Where a run belongs, by what `@project` and the command line say."""

from __future__ import annotations

from typing import Any

import pytest

from metaflow.decorators.project import Project, ProjectDecorator
from metaflow.exception import CommandException, InvalidDecoratorAttribute
from metaflow.flow.flow_decorator import RunContext


def placed(options: dict[str, Any], **attributes: Any) -> Project:
    return ProjectDecorator({"name": "shop", **attributes}).project(RunContext("MyFlow", "ann", options))


@pytest.mark.parametrize(
    ("attributes", "options", "branch"),
    [
        ({}, {}, "user.ann"),
        ({}, {"branch": None, "production": False}, "user.ann"),
        ({}, {"branch": ""}, "user.ann"),
        ({}, {"branch": "x"}, "test.x"),
        ({}, {"production": True}, "prod"),
        ({}, {"production": True, "branch": "x"}, "prod.x"),
        ({"branch": "b"}, {}, "test.b"),
        ({"branch": ""}, {}, "user.ann"),
        ({"branch": "b", "production": True}, {}, "prod.b"),
        ({"branch": "b"}, {"production": True}, "prod.b"),
        ({"production": True}, {"branch": "x"}, "prod.x"),
        ({"production": True}, {"production": True}, "prod"),
        ({"production": False}, {}, "user.ann"),
    ],
)
def test_the_branch(attributes: dict[str, Any], options: dict[str, Any], branch: str) -> None:
    is_production = branch.startswith("prod")
    assert placed(options, **attributes) == Project("shop", branch, is_production, branch.startswith("user"))


@pytest.mark.parametrize(
    ("attributes", "options", "said"),
    [
        ({"branch": "b"}, {"branch": "b"}, "--branch b: "),
        ({"production": False}, {"production": True}, "--production: "),
        ({}, {"branch": "Not-good"}, "--branch Not-good: expected lowercase letters"),
        ({}, {"branch": "user.bob"}, "--branch user.bob"),
        ({}, {"branch": "x" * 129}, "at most 128"),
    ],
)
def test_options_that_cannot_be(attributes: dict[str, Any], options: dict[str, Any], said: str) -> None:
    with pytest.raises(CommandException, match=said) as raised:
        placed(options, **attributes)
    assert raised.value.hint


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"name": None}, "has no name"),
        ({"name": ""}, "has no name"),
        ({"name": "Shop"}, r"name='Shop'\): expected lowercase"),
        ({"name": "shop-1"}, "expected lowercase"),
        ({"name": "größe"}, "expected lowercase"),
        ({"name": "shop\n"}, "expected lowercase"),
        ({"name": 3}, "expected lowercase"),
        ({"name": "x" * 128}, "at most 127"),
        ({"branch": "test.x"}, r"branch='test.x'\): expected lowercase"),
        ({"branch": 3}, "expected lowercase"),
        ({"production": "yes"}, "expected True or False"),
        ({"brnch": "x"}, "no attribute 'brnch'"),
    ],
)
def test_attributes_that_cannot_be(attributes: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidDecoratorAttribute, match=said):
        ProjectDecorator({"name": "shop", **attributes})
