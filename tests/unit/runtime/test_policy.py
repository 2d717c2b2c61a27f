"""What decorators ask for, added up for one step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import pytest

from metaflow.compute.resources import LOCAL, ResourceRequest
from metaflow.decorators.catch import CatchDecorator
from metaflow.decorators.environment import EnvironmentDecorator
from metaflow.decorators.resources import ResourcesDecorator
from metaflow.decorators.retry import RetryDecorator
from metaflow.decorators.timeout import GRACE_SECONDS, TimeoutDecorator
from metaflow.exception import InvalidDecoratorAttribute
from metaflow.flow.decorator import Attempts, StepDecorator
from metaflow.flow.plan import StepPlan
from metaflow.runtime.events import Retries
from metaflow.runtime.policy import StepPolicy, check_attempts, policy_of

REMOTE = ResourceRequest(backend="elsewhere")


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


def work(*decorators: StepDecorator) -> StepPlan:
    return StepPlan("work", print, decorators)


def policy(decorators: Sequence[StepDecorator], resources: ResourceRequest = LOCAL, **values: int) -> StepPolicy:
    return policy_of(work(*decorators), resources, **values)


def test_nothing_asked() -> None:
    assert policy([]) == StepPolicy(Retries(), None, {})
    assert policy([ResourcesDecorator({"cpu": 2})]) == policy([])


def test_retry_waits_elsewhere_and_not_here() -> None:
    decorators = [RetryDecorator({"times": 2})]
    assert policy(decorators).retries == Retries(2)
    assert policy(decorators, REMOTE).retries == Retries(2, delay=120.0)


def test_with_a_backoff_it_waits_here_too() -> None:
    decorators = [RetryDecorator({"times": 4, "minutes_between_retries": 1, "backoff": 3, "max_minutes": 10})]
    retries = policy(decorators).retries
    assert [retries.delay_before(attempt) for attempt in (1, 2, 3, 4)] == [60, 180, 540, 600]
    assert policy([RetryDecorator({"backoff": 1})]).retries.delay_before(9) == 120


def test_a_delay_beyond_all_numbers_is_the_longest() -> None:
    assert Retries(3, delay=1.0, backoff=1e300, longest_delay=60.0).delay_before(9) == 60


def test_catch_alone_has_one_attempt_more_without_the_code() -> None:
    assert policy([CatchDecorator({})]).retries == Retries(0, fallbacks=1)


def test_retry_and_catch_in_either_order() -> None:
    pair: list[StepDecorator] = [RetryDecorator({"times": 3, "only": ["memory"]}), CatchDecorator({})]
    for decorators in (pair, pair[::-1]):
        assert policy(decorators).retries == Retries(3, fallbacks=1, only=frozenset({"memory"}))


def test_fallbacks_do_not_add_up() -> None:
    """Whoever needs an attempt without the code is content with the same one."""
    one = AskingDecorator({"attempts": Attempts(retries=1, fallbacks=1)})
    other = AskingDecorator({"attempts": Attempts(retries=2, fallbacks=2, delay=5.0)})
    assert policy([one, other], REMOTE).retries == Retries(3, 2, 5.0)


def test_attempts_of_a_machine_that_was_taken_away_are_for_remote_tasks() -> None:
    assert policy([], REMOTE, preemption_retries=4).retries == Retries(preemptions=4)
    assert policy([], preemption_retries=4).retries == Retries()


def test_more_attempts_than_the_setting_allows() -> None:
    check_attempts(work(RetryDecorator({"times": 9}), CatchDecorator({})), 10)
    with pytest.raises(
        InvalidDecoratorAttribute, match=r"asks for 11 attempts of the step 'work'.* allows 10"
    ) as caught:
        check_attempts(work(RetryDecorator({"times": 10})), 10)
    assert "METAFLOW_MAX_ATTEMPTS=11" in str(caught.value.hint)


def test_the_shortest_limit_holds() -> None:
    decorators = [AskingDecorator({"limit": 9.0}), AskingDecorator({}), AskingDecorator({"limit": 4.0})]
    assert policy(decorators).time_limit == 4.0
    assert policy([TimeoutDecorator({"seconds": 1})]).time_limit == 1 + GRACE_SECONDS


def test_environments_are_joined() -> None:
    decorators = [
        EnvironmentDecorator({"vars": {"A": "1", "B": 2}}),
        AskingDecorator({"environment": {"B": "3", "C": ""}}),
    ]
    assert policy(decorators).environment == {"A": "1", "B": "3", "C": ""}
