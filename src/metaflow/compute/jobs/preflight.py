"""What the backends' preflights have in common: a mismatch, questions that are asked once, problems put together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, NamedTuple

from metaflow.compute.protocol import Problem


class Mismatch(NamedTuple):
    """What stands against a request: a clause with figures; else as in `metaflow.compute.protocol.Problem`."""

    message: str
    hint: str = ""
    certain: bool = True


def problems(found: Mapping[str, Sequence[Mismatch]]) -> list[Problem]:
    """Return the mismatches of each step as problems; the same of several steps is one."""
    steps: dict[Mismatch, list[str]] = {}
    for step, mismatches in found.items():
        for mismatch in mismatches:
            steps.setdefault(mismatch, []).append(step)
    return [
        Problem(tuple(names), f"{_sentence(message)}.", hint, certain)
        for (message, hint, certain), names in steps.items()
    ]


def _sentence(clause: str) -> str:
    is_word = clause.partition(" ")[0].isalpha()  # not the name of an option
    return f"{clause[:1].upper()}{clause[1:]}" if is_word else clause


class Questions:
    """Asks each question once, however many want to know; one that failed is asked again."""

    def __init__(self) -> None:
        self._answers: dict[tuple[object, ...], asyncio.Task[Any]] = {}

    async def once(self, question: tuple[object, ...], ask: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Return the answer to a question; `ask` gets it if nobody has asked yet."""
        known = self._answers.get(question)
        if known is None or (known.done() and (known.cancelled() or known.exception() is not None)):
            known = self._answers[question] = asyncio.create_task(ask())
        return await asyncio.shield(known)
