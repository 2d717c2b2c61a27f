"""Attributes of the decorators around failures: what is accepted, and what is refused by one sentence."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaflow.decorators.catch import CatchDecorator
from metaflow.decorators.environment import EnvironmentDecorator
from metaflow.decorators.resources import ResourcesDecorator
from metaflow.decorators.retry import MOST_TIMES, RetryDecorator
from metaflow.decorators.timeout import GRACE_SECONDS, MOST_SECONDS, TimeoutDecorator
from metaflow.exception import InvalidDecoratorAttribute
from metaflow.flow.decorator import Attempts
from metaflow.settings.kinds import amount, shown

ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.lists(st.integers()),
    st.dictionaries(st.text(), st.text()), st.just(10**400), st.just(10**5000), st.just("9" * 5000),
)  # fmt: skip


@given(ANYTHING)
def test_an_amount_is_a_finite_number_or_nan(value: Any) -> None:
    assert not math.isinf(amount(value))
    assert isinstance(shown(value), str)
    assert len(shown(value)) < 1000


@pytest.mark.parametrize(("value", "number"), [(3, 3.0), ("3", 3.0), (" 1e3 ", 1000.0), (0.5, 0.5), (-1, -1.0)])
def test_amounts(value: Any, number: float) -> None:
    assert amount(value) == number


@pytest.mark.parametrize("value", [None, True, "", "x", "nan", "inf", float("nan"), [], {}, 10**400, "1e999", 1j])
def test_no_amounts(value: Any) -> None:
    assert math.isnan(amount(value))


@given(st.sampled_from([RetryDecorator, TimeoutDecorator, ResourcesDecorator, CatchDecorator, EnvironmentDecorator]),
       st.data())  # fmt: skip
def test_whatever_is_given_is_taken_or_refused_in_one_way(decorator: Any, data: st.DataObject) -> None:
    attributes = data.draw(st.dictionaries(st.sampled_from(list(decorator.defaults)), ANYTHING))
    try:
        made = decorator(attributes)
    except InvalidDecoratorAttribute as error:
        refusal = error
    else:
        attempts, limit = made.attempts(), made.time_limit()
        assert 0 <= attempts.retries <= MOST_TIMES
        assert isinstance(attempts.retries, int)
        assert limit is None or 0 < limit <= MOST_SECONDS + GRACE_SECONDS
        assert all(isinstance(item, str) for pair in made.environment().items() for item in pair)
        return
    assert f"@{decorator.name}" in refusal.message
    assert len(refusal.message) < 1000


@pytest.mark.parametrize("times", [0, 3, "3", 3.0, MOST_TIMES])
def test_retries(times: Any) -> None:
    assert RetryDecorator({"times": times}).attempts() == Attempts(retries=int(float(times)), delay=120.0)


@pytest.mark.parametrize("only", [["memory", "user code"], ("memory", "user code"), "memory, user code"])
def test_a_backoff_with_its_cap_and_a_filter(only: Any) -> None:
    attributes = {"minutes_between_retries": 1, "backoff": "2", "max_minutes": 5, "only": only}
    assert RetryDecorator(attributes).attempts() == Attempts(
        retries=3, delay=60.0, backoff=2.0, longest_delay=300.0, only=frozenset({"memory", "user code"})
    )


def test_an_unknown_class_of_failure_has_a_nearest_name() -> None:
    with pytest.raises(InvalidDecoratorAttribute) as caught:
        RetryDecorator({"only": ["memroy"]})
    assert "'memroy'" in caught.value.message
    assert caught.value.hint == "did you mean 'memory'?"
    with pytest.raises(InvalidDecoratorAttribute) as caught:
        RetryDecorator({"only": ["xyz"]})
    assert "preempted" in str(caught.value.hint)


def test_the_units_of_a_timeout_add_up() -> None:
    decorator = TimeoutDecorator({"seconds": "30", "minutes": 1.5, "hours": 2})
    assert decorator.seconds == 30 + 90 + 7200
    assert decorator.time_limit() == decorator.seconds + GRACE_SECONDS


@pytest.mark.parametrize("seconds", [MOST_SECONDS + 1, 1e300])
def test_a_timeout_of_ages(seconds: float) -> None:
    with pytest.raises(InvalidDecoratorAttribute, match="hundred years"):
        TimeoutDecorator({"seconds": seconds})


def test_values_of_an_environment_become_texts() -> None:
    made = EnvironmentDecorator({"vars": {"A": 1, "B": 0.5, "C": "ä", "D": ""}})
    assert made.environment() == {"A": "1", "B": "0.5", "C": "ä", "D": ""}


@pytest.mark.parametrize("var", ["next", "input", "index", "foreach_stack", "merge_artifacts"])
def test_catch_does_not_take_a_name_that_every_flow_has(var: str) -> None:
    with pytest.raises(InvalidDecoratorAttribute, match=f"var='{var}'"):
        CatchDecorator({"var": var})


INVALID_ONLY: list[Any] = [3, None, ["nosuch"], [3], [[]]]


@pytest.mark.parametrize(
    ("decorator", "attributes"),
    [
        *(
            (RetryDecorator, {"times": value})
            for value in (-1, MOST_TIMES + 1, 1.5, "1.5", "", None, True, [3], "9" * 5000)
        ),
        *((RetryDecorator, {"times": value}) for value in (float("nan"), float("inf"), 10**400, 10**5000)),
        *((RetryDecorator, {"minutes_between_retries": value}) for value in (-1, "soon", 10**400)),
        *((RetryDecorator, {"backoff": value}) for value in (0.5, -1, "fast", float("nan"))),
        *((RetryDecorator, {"only": value}) for value in INVALID_ONLY),
        (RetryDecorator, {"max_minutes": -1}),
        *((TimeoutDecorator, {"seconds": value}) for value in (0, -1, "soon", float("nan"), 10**400)),
        (TimeoutDecorator, {}),
        (TimeoutDecorator, {"seconds": 5, "minutes": -1}),
        *((CatchDecorator, {"var": value}) for value in (3, "", "a b", "next")),
        *((EnvironmentDecorator, {"vars": value}) for value in (None, 3, "A=1", ["A"], {1: "1"}, {"": "1"})),
        *((EnvironmentDecorator, {"vars": value}) for value in ({"a=b": "1"}, {"A": None}, {"A": ["x"]}, {"A": "\0"})),
        (EnvironmentDecorator, {"vars": {"A": "\ud800"}}),
    ],
)
def test_refused(decorator: Any, attributes: dict[str, Any]) -> None:
    with pytest.raises(InvalidDecoratorAttribute, match=f"@{decorator.name}"):
        decorator(attributes)
