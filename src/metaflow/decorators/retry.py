"""`@retry`: run the step again when its task failed."""

from __future__ import annotations

from typing import Any, TypeVar, overload

from metaflow.decorators.amounts import amount, shown
from metaflow.flow.decorator import Attempts, StepDecorator, attach

Function = TypeVar("Function")

MOST_TIMES = 100
"""Retries above which the number is taken for a mistake."""


class RetryDecorator(StepDecorator):
    name = "retry"
    defaults = {"times": 3, "minutes_between_retries": 2}

    def check(self) -> None:
        times, minutes = self.attributes["times"], self.attributes["minutes_between_retries"]
        if not (0 <= amount(times) <= MOST_TIMES and amount(times).is_integer()):
            raise self.error(f"@retry(times={shown(times)}): expected a whole number from 0 to {MOST_TIMES}.")
        if not amount(minutes) >= 0:
            raise self.error(
                f"@retry(minutes_between_retries={shown(minutes)}): expected a number of minutes, 0 or more."
            )

    def attempts(self) -> Attempts:
        # Waiting helps against trouble elsewhere: a task of this machine is tried again at once.
        return Attempts(retries=int(amount(self.attributes["times"])))


@overload
def retry(function: Function) -> Function: ...
@overload
def retry(*, times: int = 3, minutes_between_retries: float = 2) -> Any: ...
def retry(function: Any = None, **attributes: Any) -> Any:
    """Run a step again when its task failed, for whatever reason.

    Parameters
    ----------
    times : int, default 3
        Attempts after the first; 0 protects a step from ``--with retry``.
    minutes_between_retries : float, default 2
        Minutes to wait before each; on this machine the step is tried again at once.

    Raises
    ------
    InvalidDecoratorAttribute
        An attribute is unknown, or its value makes no sense.
    """
    return attach(RetryDecorator, function, attributes)
