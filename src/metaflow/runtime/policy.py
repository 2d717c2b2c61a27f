"""What the decorators of a step mean for the engine: how often, how long, with what environment."""

from __future__ import annotations

from typing import NamedTuple

from metaflow.compute.resources import LOCAL, ResourceRequest
from metaflow.flow.plan import StepPlan
from metaflow.runtime.events import Retries


class StepPolicy(NamedTuple):
    """How the tasks of a step are carried out.

    Attributes
    ----------
    retries : Retries
        What happens after a failure.
    time_limit : float or None
        Seconds after which a task is ended by force.
    environment : dict of str to str
        Variables to set before its process starts; if there are any, the process is a new interpreter.
    resources : ResourceRequest
        Where its tasks go, and what they need there.
    """

    retries: Retries = Retries()
    time_limit: float | None = None
    environment: dict[str, str] = {}
    resources: ResourceRequest = LOCAL


def policy_of(step: StepPlan, resources: ResourceRequest = LOCAL, *, preemption_retries: int = 0) -> StepPolicy:
    """Add up what the decorators of one step ask for.

    Parameters
    ----------
    step : StepPlan
        The step with its decorators.
    resources : ResourceRequest
        What its tasks need. A task of this machine is tried again at once, unless a backoff is asked for: waiting
        helps against trouble elsewhere.
    preemption_retries : int
        METAFLOW_PREEMPTION_RETRIES: further attempts of a remote task whose machine was taken away.
    """
    decorators = step.decorators
    limits = [limit for decorator in decorators if (limit := decorator.time_limit()) is not None]
    environment = {name: value for decorator in decorators for name, value in decorator.environment().items()}
    retries = _retries(step, resources.backend != "local")
    if resources.backend != "local":
        retries = retries._replace(preemptions=preemption_retries)
    return StepPolicy(retries, min(limits, default=None), environment, resources)


def _retries(step: StepPlan, is_remote: bool) -> Retries:
    attempts = [decorator.attempts() for decorator in step.decorators]
    backoff = max((asked.backoff for asked in attempts), default=0.0)
    return Retries(
        sum(asked.retries for asked in attempts),
        max((asked.fallbacks for asked in attempts), default=0),
        max((asked.delay for asked in attempts), default=0.0) if is_remote or backoff else 0.0,
        backoff or 1.0,
        min((asked.longest_delay for asked in attempts), default=float("inf")),
        frozenset().union(*(asked.only for asked in attempts)),
    )


def check_attempts(step: StepPlan, most: int) -> None:
    """Check that a step is not tried more often than METAFLOW_MAX_ATTEMPTS allows.

    Raises
    ------
    InvalidDecoratorAttribute
        It is; names both numbers.
    """
    for decorator in step.decorators:
        asked = decorator.attempts().retries + 1
        if asked > most:
            raise decorator.error(
                f"@{decorator.name} asks for {asked} attempts of the step '{step.name}', and METAFLOW_MAX_ATTEMPTS "
                f"allows {most}.",
                hint=f"set METAFLOW_MAX_ATTEMPTS={asked} if so many are intended",
            )
