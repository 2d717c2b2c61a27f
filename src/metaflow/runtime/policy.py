"""What the decorators of a step mean for the engine: how often, how long, with what environment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from metaflow.compute.resources import LOCAL, ResourceRequest
from metaflow.flow.decorator import StepDecorator
from metaflow.runtime.events import Retries


class StepPolicy(NamedTuple):
    """How the tasks of a step are carried out.

    Attributes
    ----------
    retries : Retries
        All further attempts, fallbacks included.
    code_retries : int
        Those of them in which the step's code runs.
    time_limit : float or None
        Seconds after which a task is ended by force.
    environment : dict of str to str
        Variables to set before its process starts; if there are any, the process is a new interpreter.
    resources : ResourceRequest
        Where its tasks go, and what they need there.
    """

    retries: Retries = Retries()
    code_retries: int = 0
    time_limit: float | None = None
    environment: dict[str, str] = {}
    resources: ResourceRequest = LOCAL


def policy_of(decorators: Sequence[StepDecorator], resources: ResourceRequest = LOCAL) -> StepPolicy:
    """Add up what the decorators of one step ask for; `resources` is what its tasks need."""
    attempts = [decorator.attempts() for decorator in decorators]
    code_retries = sum(asked.retries for asked in attempts)
    times = code_retries + max((asked.fallbacks for asked in attempts), default=0)
    limits = [limit for decorator in decorators if (limit := decorator.time_limit()) is not None]
    environment = {name: value for decorator in decorators for name, value in decorator.environment().items()}
    delay = max((asked.delay for asked in attempts), default=0.0)
    return StepPolicy(Retries(times, delay), code_retries, min(limits, default=None), environment, resources)
