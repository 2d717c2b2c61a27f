"""The flows that `@trigger_on_finish` waits for, in each notation, and the runs that ``--trigger`` names."""

from __future__ import annotations

from typing import Any

import pytest

from metaflow.decorators.trigger_on_finish import TriggerOnFinishDecorator, Upstream
from metaflow.exception import CommandException, InvalidDecoratorAttribute
from metaflow.flow.flow_decorator import RunContext


def later(context: object) -> str:
    return "later"


@pytest.mark.parametrize(
    ("attributes", "flows"),
    [
        ({"flow": "A"}, (Upstream("A"),)),
        ({"flow": "shop.prod.A"}, (Upstream("A", "shop", "prod"),)),
        ({"flow": "shop.user.ann.A"}, (Upstream("A", "shop", "user.ann"),)),
        ({"flow": {"name": "A"}}, (Upstream("A"),)),
        ({"flow": {"name": "A", "project_branch": "prod"}}, (Upstream("A", None, "prod"),)),
        ({"flow": {"name": "A", "project": "shop", "project_branch": "prod"}}, (Upstream("A", "shop", "prod"),)),
        ({"flows": ["A", {"name": "B"}, later]}, (Upstream("A"), Upstream("B"), later)),
    ],
)
def test_flows(attributes: dict[str, Any], flows: tuple[Any, ...]) -> None:
    assert TriggerOnFinishDecorator({**attributes, "options": {"o": 1}}).trigger == (flows, {"o": 1})


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({}, "names no flow"),
        ({"flow": ""}, "names no flow"),
        ({"flows": []}, "names no flow"),
        ({"flow": "A", "flows": ["B"]}, "has both flow= and flows="),
        ({"flows": "A"}, "expected a list"),
        ({"flow": 3}, "3 is not a flow"),
        ({"flows": ["A", 3]}, "3 is not a flow"),
        ({"flow": "A b"}, "'A b' is not a valid flow name"),
        ({"flow": "shop.A"}, "'shop.A' has a project without a branch"),
        ({"flow": ".prod.A"}, "without a branch"),
        ({"flow": "shop.prod."}, "'' is not a valid flow name"),
        ({"flow": {"project": "shop"}}, "None is not a valid flow name"),
        ({"flow": {"name": "A", "branch": "b"}}, "has the key 'branch'"),
        ({"flow": {"name": "A", "project": 3}}, "project is 3, not a string"),
        ({"flow": "A", "options": 3}, "expected a dictionary"),
    ],
)
def test_what_cannot_be(attributes: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidDecoratorAttribute, match=said):
        TriggerOnFinishDecorator(attributes)


@pytest.mark.parametrize(
    ("pathspec", "said"),
    [
        ("A", "expected a flow and the id of a run"),
        ("A/", "expected a flow and the id of a run"),
        ("/1", "expected a flow and the id of a run"),
        ("A/1/start", "expected a flow and the id of a run"),
        ("A/2", "--trigger A/2: there is no such run"),
    ],
)
def test_runs_that_cannot_have_triggered_it(pathspec: str, said: str) -> None:
    run = RunContext("MyFlow", "ann", {"trigger": ("A/1", pathspec)})
    with pytest.raises(CommandException, match=said):
        TriggerOnFinishDecorator({"flow": "A"}).check_run(run, lambda flow, run: (flow, run) == ("A", "1"))
