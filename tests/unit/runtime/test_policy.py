"""What decorators ask for, added up for one step."""

from __future__ import annotations

from typing import Any, ClassVar

from metaflow.decorators.catch import CatchDecorator
from metaflow.decorators.environment import EnvironmentDecorator
from metaflow.decorators.resources import ResourcesDecorator
from metaflow.decorators.retry import RetryDecorator
from metaflow.decorators.timeout import GRACE_SECONDS, TimeoutDecorator
from metaflow.flow.decorator import Attempts, StepDecorator
from metaflow.runtime.events import Retries
from metaflow.runtime.policy import StepPolicy, policy_of


class AskingDecorator(StepDecorator):
    """Asks for what it is told to."""

    name = "asking"
    defaults: ClassVar[dict[str, Any]] = {"attempts": Attempts(), "limit": None, "environment": {}}

    def attempts(self) -> Attempts:
        asked = self.attributes["attempts"]
        assert isinstance(asked, Attempts)
        return asked

    def time_limit(self) -> float | None:
        limit: float | None = self.attributes["limit"]
        return limit

    def environment(self) -> dict[str, str]:
        return dict(self.attributes["environment"])


def test_nothing_asked() -> None:
    assert policy_of([]) == StepPolicy(Retries(0, 0.0), 0, None, {})
    assert policy_of([ResourcesDecorator({"cpu": 2})]) == policy_of([])


def test_retry_alone_runs_the_code_in_every_attempt() -> None:
    policy = policy_of([RetryDecorator({"times": 2})])
    assert policy.retries == Retries(2, 0.0)
    assert policy.code_retries == 2


def test_catch_alone_has_one_attempt_more_without_the_code() -> None:
    policy = policy_of([CatchDecorator({})])
    assert policy.retries.times == 1
    assert policy.code_retries == 0


def test_retry_and_catch_in_either_order() -> None:
    pair: list[StepDecorator] = [RetryDecorator({"times": 3}), CatchDecorator({})]
    for decorators in (pair, pair[::-1]):
        policy = policy_of(decorators)
        assert policy.retries.times == 4
        assert policy.code_retries == 3


def test_fallbacks_do_not_add_up() -> None:
    """Whoever needs an attempt without the code is content with the same one."""
    one = AskingDecorator({"attempts": Attempts(retries=1, fallbacks=1)})
    other = AskingDecorator({"attempts": Attempts(retries=2, fallbacks=2, delay=5.0)})
    policy = policy_of([one, other])
    assert policy.code_retries == 3
    assert policy.retries == Retries(5, 5.0)


def test_the_shortest_limit_holds() -> None:
    decorators = [AskingDecorator({"limit": 9.0}), AskingDecorator({}), AskingDecorator({"limit": 4.0})]
    assert policy_of(decorators).time_limit == 4.0
    assert policy_of([TimeoutDecorator({"seconds": 1})]).time_limit == 1 + GRACE_SECONDS


def test_environments_are_joined() -> None:
    decorators = [
        EnvironmentDecorator({"vars": {"A": "1", "B": 2}}),
        AskingDecorator({"environment": {"B": "3", "C": ""}}),
    ]
    assert policy_of(decorators).environment == {"A": "1", "B": "3", "C": ""}
