"""What is asked of the places of a run before its first task: whether they can ever take what the steps ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from metaflow.compute.protocol import Launcher, Problem
from metaflow.compute.resources import ResourceRequest
from metaflow.exception import PreflightFailed

MODES = ("off", "warn", "fail")
"""METAFLOW_PREFLIGHT: not at all; refuse what is certain and warn of the rest, since clusters grow; refuse both."""


async def ask(launchers: Mapping[str, Launcher], requests: Mapping[str, ResourceRequest]) -> list[Problem]:
    """Ask each launcher about the steps that go there.

    Parameters
    ----------
    launchers : mapping of str to Launcher
        By backend.
    requests : mapping of str to ResourceRequest
        By step.
    """
    problems = []
    for backend, launcher in launchers.items():
        there = {step: request for step, request in requests.items() if request.backend == backend}
        problems += await launcher.preflight(there)
    return problems


def judge(problems: Sequence[Problem], mode: str) -> list[str]:
    """Return the sentences to warn with.

    Parameters
    ----------
    problems : sequence of Problem
        What was found.
    mode : str
        ``warn`` or ``fail``.

    Raises
    ------
    PreflightFailed
        The run cannot come to a good end; says why, all at once.
    """
    fatal = [problem for problem in problems if problem.certain or mode == "fail"]
    if fatal:
        raise PreflightFailed(
            "\n".join(_sentence(problem) for problem in fatal),
            hint="METAFLOW_PREFLIGHT=off starts the run all the same",
        )
    return [_sentence(problem) for problem in problems]


def _sentence(problem: Problem) -> str:
    steps = ", ".join(problem.steps)
    whose = f"{'Step' if len(problem.steps) == 1 else 'Steps'} {steps}: " if steps else ""
    hint = f" ({problem.hint})" if problem.hint else ""
    return f"{whose}{problem.message.rstrip('.')}{hint}."
